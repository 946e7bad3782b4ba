#!lua
-- A node says that it lives and hears what has changed: levels, state, and who has won since its cursor.
--
-- Recomputes the live weights from who was heard of lately, so that a death changes shares without any coordinator.
-- Takes a seq only if the weights changed.
--
-- KEYS  sale, nodes, events
-- ARGV  node id, epoch, seen era, seen seq, last write seq, buffer tickets or '', buffer percent or '', dead after ms,
--       changed since seq, winners after era, winners after seq, most events, weight or ''
-- Returns [JSON, lines…], per event those of orders made (`order_id fare quantity buyer`) or settled
-- (`order_id letter`): recovering | fenced | alive with weight, fares, cursorEra, cursorSeq, complete, lost, heard,
-- reopened
-- @include world
-- @include sale
-- @include fence
-- @include levels
-- @include members
-- @include events
-- @include heard

local sale_key, nodes_key, events_key = KEYS[1], KEYS[2], KEYS[3]
local node_id = ARGV[1]
local caller = {
  epoch = tonumber(ARGV[2]), seen_era = tonumber(ARGV[3]), seen_seq = tonumber(ARGV[4]),
  last_write_seq = tonumber(ARGV[5]),
}
local buffer_tickets, buffer_percent, dead_after_ms = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local since_seq, events_limit, weight = tonumber(ARGV[9]), tonumber(ARGV[12]), tonumber(ARGV[13])

local now = clock_ms()
local sale = read_sale(sale_key, {}, now)
local node = parse_node(redis.call('HGET', nodes_key, node_id))
local fault = caller_fault(sale_key, sale, node, caller)
if fault then return { fault } end
local lost = is_lost(sale_key, tonumber(ARGV[10]), tonumber(ARGV[11]))
local events = lost and {}
  or redis.call('XRANGE', events_key, '(' .. ARGV[10] .. '-' .. ARGV[11], '+', 'COUNT', events_limit)

local reweighed = weight and weight ~= node.weight
node.weight = weight or node.weight
node.last_seen, node.seen_seq, node.heard_seq = now, caller.seen_seq, since_seq
local live_weight = live_weight_at(nodes_key, now, dead_after_ms, { [node_id] = node })
if reweighed or live_weight ~= sale.live_weight then
  sale.seq = sale.seq + 1
  sale.weights_seq, sale.live_weight, node.last_write_seq = sale.seq, live_weight, sale.seq
  redis.call('HSET', sale_key, 'seq', sale.seq, 'weights_seq', sale.seq, 'live_weight', live_weight)
end
redis.call('HSET', nodes_key, node_id, format_node(node))

local reply = {}
local cursor_era, cursor_seq, complete = sale.era, sale.seq, not lost and #events < events_limit
if lost then
  cursor_era, cursor_seq = ARGV[10], ARGV[11]
elseif not complete then
  cursor_era, cursor_seq = string.match(events[#events][1], '^(%d+)-(%d+)$')
end
for i, event in ipairs(events) do
  local fields = event[2]
  for f = 1, #fields, 2 do
    if fields[f] == 'o' or fields[f] == 's' then reply[#reply + 1] = fields[f + 1] end
  end
end
table.insert(reply, 1, reply_json('alive', sale, {
  weight = node.weight,
  fares = levels_since(sale_key, sale, since_seq, node.weight, buffer_tickets, buffer_percent),
  cursorEra = tonumber(cursor_era),
  cursorSeq = tonumber(cursor_seq),
  complete = complete,
  lost = lost,
  heard = heard_by_others(nodes_key, node_id, sale),
  reopened = tonumber(redis.call('HGET', sale_key, 'reopened_seq')) or 0,
}))
return reply
