-- Live weights, reckoned from what the store itself has heard. A node fenced or not yet joined has last_seen 0.
local function live_weight_at(nodes_key, now, dead_after_ms, changed)
  local all = redis.call('HGETALL', nodes_key)
  local sum = 0
  for i = 1, #all, 2 do
    local node = changed[all[i]] or parse_node(all[i + 1])
    if node.last_seen > now - dead_after_ms then sum = sum + node.weight end
  end
  return sum
end

local function split_ids(text)
  local ids = {}
  for id in string.gmatch(text or '', '%S+') do ids[#ids + 1] = id end
  return ids
end

-- Levels of the fares that may have changed since `since_seq`: all of them if weights have. Reads only those.
local function levels_since(sale_key, sale, since_seq, weight, buffer_tickets, buffer_percent)
  local fare_ids = split_ids(redis.call('HGET', sale_key, 'fares'))
  local changed = fare_ids
  if sale.weights_seq <= since_seq then
    changed = {}
    local fields = {}
    for i, fare_id in ipairs(fare_ids) do fields[i] = 'seq:' .. fare_id end
    local seqs = redis.call('HMGET', sale_key, unpack(fields))
    for i, fare_id in ipairs(fare_ids) do
      if tonumber(seqs[i]) > since_seq then changed[#changed + 1] = fare_id end
    end
  end
  if #changed == 0 then return changed end
  sale.fares = read_sale(sale_key, changed, sale.now).fares
  local levels = {}
  for i, fare_id in ipairs(changed) do levels[i] = level_of(sale, fare_id, weight, buffer_tickets, buffer_percent) end
  return levels
end
