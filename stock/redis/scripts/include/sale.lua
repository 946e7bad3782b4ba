-- The sale as every verb reads it: one HMGET for the head and for the fares that the verb touches.
--
-- Hash `farebox:{sale}:sale`:
--   certificate  fingerprint of the life of the store for which the sale is certified; empty once found behind
--   era seq      the version
--   state        as last set; opens_at and closes_at act by the clock
--   opens_at closes_at   milliseconds, empty for none
--   limit        tickets per buyer
--   live_weight weights_seq lease shares   see set-weights.lua and heartbeat.lua
--   fares        the fare ids in order, separated by spaces
--   trimmed      id of the newest event that was trimmed; absent while all are there
--   definition   JSON as the operator wrote it, with the order-id secret
--   stock:F remaining:F held:F paid:F seq:F   per fare F
--   sought       `era seq` of the most that a caller had seen where the store was behind it; absent for none, see fence.lua
--   union union_ms   see union.lua; absent but while the sale is put together again
--   united       the era under which its counters were last made from its orders; absent for never
--   unattributed tickets of all orders less what the nodes' records confirmed; set by open-union.lua, absent for 0
--   reopened reopened:F reopened_seq   see heard.lua; absent for never
--   turn         see changer.lua; absent for 0
local HEAD = {
  'certificate', 'era', 'seq', 'state', 'opens_at', 'closes_at', 'limit', 'live_weight', 'weights_seq', 'lease',
  'reopened',
}
local FARE_FIELDS = { 'stock:', 'remaining:', 'held:', 'paid:', 'seq:', 'reopened:' }

local function state_at(state, opens_at, closes_at, now)
  if state == 'draft' or state == 'closed' then return state end
  if closes_at and now >= closes_at then return 'closed' end
  if state == 'scheduled' and opens_at and now >= opens_at then return 'open' end
  return state
end

-- nil when there is no such sale.
local function read_sale(sale_key, fare_ids, now)
  local fields = {}
  for i = 1, #HEAD do fields[i] = HEAD[i] end
  for _, fare_id in ipairs(fare_ids) do
    for _, prefix in ipairs(FARE_FIELDS) do fields[#fields + 1] = prefix .. fare_id end
  end
  local values = redis.call('HMGET', sale_key, unpack(fields))
  if not values[1] then return nil end
  local sale = {
    certificate = values[1],
    era = tonumber(values[2]),
    seq = tonumber(values[3]),
    stored_state = values[4],
    limit = tonumber(values[7]),
    live_weight = tonumber(values[8]),
    weights_seq = tonumber(values[9]),
    lease = tonumber(values[10]),
    reopened = values[11],
    now = now,
    fares = {},
  }
  sale.opens_at = tonumber(values[5]) or nil
  sale.closes_at = tonumber(values[6]) or nil
  sale.state = state_at(sale.stored_state, sale.opens_at, sale.closes_at, now)
  local at = #HEAD
  for _, fare_id in ipairs(fare_ids) do
    if values[at + 1] then
      sale.fares[fare_id] = {
        stock = tonumber(values[at + 1]),
        remaining = tonumber(values[at + 2]),
        held = tonumber(values[at + 3]),
        paid = tonumber(values[at + 4]),
        seq = tonumber(values[at + 5]),
        reopened = values[at + 6],
      }
    end
    at = at + #FARE_FIELDS
  end
  return sale
end

local function reply_json(outcome, sale, more)
  more.outcome = outcome
  more.era = sale.era
  more.seq = sale.seq
  more.now = sale.now
  more.state = sale.state
  more.opensAt = sale.opens_at
  more.closesAt = sale.closes_at
  return cjson.encode(more)
end
