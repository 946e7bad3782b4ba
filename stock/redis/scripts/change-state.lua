#!lua
-- Opens (or resumes), pauses or closes a sale. `closed` is final. Twin of nextState in stock/core/change.ts.
-- For a leader: a lease lower than the highest that ever wrote in this era is refused. For an operator's act: a turn
-- that is not the last one begun here, in this era. A leader who stops the sale ends the acts that began before.
--
-- KEYS  sale, events
-- ARGV  open | pause | close, seen era, seen seq, lease or '' for none, turn or '' for none
-- Returns JSON: recovering | refused with why | changed | unchanged
-- @include world
-- @include sale
-- @include fence
-- @include changer

local sale_key, events_key = KEYS[1], KEYS[2]
local change, seen_era = ARGV[1], tonumber(ARGV[2])
local sale = read_sale(sale_key, {}, clock_ms())
local fault = certificate_fault(sale_key, sale, seen_era, tonumber(ARGV[3]))
  or changer_fault(sale_key, sale, tonumber(ARGV[4]), tonumber(ARGV[5]), seen_era)
if fault then return fault end

local wanted = ({ open = 'open', pause = 'paused', close = 'closed' })[change]
if sale.state == 'closed' and wanted ~= 'closed' then
  return reply_json('refused', sale, { why = 'sale_closed' })
end
if sale.state == 'draft' and wanted == 'paused' then
  return reply_json('refused', sale, { why = 'sale_is_draft' })
end
if ARGV[4] ~= '' and wanted ~= 'open' then redis.call('HSET', sale_key, 'stopped_turn', turn_of(sale_key)) end
if sale.state == wanted then return reply_json('unchanged', sale, {}) end
sale.seq = sale.seq + 1
redis.call('XADD', events_key, sale.era .. '-' .. sale.seq, 't', wanted, 'ms', sale.now)
local writes = { 'seq', sale.seq, 'state', wanted }
if wanted == 'open' then
  for _, value in ipairs({ 'reopened', sale.seq .. ' ' .. sale.now, 'reopened_seq', sale.seq }) do
    writes[#writes + 1] = value
  end
end
redis.call('HSET', sale_key, unpack(writes))
sale.state = state_at(wanted, sale.opens_at, sale.closes_at, sale.now)
return reply_json('changed', sale, {})
