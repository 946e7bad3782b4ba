#!lua
-- A node says that it lives and hears its state, its weight and which sales there are.
--
-- KEYS  fleet, nodes, sales
-- ARGV  node id, epoch
-- Returns [JSON: recovering | fenced | alive with memberState, weight, now; then the sale ids]
-- @include world
-- @include fleet

local nodes_key, node_id = KEYS[2], ARGV[1]
local fleet = read_fleet(KEYS[1])
local node = parse_member(redis.call('HGET', nodes_key, node_id))
if not fleet.certified then return { RECOVERING } end
if not node or node.epoch ~= tonumber(ARGV[2]) then return { fleet_json('fenced', fleet, {}) } end
node.last_seen = clock_ms()
local sale_ids = redis.call('SMEMBERS', KEYS[3])
redis.call('HSET', nodes_key, node_id, format_member(node))
table.insert(sale_ids, 1, fleet_json('alive', fleet, {
  memberState = node.state, weight = node.weight, now = node.last_seen,
}))
return sale_ids
