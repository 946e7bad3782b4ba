-- Who may act: the certificate, the era fence and the epoch fence. Twin of stock/core/fence.ts.
local RECOVERING = '{"outcome":"recovering"}'

local function void_certificate(sale_key)
  redis.call('HSET', sale_key, 'certificate', '')
  return RECOVERING
end

local function is_after(era, seq, other_era, other_seq)
  return era > other_era or (era == other_era and seq > other_seq)
end

-- Whoever recovers the store may not know the caller.
local function note_sought(sale_key, era, seq)
  local known_era, known_seq = string.match(redis.call('HGET', sale_key, 'sought') or '0 0', '^(%d+) (%d+)$')
  if is_after(era, seq, tonumber(known_era), tonumber(known_seq)) then
    redis.call('HSET', sale_key, 'sought', era .. ' ' .. seq)
  end
end

-- Has a caller seen more than was known to whoever judged the store? The seq goes on from era to era.
local function is_sought_above(sale_key, seq)
  local sought_seq = string.match(redis.call('HGET', sale_key, 'sought') or '', '(%d+)$')
  return sought_seq ~= nil and tonumber(sought_seq) > seq
end

-- Certified for this life of the store, and not behind what the caller has seen? nil when all is well.
local function certificate_fault(sale_key, sale, seen_era, seen_seq)
  if not sale then return RECOVERING end
  local is_behind = is_after(seen_era, seen_seq, sale.era, sale.seq)
  if is_behind then note_sought(sale_key, seen_era, seen_seq) end
  if sale.certificate ~= fingerprint() then return RECOVERING end
  if is_behind then return void_certificate(sale_key) end
  return nil
end

-- A node's record: `epoch weight last_seen last_write_seq confirmed seen_seq heard_seq`, in hash `farebox:{sale}:nodes`.
local function parse_node(text)
  if not text then return nil end
  local epoch, weight, last_seen, last_write_seq, confirmed, seen_seq, heard_seq =
    string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {
    epoch = tonumber(epoch), weight = tonumber(weight), last_seen = tonumber(last_seen),
    last_write_seq = tonumber(last_write_seq), confirmed = tonumber(confirmed), seen_seq = tonumber(seen_seq),
    heard_seq = tonumber(heard_seq),
  }
end

local function format_node(node)
  return node.epoch .. ' ' .. node.weight .. ' ' .. node.last_seen .. ' ' .. node.last_write_seq .. ' '
    .. node.confirmed .. ' ' .. node.seen_seq .. ' ' .. node.heard_seq
end

-- Is the store behind this node's own last change? Only meaningful within one era.
local function last_write_fault(sale_key, sale, node, seen_era, last_write_seq)
  if seen_era ~= sale.era then return nil end
  local known = node and node.last_write_seq or 0
  if known < last_write_seq then return void_certificate(sale_key) end
  return nil
end

local function caller_fault(sale_key, sale, node, caller)
  local fault = certificate_fault(sale_key, sale, caller.seen_era, caller.seen_seq)
  if fault then return fault end
  if caller.seen_era == sale.era then
    fault = last_write_fault(sale_key, sale, node, caller.seen_era, caller.last_write_seq)
    if fault then return fault end
    if node and node.epoch == caller.epoch then return nil end
  end
  return '{"outcome":"fenced","era":' .. sale.era .. ',"seq":' .. sale.seq .. '}'
end
