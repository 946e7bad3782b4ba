-- Which nodes have heard that there is something to buy again. Twin of stock/core/heard.ts, where it is explained.
-- Fields `reopened` of the sale (opened by hand) and `reopened:F` of a fare (tickets came back): `seq ms`.
-- Field `reopened_seq`: seq of the last of them all.
local FRESH_MS, MAY_REMEMBER_MS = 1000, 1500

local function parse_reopened(text)
  if not text then return 0, 0 end
  local seq, ms = string.match(text, '^(%d+) (%d+)$')
  return tonumber(seq), tonumber(ms)
end

-- Fields and values to write for a fare whose remaining tickets change at `seq`.
local function add_reopening(writes, fare_id, before, after, sale, seq)
  if after <= before or before >= sale.limit then return end
  writes[#writes + 1] = 'reopened:' .. fare_id
  writes[#writes + 1] = seq .. ' ' .. sale.now
  writes[#writes + 1] = 'reopened_seq'
  writes[#writes + 1] = seq
end

local function heard_by_others(nodes_key, node_id, sale)
  local all, heard = redis.call('HGETALL', nodes_key), sale.seq
  for i = 1, #all, 2 do
    if all[i] ~= node_id then
      local node = parse_node(all[i + 1])
      if node.last_seen > sale.now - MAY_REMEMBER_MS then heard = math.min(heard, node.heard_seq) end
    end
  end
  return heard
end

-- [[fare id, seq, for ms]…] of the fares whose last reopening not every other node has heard of.
local function unheard_of(nodes_key, node_id, fare_ids, sale)
  local unheard, heard = {}, nil
  for _, fare_id in ipairs(fare_ids) do
    local fare = sale.fares[fare_id]
    if fare and (fare.reopened or sale.reopened) then
      local seq, ms = parse_reopened(fare.reopened)
      local sale_seq, sale_ms = parse_reopened(sale.reopened)
      if seq <= sale_seq then seq, ms = sale_seq, sale_ms end
      local for_ms = ms + FRESH_MS - sale.now
      if for_ms > 0 then
        heard = heard or heard_by_others(nodes_key, node_id, sale)
        if seq > heard then unheard[#unheard + 1] = { fare_id, seq, for_ms } end
      end
    end
  end
  return unheard
end
