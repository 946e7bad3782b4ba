-- wrk: sends ready requests, one after the other, from a file of records of equal length.
-- Arguments: FILE RECORD_BYTES FIRST COUNT. All is read before the clock starts; a request is one look into a table.
-- After the last it begins again: for purchases that shows as `replayed` in the node's counters and voids the sample.
local requests, count, at = {}, 0, 0

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  local bytes, first, wanted = tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
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
