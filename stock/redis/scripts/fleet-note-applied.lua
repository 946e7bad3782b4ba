#!lua
-- The leader says up to which version of the fleet the load balancer does what the record says. Never goes back, and
-- takes no seq: it changes nothing of what the record says.
--
-- KEYS  fleet
-- ARGV  lease, era, seq
-- Returns JSON: recovering | refused | noted
-- @include world
-- @include fleet

local fleet_key = KEYS[1]
local lease, era, seq = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local fleet = read_fleet(fleet_key)
if not fleet.certified then return RECOVERING end
if not holds_lease(fleet, lease, clock_ms()) then return fleet_json('refused', fleet, {}) end
if era > fleet.applied_era or (era == fleet.applied_era and seq > fleet.applied_seq) then
  redis.call('HSET', fleet_key, 'applied_era', era, 'applied_seq', seq)
end
return fleet_json('noted', fleet, {})
