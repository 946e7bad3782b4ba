#!lua
-- A node enters the fleet, or enters it anew, as live under a higher epoch; a weight that the fleet knows stays.
--
-- KEYS  fleet, nodes
-- ARGV  node id, weight, url, admin url
-- Returns JSON: recovering | joined with epoch, weight
-- @include world
-- @include fleet

local fleet_key, nodes_key, node_id = KEYS[1], KEYS[2], ARGV[1]
local fleet = read_fleet(fleet_key)
local before = parse_member(redis.call('HGET', nodes_key, node_id))
if not fleet.certified then return RECOVERING end
fleet.seq = fleet.seq + 1
local node = {
  epoch = (before and before.epoch or 0) + 1, state = 'live', weight = before and before.weight or tonumber(ARGV[2]),
  last_seen = clock_ms(), url = ARGV[3], admin_url = ARGV[4],
}
redis.call('HSET', nodes_key, node_id, format_member(node))
redis.call('HSET', fleet_key, 'seq', fleet.seq)
return fleet_json('joined', fleet, { epoch = node.epoch, weight = node.weight })
