#!lua
-- The orders that came into being after a version, with what the store says of itself at the same instant, so that
-- the era is that of the store which was read.
--
-- Whole events, until there are `limit` orders or events. A store behind the version asked after loses its certificate,
-- as with every other caller.
--
-- KEYS  sale, events
-- ARGV  after era, after seq, limit
-- Returns nothing when there is no such sale, or [JSON: read with certified, uptoEra, uptoSeq, complete, lost;
--   then per event with orders: era, seq, ms, order lines]
-- @include world
-- @include sale
-- @include fence
-- @include events

local CHUNK = 32
local sale_key, events_key = KEYS[1], KEYS[2]
local upto_era, upto_seq, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local sale = read_sale(sale_key, {}, clock_ms())
if not sale then return false end
local fault = certificate_fault(sale_key, sale, tonumber(upto_era), tonumber(upto_seq))

local function line_count(text)
  local count, at = 1, string.find(text, '\n', 1, true)
  while at do
    count, at = count + 1, string.find(text, '\n', at + 1, true)
  end
  return count
end

local lost = is_lost(sale_key, tonumber(upto_era), tonumber(upto_seq))
local reply, orders, read, is_end = {}, 0, 0, lost
while not is_end and orders < limit and read < limit do
  local count = math.min(CHUNK, limit - read)
  local events = redis.call('XRANGE', events_key, '(' .. upto_era .. '-' .. upto_seq, '+', 'COUNT', count)
  for _, event in ipairs(events) do
    if orders >= limit then break end
    read = read + 1
    upto_era, upto_seq = string.match(event[1], '^(%d+)-(%d+)$')
    local fields = {}
    for f = 1, #event[2], 2 do fields[event[2][f]] = event[2][f + 1] end
    if fields.o then
      orders = orders + line_count(fields.o)
      for _, value in ipairs({ upto_era, upto_seq, fields.ms, fields.o }) do reply[#reply + 1] = value end
    end
  end
  is_end = #events < count
end
local complete = not lost
  and #redis.call('XRANGE', events_key, '(' .. upto_era .. '-' .. upto_seq, '+', 'COUNT', 1) == 0
table.insert(reply, 1, reply_json('read', sale, {
  certified = not fault, uptoEra = tonumber(upto_era), uptoSeq = tonumber(upto_seq), complete = complete, lost = lost,
}))
return reply
