-- The fleet, in hash `farebox:{fleet}:fleet`: certificate era seq config_hash, leader_id leader_url leader_until lease,
-- applied_era applied_seq (up to which version the load balancer does what the record says).
-- A node, in hash `farebox:{fleet}:nodes`: `epoch state weight last_seen url admin_url`.
local RECOVERING = '{"outcome":"recovering"}'

local function read_fleet(fleet_key)
  local values = redis.call('HMGET', fleet_key, 'certificate', 'era', 'seq', 'lease', 'leader_id', 'leader_until',
    'applied_era', 'applied_seq')
  return {
    certified = values[1] == fingerprint(),
    era = tonumber(values[2]) or 0,
    seq = tonumber(values[3]) or 0,
    lease = tonumber(values[4]) or 0,
    leader_id = values[5],
    leader_until = tonumber(values[6]) or 0,
    applied_era = tonumber(values[7]) or 0,
    applied_seq = tonumber(values[8]) or 0,
  }
end

local function parse_member(text)
  if not text then return nil end
  local epoch, state, weight, last_seen, url, admin_url =
    string.match(text, '^(%d+) (%a+) (%d+) (%d+) (%S+) (%S+)$')
  return {
    epoch = tonumber(epoch), state = state, weight = tonumber(weight), last_seen = tonumber(last_seen),
    url = url, admin_url = admin_url,
  }
end

local function format_member(node)
  return node.epoch .. ' ' .. node.state .. ' ' .. node.weight .. ' ' .. node.last_seen .. ' ' .. node.url .. ' '
    .. node.admin_url
end

local function holds_lease(fleet, lease, now)
  return fleet.leader_id and fleet.leader_until > now and fleet.lease == lease
end

local function fleet_json(outcome, fleet, more)
  more.outcome, more.era, more.seq = outcome, fleet.era, fleet.seq
  return cjson.encode(more)
end
