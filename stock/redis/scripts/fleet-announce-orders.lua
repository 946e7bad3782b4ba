#!lua
-- An orders process says that it is there; those that have been silent for too long are forgotten.
-- Asks for no certificate: whoever recovers a store must be found in it. Only a change of who is there, and where,
-- takes a seq, so that plans of the load balancer can be told apart.
--
-- KEYS  fleet, orders (hash of process id to `last_seen url admin_url`)
-- ARGV  process id, url, admin url, forgotten after ms
-- Returns now
-- @include world

local fleet_key, orders_key = KEYS[1], KEYS[2]
local id, place, forgotten_after_ms = ARGV[1], ARGV[2] .. ' ' .. ARGV[3], tonumber(ARGV[4])
local now = clock_ms()
local all = redis.call('HGETALL', orders_key)
local changed = true
local forgotten = {}
for i = 1, #all, 2 do
  local last_seen, known_place = string.match(all[i + 1], '^(%d+) (.*)$')
  if all[i] == id then
    changed = known_place ~= place
  elseif tonumber(last_seen) <= now - forgotten_after_ms then
    forgotten[#forgotten + 1] = all[i]
  end
end
for _, silent in ipairs(forgotten) do redis.call('HDEL', orders_key, silent) end
redis.call('HSET', orders_key, id, now .. ' ' .. place)
if changed or #forgotten > 0 then redis.call('HINCRBY', fleet_key, 'seq', 1) end
return now
