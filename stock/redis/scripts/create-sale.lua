#!lua
-- Makes a sale; leaves one that exists untouched.
--
-- KEYS  sale, nodes, orders, buyers, events
-- ARGV  era, state, opens at or '', closes at or '', limit, definition JSON, then fare id and stock per fare
-- Returns JSON: created | exists with era, seq, definition (as a string)
-- @include world
-- @include sale

local sale_key = KEYS[1]
local sale = read_sale(sale_key, {}, clock_ms())
if sale then
  return cjson.encode({
    outcome = 'exists', era = sale.era, seq = sale.seq, definition = redis.call('HGET', sale_key, 'definition'),
  })
end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return redis.error_reply('LEFTOVER ' .. KEYS[i] .. ' is there without its sale')
  end
end
local fare_ids, counters = {}, {}
for i = 7, #ARGV, 2 do
  local fare_id, stock = ARGV[i], ARGV[i + 1]
  fare_ids[#fare_ids + 1] = fare_id
  for _, pair in ipairs({ { 'stock:', stock }, { 'remaining:', stock }, { 'held:', 0 }, { 'paid:', 0 }, { 'seq:', 1 } }) do
    counters[#counters + 1] = pair[1] .. fare_id
    counters[#counters + 1] = pair[2]
  end
end
redis.call('HSET', sale_key, 'certificate', fingerprint(), 'era', ARGV[1], 'seq', 1, 'state', ARGV[2],
  'opens_at', ARGV[3], 'closes_at', ARGV[4], 'limit', ARGV[5], 'definition', ARGV[6], 'live_weight', 0,
  'weights_seq', 1, 'lease', 0, 'fares', table.concat(fare_ids, ' '))
for i = 1, #counters, 1000 do
  redis.call('HSET', sale_key, unpack(counters, i, math.min(i + 999, #counters)))
end
return cjson.encode({ outcome = 'created', era = tonumber(ARGV[1]), seq = 1, definition = ARGV[6] })
