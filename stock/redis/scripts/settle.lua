#!lua
-- Tells the store which fate orders have met: paid, or released with a reason. Idempotent, forwards only:
-- held to paid, held to released, paid to released as refunded.
--
-- All reads, then all judgements, then all writes; the event, which alone could be refused, goes first.
--
-- KEYS  sale, orders, buyers, events
-- ARGV  seen era, seen seq, JSON columns [[order ids], [letters as in confirm.lua], [at ms]]
-- Returns JSON: recovering | settled with results [settled | already | conflict | unknown_order …]
-- @include world
-- @include sale
-- @include fence
-- @include heard

local sale_key, orders_key, buyers_key, events_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local columns = cjson.decode(ARGV[3])
local order_ids, letters, times = columns[1], columns[2], columns[3]

local function parse_order(text)
  local letter, fare, quantity, created_ms, created_seq, rest =
    string.match(text, '^(%a) (%S+) (%d+) (%d+) (%d+) (.*)$')
  local order = {
    letter = letter, fare = fare, quantity = tonumber(quantity), head = fare .. ' ' .. quantity .. ' ' .. created_ms
      .. ' ' .. created_seq, paid = '0 0', buyer = rest,
  }
  if letter == 'p' then order.paid, order.buyer = string.match(rest, '^(%d+ %d+) (.*)$') end
  if letter ~= 'p' and letter ~= 'h' then
    order.paid, order.released, order.buyer = string.match(rest, '^(%d+ %d+) (%d+ %d+) (.*)$')
  end
  return order
end

local function format_order(order)
  local text = order.letter .. ' ' .. order.head
  if order.letter ~= 'h' then text = text .. ' ' .. order.paid end
  if order.released then text = text .. ' ' .. order.released end
  return text .. ' ' .. order.buyer
end

-- Reads.
local now = clock_ms()
local texts = #order_ids > 0 and redis.call('HMGET', orders_key, unpack(order_ids)) or {}
local orders, fare_ids, buyer_ids, seen_fares, seen_buyers = {}, {}, {}, {}, {}
for i = 1, #order_ids do
  local order = orders[order_ids[i]] or (texts[i] and parse_order(texts[i]))
  if order then
    orders[order_ids[i]] = order
    if not seen_fares[order.fare] then
      seen_fares[order.fare] = true
      fare_ids[#fare_ids + 1] = order.fare
    end
    if not seen_buyers[order.buyer] then
      seen_buyers[order.buyer] = true
      buyer_ids[#buyer_ids + 1] = order.buyer
    end
  end
end
local sale = read_sale(sale_key, fare_ids, now)
local fault = certificate_fault(sale_key, sale, tonumber(ARGV[1]), tonumber(ARGV[2]))
if fault then return fault end
local buyer_texts = #buyer_ids > 0 and redis.call('HMGET', buyers_key, unpack(buyer_ids)) or {}
local tickets, lists = {}, {}
for i, buyer in ipairs(buyer_ids) do
  if buyer_texts[i] then
    local count, list = string.match(buyer_texts[i], '^(%d+)(.*)$')
    tickets[buyer], lists[buyer] = tonumber(count), list
  end
end

-- Judgements.
local seq = sale.seq + 1
local results, lines, touched, returned = {}, {}, {}, {}
local function settle_one(order, letter, at)
  if order.letter == letter then return 'already' end
  local is_refund = order.letter == 'p' and letter == 'r'
  if order.letter ~= 'h' and not is_refund then return 'conflict' end
  local fare = sale.fares[order.fare]
  local from = order.letter == 'p' and 'paid' or 'held'
  fare[from] = fare[from] - order.quantity
  fare.seq = seq
  if letter == 'p' then
    fare.paid = fare.paid + order.quantity
    order.paid = at .. ' ' .. seq
  else
    fare.remaining = fare.remaining + order.quantity
    returned[order.fare] = (returned[order.fare] or 0) + order.quantity
    order.released = at .. ' ' .. seq
    if tickets[order.buyer] then tickets[order.buyer] = tickets[order.buyer] - order.quantity end
  end
  order.letter = letter
  return 'settled'
end
for i = 1, #order_ids do
  local order = orders[order_ids[i]]
  results[i] = order and settle_one(order, letters[i], times[i]) or 'unknown_order'
  if results[i] == 'settled' then
    touched[order_ids[i]] = order
    lines[#lines + 1] = order_ids[i] .. ' ' .. letters[i]
  end
end
for fare_id, fare in pairs(sale.fares) do
  if fare.seq == seq and (fare.held < 0 or fare.paid < 0) then
    return redis.error_reply('STOCKLAW fare ' .. fare_id .. ': held ' .. fare.held .. ', paid ' .. fare.paid)
  end
end

-- Writes.
if #lines > 0 then
  local sale_writes, order_writes, buyer_writes = { 'seq', seq }, {}, {}
  for fare_id, fare in pairs(sale.fares) do
    if fare.seq == seq then
      for _, field in ipairs({ 'remaining', 'held', 'paid', 'seq' }) do
        sale_writes[#sale_writes + 1] = field .. ':' .. fare_id
        sale_writes[#sale_writes + 1] = fare[field]
      end
      add_reopening(sale_writes, fare_id, fare.remaining - (returned[fare_id] or 0), fare.remaining, sale, seq)
    end
  end
  for order_id, order in pairs(touched) do
    order_writes[#order_writes + 1] = order_id
    order_writes[#order_writes + 1] = format_order(order)
  end
  for buyer, count in pairs(tickets) do
    buyer_writes[#buyer_writes + 1] = buyer
    buyer_writes[#buyer_writes + 1] = count .. lists[buyer]
  end
  sale.seq = seq
  redis.call('XADD', events_key, sale.era .. '-' .. seq, 'ms', now, 's', table.concat(lines, '\n'))
  redis.call('HSET', sale_key, unpack(sale_writes))
  redis.call('HSET', orders_key, unpack(order_writes))
  if #buyer_writes > 0 then redis.call('HSET', buyers_key, unpack(buyer_writes)) end
end
return reply_json('settled', sale, { results = results })
