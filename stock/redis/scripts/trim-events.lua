#!lua
-- Forgets the events up to a version; whoever follows from before it learns that it has lost some.
--
-- KEYS  sale, events
-- ARGV  up to era, up to seq
-- Returns JSON: recovering | trimmed with events (how many)
-- @include world
-- @include sale
-- @include fence

local sale_key, events_key = KEYS[1], KEYS[2]
local era, seq = tonumber(ARGV[1]), tonumber(ARGV[2])
local sale = read_sale(sale_key, {}, clock_ms())
local fault = certificate_fault(sale_key, sale, era, seq)
if fault then return fault end
local newest = redis.call('XREVRANGE', events_key, era .. '-' .. seq, '-', 'COUNT', 1)[1]
if not newest then return reply_json('trimmed', sale, { events = 0 }) end
redis.call('HSET', sale_key, 'trimmed', newest[1])
local events = redis.call('XTRIM', events_key, 'MINID', '=', era .. '-' .. (seq + 1))
return reply_json('trimmed', sale, { events = events })
