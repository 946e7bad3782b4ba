#!lua
-- Certifies this life of the store for the fleet under a new era, by compare-and-set; the leader's lease is void.
--
-- KEYS  fleet
-- ARGV  expected era, era
-- Returns JSON: lost_race | certified
-- @include world
-- @include fleet

local fleet = read_fleet(KEYS[1])
local era = tonumber(ARGV[2])
if fleet.era ~= tonumber(ARGV[1]) or era <= fleet.era then return fleet_json('lost_race', fleet, {}) end
fleet.era, fleet.seq = era, fleet.seq + 1
redis.call('HSET', KEYS[1], 'certificate', fingerprint(), 'era', era, 'seq', fleet.seq)
redis.call('HDEL', KEYS[1], 'leader_id', 'leader_url', 'leader_until')
return fleet_json('certified', fleet, {})
