#!lua
-- Confirms a batch: turns a node's deductions into orders, or says for each item why not.
--
-- Guarantee: all reads, then all judgements, then all writes; the first write is the only one that can fail, so a
-- batch is applied whole or not at all. A fixed number of Redis calls, however many items. Each item is judged with
-- the effects of the items before it, in the order of precedence of the status table.
--
-- KEYS  sale, nodes, orders, buyers, events
-- ARGV  node id, epoch, seen era, seen seq, last write seq, buffer tickets or '', buffer percent or '',
--       JSON columns [[order ids], [buyers], [fare ids], [quantities], [deadlines]]
-- Returns JSON: fenced | recovering | judged with
--   statuses [n…], replays {place: order record}, tickets {place: n}, fares [[id, stock, remaining, held, paid, allowance, seq]…],
--   unheard [[fare id, seq, for ms]…]
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
local order_ids, buyers, item_fares, quantities, deadlines = columns[1], columns[2], columns[3], columns[4], columns[5]
local count = #order_ids

-- Reads.
local fare_ids, is_named = {}, {}
for i = 1, count do
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
local known_orders = count > 0 and redis.call('HMGET', orders_key, unpack(order_ids)) or {}
local known_buyers = count > 0 and redis.call('HMGET', buyers_key, unpack(buyers)) or {}

-- Judgements.
local state_status = ({ draft = STATUS.not_open, scheduled = STATUS.not_open, paused = STATUS.paused,
  closed = STATUS.closed })[sale.state]
local seq = sale.seq + 1
local middle = ' ' .. now .. ' ' .. seq .. ' '
local statuses, replays, tickets_told = {}, {}, {}
local new_orders, tickets_of, listed = {}, {}, {}
local order_writes, event_lines, lawful = {}, {}, {}
local sold = 0

-- Lua makes text of a number slowly, so the text between an order's id and its buyer is made once per fare and quantity.
local record_heads, line_middles = {}, {}
local function texts_of(fare_id, quantity)
  local name = fare_id .. ' ' .. quantity
  record_heads[fare_id][quantity] = 'h ' .. name .. middle
  line_middles[fare_id][quantity] = ' ' .. name .. ' '
end

for fare_id, fare in pairs(sale.fares) do
  record_heads[fare_id], line_middles[fare_id] = {}, {}
  lawful[fare_id] = fare.remaining >= 0 and fare.held >= 0 and fare.paid >= 0
    and fare.stock == fare.remaining + fare.held + fare.paid
end

local function judge(i)
  local fare_id, quantity = item_fares[i], quantities[i]
  local fare = sale.fares[fare_id]
  if not fare then return STATUS.no_such_fare end
  local known = new_orders[order_ids[i]] or known_orders[i]
  if known then
    local known_fare, known_quantity = string.match(known, '^%a (%S+) (%d+) ')
    if known_fare ~= fare_id or tonumber(known_quantity) ~= quantity then return STATUS.key_reused end
    replays[tostring(i)] = known
    return STATUS.replayed
  end
  if quantity < 1 or quantity > sale.limit then return STATUS.bad_quantity end
  if state_status then return state_status end
  if now > deadlines[i] then return STATUS.too_late end
  if not lawful[fare_id] then return STATUS.unlawful end
  local buyer = buyers[i]
  local tickets = tickets_of[buyer]
  if not tickets then
    tickets = known_buyers[i] and tonumber(string.match(known_buyers[i], '^%d+')) or 0
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
  tickets_of[buyer] = tickets + quantity
  listed[buyer] = (listed[buyer] or (known_buyers[i] and string.match(known_buyers[i], '^%d+(.*)$')) or '')
    .. ' ' .. order_ids[i]
  if not record_heads[fare_id][quantity] then texts_of(fare_id, quantity) end
  local record = record_heads[fare_id][quantity] .. buyer
  new_orders[order_ids[i]] = record
  order_writes[#order_writes + 1] = order_ids[i]
  order_writes[#order_writes + 1] = record
  event_lines[#event_lines + 1] = order_ids[i] .. line_middles[fare_id][quantity] .. buyer
  return STATUS.held
end

for i = 1, count do statuses[i] = judge(i) end

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
  local buyer_writes, at, ticket_texts = {}, 0, {}
  for buyer, tickets in pairs(tickets_of) do
    local text = ticket_texts[tickets]
    if not text then
      text = tostring(tickets)
      ticket_texts[tickets] = text
    end
    buyer_writes[at + 1], buyer_writes[at + 2] = buyer, text .. keep_newest(listed[buyer])
    at = at + 2
  end
  sale.seq = seq
  node.last_seen, node.last_write_seq, node.confirmed = now, seq, node.confirmed + sold
  redis.call('XADD', events_key, sale.era .. '-' .. seq, 't', 'held', 'ms', now, 'o', table.concat(event_lines, '\n'))
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
return reply_json('judged', sale, { statuses = statuses, replays = replays, tickets = tickets_told, fares = levels,
  unheard = unheard_of(nodes_key, node_id, fare_ids, sale) })
