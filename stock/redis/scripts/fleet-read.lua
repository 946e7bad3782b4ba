#!lua flags=no-writes
-- The whole fleet at one instant.
--
-- KEYS  fleet, nodes, sales, orders
-- Returns [fields and values of the fleet, of the nodes, sale ids, now, fingerprint, fields and values of the orders
--   processes]
-- @include world

return {
  redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('SMEMBERS', KEYS[3]), clock_ms(),
  fingerprint(), redis.call('HGETALL', KEYS[4]),
}
