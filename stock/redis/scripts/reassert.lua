#!lua
-- Puts order records in, or over what is there, while a sale is put together again; a buyer's tickets follow from the
-- orders. The fares' counters do not: open-union.lua sets them. Idempotent. Without orders it only says that whoever puts
-- the sale together goes on with it.
--
-- KEYS  sale, orders, buyers
-- ARGV  era, JSON columns [[order ids], [records as in confirm.lua], [buyers], [tickets that count against the limit]]
-- Returns JSON: recovering (not begun, begun anew, or in another life) | reasserted
-- @include world
-- @include buyers
-- @include union

local sale_key, orders_key, buyers_key = KEYS[1], KEYS[2], KEYS[3]
if not is_uniting(sale_key, ARGV[1]) then return '{"outcome":"recovering"}' end
redis.call('HSET', sale_key, 'union_ms', clock_ms())
local columns = cjson.decode(ARGV[2])
local order_ids, records, buyers, counted = columns[1], columns[2], columns[3], columns[4]
if #order_ids == 0 then return '{"outcome":"reasserted"}' end

local known = redis.call('HMGET', orders_key, unpack(order_ids))
local texts = redis.call('HMGET', buyers_key, unpack(buyers))
local tickets, lists = {}, {}
local order_writes, buyer_writes = {}, {}
for i, buyer in ipairs(buyers) do
  if not tickets[buyer] then
    local count, list = string.match(texts[i] or '0', '^(%d+)(.*)$')
    tickets[buyer], lists[buyer] = tonumber(count), list
  end
  local before = 0
  if known[i] then
    local letter, quantity = string.match(known[i], '^(%a) %S+ (%d+) ')
    if letter == 'h' or letter == 'p' then before = tonumber(quantity) end
  else
    lists[buyer] = lists[buyer] .. ' ' .. order_ids[i]
  end
  tickets[buyer] = tickets[buyer] + counted[i] - before
  if tickets[buyer] < 0 then return redis.error_reply('STOCKLAW buyer of ' .. order_ids[i] .. ' has less than none') end
  order_writes[#order_writes + 1] = order_ids[i]
  order_writes[#order_writes + 1] = records[i]
end
for buyer, count in pairs(tickets) do
  buyer_writes[#buyer_writes + 1] = buyer
  buyer_writes[#buyer_writes + 1] = count .. keep_newest(lists[buyer])
end
redis.call('HSET', orders_key, unpack(order_writes))
redis.call('HSET', buyers_key, unpack(buyer_writes))
return '{"outcome":"reasserted"}'
