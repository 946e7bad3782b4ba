#!lua
-- A node enters the sale, or enters it anew, under a higher epoch that fences everything it sent before.
--
-- KEYS  sale, nodes
-- ARGV  node id, weight, seen era, seen seq, last write seq, buffer tickets or '', buffer percent or '', dead after ms
-- Returns JSON: recovering | joined with epoch, weight, fares (all)
-- @include world
-- @include sale
-- @include fence
-- @include levels
-- @include members

local sale_key, nodes_key = KEYS[1], KEYS[2]
local node_id, weight, seen_era, seen_seq = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local last_write_seq, dead_after_ms = tonumber(ARGV[5]), tonumber(ARGV[8])
local buffer_tickets, buffer_percent = tonumber(ARGV[6]), tonumber(ARGV[7])

local now = clock_ms()
local sale = read_sale(sale_key, {}, now)
local before = parse_node(redis.call('HGET', nodes_key, node_id))
local fault = certificate_fault(sale_key, sale, seen_era, seen_seq)
  or last_write_fault(sale_key, sale, before, seen_era, last_write_seq)
if fault then return fault end

sale.seq = sale.seq + 1
sale.weights_seq = sale.seq
local node = {
  epoch = (before and before.epoch or 0) + 1,
  weight = weight,
  last_seen = now,
  last_write_seq = sale.seq,
  confirmed = before and before.confirmed or 0,
  seen_seq = sale.seq,
  -- Not before it says so: the answer to this call may be lost, and what it remembered stays.
  heard_seq = 0,
}
redis.call('HSET', nodes_key, node_id, format_node(node))
sale.live_weight = live_weight_at(nodes_key, now, dead_after_ms, { [node_id] = node })
redis.call('HSET', sale_key, 'seq', sale.seq, 'weights_seq', sale.seq, 'live_weight', sale.live_weight)
return reply_json('joined', sale, {
  epoch = node.epoch,
  weight = weight,
  fares = levels_since(sale_key, sale, 0, weight, buffer_tickets, buffer_percent),
})
