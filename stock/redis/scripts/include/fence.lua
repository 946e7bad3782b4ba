-- Who may act: the certificate, the era fence and the epoch fence. Twin of stock/core/fence.ts.
local RECOVERING = '{"outcome":"recovering"}'

local function void_certificate(sale_key)
  redis.call('HSET', sale_key, 'certificate', '')
  return RECOVERING
end

-- Certified for this life of the store, and not behind what the caller has seen? nil when all is well.
local function certificate_fault(sale_key, sale, seen_era, seen_seq)
  if not sale or sale.certificate ~= fingerprint() then return RECOVERING end
  if seen_era > sale.era or (seen_era == sale.era and seen_seq > sale.seq) then return void_certificate(sale_key) end
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
