#!lua
-- Ends what begin-union.lua began: state, stock and counters are set to what the orders came to, and this life of the
-- store is certified under the new era. Everything handed out in the old one is void, as in certify-sale.lua.
--
-- KEYS  sale, nodes, events
-- ARGV  era, floor seq, state, tickets of all orders, JSON [[node id, epoch, confirmed]…] up to which their records are
--       raised, then fare id, stock, held, paid per fare
-- Returns JSON: lost_race (not begun, begun anew, in another life, or a caller has seen more than the floor says) |
--   certified, with era, seq
-- @include world
-- @include sale
-- @include fence
-- @include union

local sale_key, nodes_key, events_key = KEYS[1], KEYS[2], KEYS[3]
local era, floor_seq, state = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local sale = read_sale(sale_key, {}, clock_ms())
if not sale then return '{"outcome":"lost_race","era":0,"seq":0}' end
local is_short = is_sought_above(sale_key, math.max(sale.seq, floor_seq))
if is_short or not is_uniting(sale_key, ARGV[1]) then return reply_json('lost_race', sale, {}) end

local seq = math.max(sale.seq, floor_seq) + 1
local writes = {}
for i = 6, #ARGV, 4 do
  local fare_id, stock, held, paid = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local remaining = stock - held - paid
  if remaining < 0 then
    return redis.error_reply('STOCKLAW fare ' .. fare_id .. ': held ' .. held .. ', paid ' .. paid .. ' of ' .. stock)
  end
  for _, pair in ipairs({ { 'stock:', stock }, { 'remaining:', remaining }, { 'held:', held }, { 'paid:', paid },
    { 'seq:', seq } }) do
    writes[#writes + 1] = pair[1] .. fare_id
    writes[#writes + 1] = pair[2]
  end
end
local all, nodes, node_writes = redis.call('HGETALL', nodes_key), {}, {}
for i = 1, #all, 2 do nodes[all[i]] = parse_node(all[i + 1]) end
for _, known in ipairs(cjson.decode(ARGV[5])) do
  local node = nodes[known[1]] or {
    epoch = 0, weight = 0, last_write_seq = 0, confirmed = 0, seen_seq = 0, heard_seq = 0,
  }
  node.epoch, node.confirmed = math.max(node.epoch, known[2]), math.max(node.confirmed, known[3])
  nodes[known[1]] = node
end
local unattributed = tonumber(ARGV[4])
for node_id, node in pairs(nodes) do
  node.last_seen = 0
  unattributed = unattributed - node.confirmed
  node_writes[#node_writes + 1] = node_id
  node_writes[#node_writes + 1] = format_node(node)
end
sale.era, sale.seq = era, seq
redis.call('XADD', events_key, era .. '-' .. seq, 't', 'era', 'ms', sale.now)
if #node_writes > 0 then redis.call('HSET', nodes_key, unpack(node_writes)) end
for i = 1, #writes, 1000 do redis.call('HSET', sale_key, unpack(writes, i, math.min(i + 999, #writes))) end
redis.call('HSET', sale_key, 'certificate', fingerprint(), 'era', era, 'seq', seq, 'state', state, 'lease', 0,
  'live_weight', 0, 'weights_seq', seq, 'unattributed', unattributed, 'united', era)
redis.call('HDEL', sale_key, 'union', 'union_ms', 'sought')
return reply_json('certified', sale, {})
