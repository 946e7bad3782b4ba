#!lua
-- An orders process says that it is there; those that have been silent for too long are forgotten.
-- Asks for no certificate: whoever recovers a store must be found in it. Nothing is promised by it, so it takes no seq.
--
-- KEYS  fleet, orders (hash of process id to `last_seen url admin_url`)
-- ARGV  process id, url, admin url, forgotten after ms
-- Returns now
-- @include world

local orders_key, forgotten_after_ms = KEYS[2], tonumber(ARGV[4])
local now = clock_ms()
local all = redis.call('HGETALL', orders_key)
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^%d+')) <= now - forgotten_after_ms then
    redis.call('HDEL', orders_key, all[i])
  end
end
redis.call('HSET', orders_key, ARGV[1], now .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return now
