-- What the store knows by itself: its clock, and which life of it this is.
-- `run_id` changes at every start and differs on a promoted replica; `master_replid` changes at a promotion.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Both ids are 40 hex digits. A plain find costs a tenth of a pattern that is tried at every place of the text.
local function info_id(info, field)
  local _, last = string.find(info, field, 1, true)
  return string.sub(info, last + 1, last + 40)
end

local function fingerprint()
  local info = redis.call('INFO', 'server', 'replication')
  return info_id(info, 'run_id:') .. ':' .. info_id(info, 'master_replid:')
end
