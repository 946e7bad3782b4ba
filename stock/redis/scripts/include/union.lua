-- Field `union` of a sale that is being put together again: the era it will open under and the life of the store in
-- which that began, `era fingerprint`; `union_ms` is when whoever does it was last heard. Twin of stock/core/union.ts.
local function union_era(sale_key)
  local text = redis.call('HGET', sale_key, 'union')
  return text and tonumber(string.match(text, '^(%d+) '))
end

local function is_uniting(sale_key, era)
  return redis.call('HGET', sale_key, 'union') == era .. ' ' .. fingerprint()
end
