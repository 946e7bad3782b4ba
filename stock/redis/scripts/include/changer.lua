-- May whoever asks for a change still do so? Twin of changerFault in stock/core/fence.ts. nil when all is well.
-- Field `turn` of the sale: highest number of an operator's act that was begun here; absent for 0.
-- Field `stopped_turn`: that number when a leader last stopped the sale by itself, which ends the acts up to it.
local function turn_of(sale_key)
  return tonumber(redis.call('HGET', sale_key, 'turn') or 0)
end

local function is_stopped(sale_key, turn)
  local stopped = tonumber(redis.call('HGET', sale_key, 'stopped_turn') or '')
  return stopped ~= nil and turn <= stopped
end

local function changer_fault(sale_key, sale, lease, turn, seen_era)
  if lease and lease < sale.lease then return reply_json('refused', sale, { why = 'stale_lease' }) end
  if turn and (turn ~= turn_of(sale_key) or seen_era ~= sale.era or is_stopped(sale_key, turn)) then
    return reply_json('refused', sale, { why = 'stale_turn' })
  end
  return nil
end
