-- wrk: sends ready requests, one after the other, from a file of records of equal length.
-- Arguments: FILE RECORD_BYTES FIRST COUNT [HOST:PORT,HOST:PORT]. With addresses each thread has one, and its own part
-- of the requests. All is read before the clock starts; a request is one look into a table.
-- After the last it begins again: for purchases that shows as `replayed` in the node's counters and voids the sample.
local requests, count, at = {}, 0, 0
local threads = 0

function setup(thread)
  thread:set('index', threads)
  threads = threads + 1
end

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  local bytes, first, wanted = tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  if args[5] then
    local addresses = {}
    for host, port in string.gmatch(args[5], '([^:,]+):(%d+)') do addresses[#addresses + 1] = { host, port } end
    local mine = addresses[index + 1]
    wrk.thread.addr = wrk.lookup(mine[1], mine[2])[1]
    wanted = math.floor(wanted / #addresses)
    first = first + index * wanted
  end
  file:seek('set', bytes * first)
  for i = 1, wanted do
    local text = file:read(bytes)
    if not text or #text < bytes then error('the file of requests is too short') end
    requests[i] = text
  end
  file:close()
  count = wanted
  collectgarbage('collect')
end

function request()
  at = at + 1
  if at > count then at = 1 end
  return requests[at]
end
