#!lua flags=no-writes
-- Everything about a sale but its orders, at one instant.
--
-- KEYS  sale, nodes
-- Returns [fields and values of the sale, of the nodes, now, fingerprint], or nothing when there is no such sale
-- @include world

local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return false end
return { fields, redis.call('HGETALL', KEYS[2]), clock_ms(), fingerprint() }
