#!lua
-- Which settings all processes run with: the first of a fleet says, and whoever comes when no node is live any more.
--
-- KEYS  fleet, nodes
-- ARGV  hash of the caller's settings, dead after ms
-- Returns the hash that counts
-- @include world
-- @include fleet

local fleet_key, hash, dead_after_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])
local known = redis.call('HGET', fleet_key, 'config_hash')
local all, now = redis.call('HGETALL', KEYS[2]), clock_ms()
local is_anybody_live = false
for i = 2, #all, 2 do
  local node = parse_member(all[i])
  if node.state ~= 'dead' and node.last_seen > now - dead_after_ms then is_anybody_live = true end
end
if known and is_anybody_live then return known end
redis.call('HSET', fleet_key, 'config_hash', hash)
return hash
