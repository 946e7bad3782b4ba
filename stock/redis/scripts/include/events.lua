-- Have events after this version been trimmed? Field `trimmed` of the sale: id of the newest that was.
local function is_lost(sale_key, after_era, after_seq)
  local trimmed = redis.call('HGET', sale_key, 'trimmed')
  if not trimmed then return false end
  local era, seq = string.match(trimmed, '^(%d+)-(%d+)$')
  era, seq = tonumber(era), tonumber(seq)
  return after_era < era or (after_era == era and after_seq < seq)
end
