#!lua
-- An orders process stops: nobody is to look for it any more.
--
-- KEYS  fleet, orders
-- ARGV  process id
-- Returns 1 when it was there

local fleet_key, orders_key = KEYS[1], KEYS[2]
local was_there = redis.call('HDEL', orders_key, ARGV[1])
if was_there == 1 then redis.call('HINCRBY', fleet_key, 'seq', 1) end
return was_there
