#!lua
-- Changes nodes' states and weights, each only at the epoch expected; `dead` raises the epoch, which fences it.
-- Only the holder of the lease may, or a node for itself with an empty lease. With an expected version, a record of
-- another version is left as it is.
--
-- KEYS  fleet, nodes
-- ARGV  lease or '', JSON [[node id, expected epoch, state or '', weight or '']…], expected era and seq or ''
-- Returns JSON: recovering | refused | outdated | changed
-- @include world
-- @include fleet

local fleet_key, nodes_key = KEYS[1], KEYS[2]
local lease, changes = tonumber(ARGV[1]), cjson.decode(ARGV[2])
local fleet = read_fleet(fleet_key)
if not fleet.certified then return RECOVERING end
if lease and not holds_lease(fleet, lease, clock_ms()) then return fleet_json('refused', fleet, {}) end
local expected_era, expected_seq = tonumber(ARGV[3]), tonumber(ARGV[4])
if expected_era and (expected_era ~= fleet.era or expected_seq ~= fleet.seq) then
  return fleet_json('outdated', fleet, {})
end

local writes = {}
for _, change in ipairs(changes) do
  local node = parse_member(redis.call('HGET', nodes_key, change[1]))
  if node and node.epoch == change[2] then
    local state = change[3] ~= '' and change[3] or node.state
    if state == 'dead' and node.state ~= 'dead' then node.epoch = node.epoch + 1 end
    node.state = state
    if change[4] ~= '' then node.weight = change[4] end
    writes[#writes + 1] = change[1]
    writes[#writes + 1] = format_member(node)
  end
end
if #writes > 0 then
  fleet.seq = fleet.seq + 1
  redis.call('HSET', nodes_key, unpack(writes))
  redis.call('HSET', fleet_key, 'seq', fleet.seq)
end
return fleet_json('changed', fleet, {})
