#!lua
-- Tells the store which fate orders have met: paid, or released with a reason. Idempotent, forwards only:
-- held to paid, held to released, paid to released as refunded.
--
-- An order that the store has lost comes back by its fate: one that is paid takes its tickets again, as long as enough
-- remain; one that is released leaves a tombstone, so that it is not sold anew. Both are made at seq 0: by no node.
-- A fate that the fare's counters cannot take (they were changed by hand) is `unlawful`, and holds up no other.
--
-- All reads, then all judgements, then all writes; the event, which alone could be refused, goes first.
--
-- KEYS  sale, orders, buyers, events
-- ARGV  seen era, seen seq, JSON columns [[order ids], [letters as in confirm.lua], [at ms],
--       [0, or what the caller knows of the order: [fare id, quantity, created ms, buyer]]]
-- Returns JSON: recovering | settled with results [settled | already | conflict | unlawful | unknown_order …]
-- @include world
-- @include sale
-- @include fence
-- @include buyers
-- @include heard

local sale_key, orders_key, buyers_key, events_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local columns = cjson.decode(ARGV[3])
local order_ids, letters, times, known = columns[1], columns[2], columns[3], columns[4]

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

-- Of an order that the store does not have: nil when the caller knows no more of it either.
local function lost_order(facts)
  if facts == 0 then return nil end
  local fare, quantity, created_ms, buyer = facts[1], facts[2], facts[3], facts[4]
  return {
    letter = 'lost', fare = fare, quantity = quantity, head = fare .. ' ' .. quantity .. ' ' .. created_ms .. ' 0',
    paid = '0 0', buyer = buyer,
  }
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
  local order = orders[order_ids[i]] or (texts[i] and parse_order(texts[i])) or lost_order(known[i])
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
local results, lines, made, touched, before = {}, {}, {}, {}, {}
for fare_id, fare in pairs(sale.fares) do before[fare_id] = fare.remaining end
local function give_buyer(buyer, quantity)
  if tickets[buyer] then tickets[buyer] = tickets[buyer] + quantity end
end
local function bring_back(id, order, letter, at)
  local fare, list = sale.fares[order.fare], lists[order.buyer] or ''
  -- Listed still: the record alone was removed, by hand, and the counters have it.
  if not fare or string.find(list, id, 1, true) then return 'unknown_order' end
  if letter == 'p' and fare.remaining < order.quantity then return 'unknown_order' end
  tickets[order.buyer], lists[order.buyer] = tickets[order.buyer] or 0, list .. ' ' .. id
  if letter == 'p' then
    fare.remaining, fare.paid, fare.seq = fare.remaining - order.quantity, fare.paid + order.quantity, seq
    give_buyer(order.buyer, order.quantity)
    order.paid = at .. ' ' .. seq
  else
    order.released = at .. ' ' .. seq
  end
  made[#made + 1] = id .. ' ' .. order.fare .. ' ' .. order.quantity .. ' ' .. order.buyer
  order.letter = letter
  return 'settled'
end
local function settle_one(id, order, letter, at)
  if order.letter == letter then return 'already' end
  if order.letter == 'lost' then return bring_back(id, order, letter, at) end
  local is_refund = order.letter == 'p' and letter == 'r'
  if order.letter ~= 'h' and not is_refund then return 'conflict' end
  local fare = sale.fares[order.fare]
  local from = order.letter == 'p' and 'paid' or 'held'
  if fare[from] < order.quantity then return 'unlawful' end
  fare[from] = fare[from] - order.quantity
  fare.seq = seq
  if letter == 'p' then
    fare.paid = fare.paid + order.quantity
    order.paid = at .. ' ' .. seq
  else
    fare.remaining = fare.remaining + order.quantity
    order.released = at .. ' ' .. seq
    give_buyer(order.buyer, -order.quantity)
  end
  order.letter = letter
  return 'settled'
end
for i = 1, #order_ids do
  local order = orders[order_ids[i]]
  results[i] = order and settle_one(order_ids[i], order, letters[i], times[i]) or 'unknown_order'
  if results[i] == 'settled' then
    touched[order_ids[i]] = order
    lines[#lines + 1] = order_ids[i] .. ' ' .. letters[i]
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
      add_reopening(sale_writes, fare_id, before[fare_id], fare.remaining, sale, seq)
    end
  end
  for order_id, order in pairs(touched) do
    order_writes[#order_writes + 1] = order_id
    order_writes[#order_writes + 1] = format_order(order)
  end
  for buyer, count in pairs(tickets) do
    buyer_writes[#buyer_writes + 1] = buyer
    buyer_writes[#buyer_writes + 1] = count .. keep_newest(lists[buyer])
  end
  sale.seq = seq
  local event = { 'ms', now, 's', table.concat(lines, '\n') }
  if #made > 0 then event[5], event[6] = 'o', table.concat(made, '\n') end
  redis.call('XADD', events_key, sale.era .. '-' .. seq, unpack(event))
  redis.call('HSET', sale_key, unpack(sale_writes))
  redis.call('HSET', orders_key, unpack(order_writes))
  if #buyer_writes > 0 then redis.call('HSET', buyers_key, unpack(buyer_writes)) end
end
return reply_json('settled', sale, { results = results })
