#!lua
-- Sets weights and fences nodes, all or nothing, for the holder of the leader's lease.
--
-- A lease lower than the highest that ever wrote in this era is refused: a leader that was deposed cannot act late.
-- A fence raises a node's epoch, if it is still the one named, and takes it out of the shares. With an expected version
-- (era and weights_seq) the sale's shares, an operator's weights for this sale, are replaced as well, or all is refused.
--
-- KEYS  sale, nodes
-- ARGV  lease, dead after ms, JSON [[node id, weight]…], JSON [[node id, epoch]…], expected era and weights_seq or '',
--       shares as JSON or '' for none
-- Returns JSON: recovering | refused with why | changed | unchanged
-- @include world
-- @include sale
-- @include fence
-- @include members

local sale_key, nodes_key = KEYS[1], KEYS[2]
local lease, dead_after_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local weights, fences = cjson.decode(ARGV[3]), cjson.decode(ARGV[4])

local sale = read_sale(sale_key, {}, clock_ms())
local fault = certificate_fault(sale_key, sale, 0, 0)
if fault then return fault end
if lease < sale.lease then return reply_json('refused', sale, { why = 'stale_lease' }) end
local expected_era, expected_seq, shares = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
if expected_era and (expected_era ~= sale.era or expected_seq ~= sale.weights_seq) then
  return reply_json('refused', sale, { why = 'weights_changed' })
end
local reshared = expected_era and (redis.call('HGET', sale_key, 'shares') or '') ~= shares

local nodes, changed_nodes = {}, {}
local all = redis.call('HGETALL', nodes_key)
for i = 1, #all, 2 do nodes[all[i]] = parse_node(all[i + 1]) end
for _, wanted in ipairs(weights) do
  local node = nodes[wanted[1]]
  if node and node.weight ~= wanted[2] then
    node.weight = wanted[2]
    changed_nodes[wanted[1]] = node
  end
end
for _, fenced in ipairs(fences) do
  local node = nodes[fenced[1]]
  if node and node.epoch == fenced[2] then
    node.epoch = node.epoch + 1
    node.last_seen = 0
    changed_nodes[fenced[1]] = node
  end
end

local writes = {}
for id, node in pairs(changed_nodes) do
  writes[#writes + 1] = id
  writes[#writes + 1] = format_node(node)
end
if lease ~= sale.lease then redis.call('HSET', sale_key, 'lease', lease) end
if #writes == 0 and not reshared then return reply_json('unchanged', sale, {}) end
sale.seq = sale.seq + 1
if #writes > 0 then redis.call('HSET', nodes_key, unpack(writes)) end
if reshared then redis.call('HSET', sale_key, 'shares', shares) end
redis.call('HSET', sale_key, 'seq', sale.seq, 'weights_seq', sale.seq,
  'live_weight', live_weight_at(nodes_key, sale.now, dead_after_ms, {}))
return reply_json('changed', sale, {})
