#!lua
-- Sets the stock of a fare while the sale runs; refused below what is held and paid, and for an operator's act whose turn
-- is not the last one begun here, in this era.
--
-- KEYS  sale, events
-- ARGV  fare id, stock, seen era, seen seq, lease or '' for none, turn or '' for none
-- Returns JSON: recovering | refused with why | changed | unchanged
-- @include world
-- @include sale
-- @include fence
-- @include changer
-- @include heard

local sale_key, events_key = KEYS[1], KEYS[2]
local fare_id, stock, seen_era = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local sale = read_sale(sale_key, { fare_id }, clock_ms())
local fault = certificate_fault(sale_key, sale, seen_era, tonumber(ARGV[4]))
  or changer_fault(sale_key, sale, tonumber(ARGV[5]), tonumber(ARGV[6]), seen_era)
if fault then return fault end
local fare = sale.fares[fare_id]
if not fare then return reply_json('refused', sale, { why = 'no_such_fare' }) end
if stock < fare.held + fare.paid then return reply_json('refused', sale, { why = 'below_held_and_paid' }) end
if stock == fare.stock then return reply_json('unchanged', sale, {}) end
sale.seq = sale.seq + 1
redis.call('XADD', events_key, sale.era .. '-' .. sale.seq, 't', 'stock', 'ms', sale.now, 'f', fare_id, 'n', stock)
local remaining = fare.remaining + stock - fare.stock
local writes = {
  'seq', sale.seq, 'stock:' .. fare_id, stock, 'remaining:' .. fare_id, remaining, 'seq:' .. fare_id, sale.seq,
}
add_reopening(writes, fare_id, fare.remaining, remaining, sale, sale.seq)
redis.call('HSET', sale_key, unpack(writes))
return reply_json('changed', sale, {})
