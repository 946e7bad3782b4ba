-- The same as world.lua with both values laid down beside the first key: for conformance and simulation only.
local function clock_ms()
  return tonumber(redis.call('HGET', KEYS[1] .. ':world', 'now'))
end

local function fingerprint()
  return redis.call('HGET', KEYS[1] .. ':world', 'fingerprint')
end
