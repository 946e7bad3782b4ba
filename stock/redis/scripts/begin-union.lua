#!lua
-- Begins to put a sale together again under an era that is not open yet: from here on nobody sells, and nothing but
-- reassert.lua and open-union.lua of that era, in this life of the store, changes it. A sale that is not there is made,
-- without orders.
--
-- Of several eras the highest wins, whenever it comes; one that was open is never begun again.
--
-- KEYS  sale
-- ARGV  era, opens at or '', closes at or '', limit, definition JSON, then fare id and stock per fare
-- Returns JSON: begun | lost_race, with era, seq of the store as it was found
-- @include world
-- @include sale
-- @include union

local sale_key, era = KEYS[1], tonumber(ARGV[1])
local sale = read_sale(sale_key, {}, clock_ms())
local began = union_era(sale_key)
local found_era, found_seq = sale and sale.era or 0, sale and sale.seq or 0
if era <= found_era or (began and began > era) then
  return cjson.encode({ outcome = 'lost_race', era = found_era, seq = found_seq })
end
if not sale then
  local fare_ids, fields = {}, {
    'era', 0, 'seq', 0, 'state', 'draft', 'opens_at', ARGV[2], 'closes_at', ARGV[3], 'limit', ARGV[4],
    'definition', ARGV[5], 'live_weight', 0, 'weights_seq', 0, 'lease', 0,
  }
  for i = 6, #ARGV, 2 do
    fare_ids[#fare_ids + 1] = ARGV[i]
    for _, pair in ipairs({ { 'stock:', ARGV[i + 1] }, { 'remaining:', ARGV[i + 1] }, { 'held:', 0 }, { 'paid:', 0 },
      { 'seq:', 0 } }) do
      fields[#fields + 1] = pair[1] .. ARGV[i]
      fields[#fields + 1] = pair[2]
    end
  end
  for i = 1, #fields, 1000 do redis.call('HSET', sale_key, unpack(fields, i, math.min(i + 999, #fields))) end
  redis.call('HSET', sale_key, 'fares', table.concat(fare_ids, ' '))
end
redis.call('HSET', sale_key, 'certificate', '', 'union', era .. ' ' .. fingerprint(), 'union_ms', clock_ms())
return cjson.encode({ outcome = 'begun', era = found_era, seq = found_seq })
