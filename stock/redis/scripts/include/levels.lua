-- What a node is told of a fare. Twin of stock/core/allowance.ts; the formula is explained there.
-- buffer_tickets is a number, or nil when buffer_percent counts.
local function allowance_of(remaining, weight, live_weight, limit, buffer_tickets, buffer_percent)
  if remaining <= 0 then return 0 end
  local weighted, divisor = 0, 1
  if live_weight > 0 and weight > 0 then weighted, divisor = weight * remaining, live_weight end
  local buffer = buffer_tickets or math.max(1, math.ceil(weighted * buffer_percent / (divisor * 100)))
  return math.max(limit, math.ceil(weighted / divisor) + buffer)
end

local function level_of(sale, fare_id, weight, buffer_tickets, buffer_percent)
  local fare = sale.fares[fare_id]
  local allowance =
    allowance_of(fare.remaining, weight, sale.live_weight, sale.limit, buffer_tickets, buffer_percent)
  return { fare_id, fare.stock, fare.remaining, fare.held, fare.paid, allowance, fare.seq }
end
