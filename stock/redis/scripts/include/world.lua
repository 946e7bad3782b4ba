-- What the store knows by itself: its clock, and which life of it this is.
-- `run_id` changes at every start and differs on a promoted replica; `master_replid` changes at a promotion.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function fingerprint()
  local info = redis.call('INFO', 'server', 'replication')
  return string.match(info, 'run_id:(%x+)') .. ':' .. string.match(info, 'master_replid:(%x+)')
end
