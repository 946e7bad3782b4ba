#!lua
-- Confirms a batch: turns a node's deductions into orders, or says for each item why not.
--
-- Guarantee: all reads, then all judgements, then all writes; the first write is the only one that can fail, so a
-- batch is applied whole or not at all. A fixed number of Redis calls, however many items. Each item is judged with
-- the effects of the items before it, in the order of precedence of the status table.
--
-- KEYS  sale, nodes, orders, buyers, events
-- ARGV  node id, epoch, seen era, seen seq, last write seq, buffer tickets or '', buffer percent or '',
--       JSON columns [[order ids], [buyers], fare ids, quantities, earliest deadline], JSON [deadlines]
-- Returns JSON: fenced | recovering | judged with
--   statuses, replays {place: order record}, tickets {place: n}, fares [[id, stock, remaining, held, paid, allowance, seq]…],
--   unheard [[fare id, seq, for ms]…]
--
-- Fare ids, quantities and statuses are a list, or one value for all items, as it nearly always is: reading and writing
-- lists of numbers is what costs a batch most after the hashes themselves. For the same reason the deadlines are not
-- read before the earliest has passed.
--
-- Order record, in hash orders: `letter fare quantity created_ms created_seq [paid_ms paid_seq [released_ms
-- released_seq]] buyer`, letter h held, p paid, and for released x expired, c cancelled, r refunded, k conflict.
-- Buyer record, in hash buyers: `tickets order_id…`, newest last.
-- @include world
-- @include sale
-- @include fence
-- @include levels
-- @include buyers
-- @include heard
-- @include status

local sale_key, nodes_key, orders_key, buyers_key, events_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local node_id = ARGV[1]
local caller = {
  epoch = tonumber(ARGV[2]), seen_era = tonumber(ARGV[3]), seen_seq = tonumber(ARGV[4]),
  last_write_seq = tonumber(ARGV[5]),
}
local buffer_tickets, buffer_percent = tonumber(ARGV[6]), tonumber(ARGV[7])
local columns = cjson.decode(ARGV[8])
local order_ids, buyers, item_fares, quantities, earliest_deadline =
  columns[1], columns[2], columns[3], columns[4], columns[5]
local count = #order_ids
local only_fare = type(item_fares) == 'string' and item_fares
local only_quantity = type(quantities) == 'number' and quantities

-- Reads.
local fare_ids, is_named = { only_fare or nil }, {}
for i = 1, only_fare and 0 or count do
  local fare_id = item_fares[i]
  if not is_named[fare_id] then
    is_named[fare_id] = true
    fare_ids[#fare_ids + 1] = fare_id
  end
end
local now = clock_ms()
local sale = read_sale(sale_key, fare_ids, now)
local node = parse_node(redis.call('HGET', nodes_key, node_id))
local fault = caller_fault(sale_key, sale, node, caller)
if fault then return fault end
local known_buyers = count > 0 and redis.call('HMGET', buyers_key, unpack(buyers)) or {}
-- An order is its buyer's for ever, and the buyer's record is written with the first: whoever has none has no order.
local sought_ids, sought_places, known_orders = {}, {}, {}
for i = 1, count do
  if known_buyers[i] then
    sought_ids[#sought_ids + 1] = order_ids[i]
    sought_places[#sought_places + 1] = i
  end
end
if #sought_ids > 0 then
  local found = redis.call('HMGET', orders_key, unpack(sought_ids))
  for n = 1, #sought_ids do known_orders[sought_places[n]] = found[n] end
end

-- Judgements.
local state_status = ({ draft = STATUS.not_open, scheduled = STATUS.not_open, paused = STATUS.paused,
  closed = STATUS.closed })[sale.state]
local seq = sale.seq + 1
local middle = ' ' .. now .. ' ' .. seq .. ' '
local deadlines = now > earliest_deadline and cjson.decode(ARGV[9])
local statuses, replays, tickets_told = {}, {}, {}
local new_buyers, order_writes, event_lines, lawful = {}, {}, {}, {}
local sold, written = 0, 0

-- Lua makes text of a number slowly, so the text between an order's id and its buyer is made once per fare and quantity.
local record_heads, line_middles = {}, {}
local function texts_of(fare_id, quantity)
  local name = fare_id .. ' ' .. quantity
  record_heads[fare_id][quantity] = 'h ' .. name .. middle
  line_middles[fare_id][quantity] = ' ' .. name .. ' '
  return record_heads[fare_id][quantity]
end
local count_texts = {}
local function count_text(tickets)
  local text = count_texts[tickets] or tostring(tickets)
  count_texts[tickets] = text
  return text
end

for fare_id, fare in pairs(sale.fares) do
  record_heads[fare_id], line_middles[fare_id] = {}, {}
  lawful[fare_id] = fare.remaining >= 0 and fare.held >= 0 and fare.paid >= 0
    and fare.stock == fare.remaining + fare.held + fare.paid
end

-- Looked for only where the same buyer comes twice in a batch, so that no table is filled for all others.
local function made_before(order_id)
  for n = 1, written, 2 do
    if order_writes[n] == order_id then return order_writes[n + 1] end
  end
  return nil
end

local function judge(i)
  local fare_id, quantity = only_fare or item_fares[i], only_quantity or quantities[i]
  local fare = sale.fares[fare_id]
  if not fare then return STATUS.no_such_fare end
  local order_id, buyer = order_ids[i], buyers[i]
  local new_buyer = new_buyers[buyer]
  local known = new_buyer and made_before(order_id) or known_orders[i]
  if known then
    local known_fare, known_quantity = string.match(known, '^%a (%S+) (%d+) ')
    if known_fare ~= fare_id or tonumber(known_quantity) ~= quantity then return STATUS.key_reused end
    replays[tostring(i)] = known
    return STATUS.replayed
  end
  if quantity < 1 or quantity > sale.limit then return STATUS.bad_quantity end
  if state_status then return state_status end
  if deadlines and now > deadlines[i] then return STATUS.too_late end
  if not lawful[fare_id] then return STATUS.unlawful end
  local tickets, list = 0, ''
  local known_buyer = new_buyer or known_buyers[i]
  if known_buyer then
    tickets, list = string.match(known_buyer, '^(%d+)(.*)$')
    tickets = tonumber(tickets)
  end
  if tickets + quantity > sale.limit then
    tickets_told[tostring(i)] = tickets
    return STATUS.limit_reached
  end
  if fare.remaining < quantity then
    if fare.remaining > 0 then return STATUS.not_enough end
    return fare.held > 0 and STATUS.all_held or STATUS.sold_out
  end
  fare.remaining = fare.remaining - quantity
  fare.held = fare.held + quantity
  fare.seq = seq
  sold = sold + quantity
  new_buyers[buyer] = count_text(tickets + quantity) .. keep_newest(list .. ' ' .. order_id)
  local record = (record_heads[fare_id][quantity] or texts_of(fare_id, quantity)) .. buyer
  event_lines[#event_lines + 1] = order_id .. line_middles[fare_id][quantity] .. buyer
  order_writes[written + 1], order_writes[written + 2] = order_id, record
  written = written + 2
  return STATUS.held
end

local is_one_status = true
for i = 1, count do
  statuses[i] = judge(i)
  if statuses[i] ~= statuses[1] then is_one_status = false end
end

-- Writes. The event goes first: it alone could be refused (by its id), and then nothing has happened.
if sold > 0 then
  local sale_writes = { 'seq', seq }
  for fare_id, fare in pairs(sale.fares) do
    if fare.seq == seq then
      for _, field in ipairs({ 'remaining', 'held', 'seq' }) do
        sale_writes[#sale_writes + 1] = field .. ':' .. fare_id
        sale_writes[#sale_writes + 1] = fare[field]
      end
    end
  end
  local buyer_writes, at = {}, 0
  for buyer, record in pairs(new_buyers) do
    buyer_writes[at + 1], buyer_writes[at + 2] = buyer, record
    at = at + 2
  end
  sale.seq = seq
  node.last_seen, node.last_write_seq, node.confirmed = now, seq, node.confirmed + sold
  redis.call('XADD', events_key, sale.era .. '-' .. seq, 'ms', now, 'o', table.concat(event_lines, '\n'))
  redis.call('HSET', sale_key, unpack(sale_writes))
  redis.call('HSET', orders_key, unpack(order_writes))
  redis.call('HSET', buyers_key, unpack(buyer_writes))
  redis.call('HSET', nodes_key, node_id, format_node(node))
end

local levels = {}
for _, fare_id in ipairs(fare_ids) do
  if sale.fares[fare_id] then
    levels[#levels + 1] = level_of(sale, fare_id, node.weight, buffer_tickets, buffer_percent)
  end
end
return reply_json('judged', sale, { statuses = is_one_status and statuses[1] or statuses, replays = replays, tickets = tickets_told, fares = levels,
  unheard = unheard_of(nodes_key, node_id, fare_ids, sale) })
