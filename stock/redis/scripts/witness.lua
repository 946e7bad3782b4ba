#!lua
-- Shows that this store still is what its caller knows, and leaves a mark that replicas get: whoever then waits for
-- replicas on the same connection waits for everything that happened before.
--
-- The mark is a message that nobody listens to. It travels to the replicas like a write, but not into the AOF, so it
-- costs no fsync. WAIT is documented for what its own connection wrote; on one that did nothing it counted a replica
-- that had stopped.
--
-- KEYS  sale
-- ARGV  seen era, seen seq
-- Returns JSON: recovering | fenced | witnessed
-- @include world
-- @include sale
-- @include fence

local sale_key, seen_era = KEYS[1], tonumber(ARGV[1])
local sale = read_sale(sale_key, {}, clock_ms())
local fault = certificate_fault(sale_key, sale, seen_era, tonumber(ARGV[2]))
if fault then return fault end
if seen_era ~= sale.era then return '{"outcome":"fenced","era":' .. sale.era .. ',"seq":' .. sale.seq .. '}' end
redis.call('PUBLISH', sale_key .. ':witness', '')
return '{"outcome":"witnessed","era":' .. sale.era .. ',"seq":' .. sale.seq .. '}'
