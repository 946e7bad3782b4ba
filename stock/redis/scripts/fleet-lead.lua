#!lua
-- Takes or renews the leader's lease. Its number only grows, and fences what a deposed leader still sends.
--
-- KEYS  fleet
-- ARGV  coordinator id, admin url, ttl ms (0 gives the lease back)
-- Returns JSON: recovering | following with leaderId | leading with lease
-- @include world
-- @include fleet

local fleet_key, coordinator_id = KEYS[1], ARGV[1]
local fleet = read_fleet(fleet_key)
if not fleet.certified then return RECOVERING end
local now = clock_ms()
local taken = fleet.leader_id and fleet.leader_until > now
if taken and fleet.leader_id ~= coordinator_id then
  return fleet_json('following', fleet, { leaderId = fleet.leader_id })
end
if not taken then fleet.lease = fleet.lease + 1 end
redis.call('HSET', fleet_key, 'leader_id', coordinator_id, 'leader_url', ARGV[2], 'lease', fleet.lease,
  'leader_until', now + tonumber(ARGV[3]))
return fleet_json('leading', fleet, { lease = fleet.lease })
