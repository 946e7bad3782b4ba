#!lua
-- Certifies this life of the store for a sale, under a new era, by compare-and-set on the version that was read:
-- an older copy that took the record's place since then, in the same era, is not what was judged to have everything. Nor
-- is a record of which a caller has seen more than expected version and floor say.
--
-- Everything handed out in the old era is void: callers of it are fenced, no node is live until it joins anew,
-- leases start over. The seq goes on above everything anybody is known to have seen.
--
-- KEYS  sale, nodes, events
-- ARGV  expected era, expected seq, era, floor seq
-- Returns JSON: no_such_sale | lost_race | certified, with era, seq
-- @include world
-- @include sale
-- @include fence

local sale_key, nodes_key, events_key = KEYS[1], KEYS[2], KEYS[3]
local expected_era, expected_seq = tonumber(ARGV[1]), tonumber(ARGV[2])
local era, floor_seq = tonumber(ARGV[3]), tonumber(ARGV[4])
local sale = read_sale(sale_key, {}, clock_ms())
if not sale then return '{"outcome":"no_such_sale"}' end
-- What is half put together again (union) has to be put together to the end.
local is_taken = sale.era ~= expected_era or sale.seq < expected_seq or era <= sale.era
is_taken = is_taken or is_sought_above(sale_key, math.max(expected_seq, floor_seq))
if is_taken or redis.call('HEXISTS', sale_key, 'union') == 1 then return reply_json('lost_race', sale, {}) end

local all = redis.call('HGETALL', nodes_key)
local writes = {}
for i = 1, #all, 2 do
  local node = parse_node(all[i + 1])
  node.last_seen = 0
  writes[#writes + 1] = all[i]
  writes[#writes + 1] = format_node(node)
end
sale.era = era
sale.seq = math.max(sale.seq, floor_seq) + 1
redis.call('XADD', events_key, era .. '-' .. sale.seq, 't', 'era', 'ms', sale.now)
if #writes > 0 then redis.call('HSET', nodes_key, unpack(writes)) end
redis.call('HSET', sale_key, 'certificate', fingerprint(), 'era', era, 'seq', sale.seq, 'lease', 0,
  'live_weight', 0, 'weights_seq', sale.seq)
redis.call('HDEL', sale_key, 'sought')
return reply_json('certified', sale, {})
