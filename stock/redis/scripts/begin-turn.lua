#!lua
-- An operator's act begins, under the number that the ledger gave it: from here on change-state.lua and set-stock.lua
-- refuse those with another. Changes nothing that anybody sells by, and so takes no seq.
--
-- KEYS  sale
-- ARGV  turn, seen era, seen seq
-- Returns JSON: recovering | refused with why (a higher one was begun) | unchanged
-- @include world
-- @include sale
-- @include fence
-- @include changer

local sale_key, turn = KEYS[1], tonumber(ARGV[1])
local sale = read_sale(sale_key, {}, clock_ms())
local fault = certificate_fault(sale_key, sale, tonumber(ARGV[2]), tonumber(ARGV[3]))
if fault then return fault end
if turn < turn_of(sale_key) then return reply_json('refused', sale, { why = 'stale_turn' }) end
redis.call('HSET', sale_key, 'turn', turn)
return reply_json('unchanged', sale, {})
