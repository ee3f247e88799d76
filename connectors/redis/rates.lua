-- What may be taken of a model endpoint's minute, for all workers: one clock, that of Redis. See rates.py.
--
-- KEYS: the buckets; the workers.
-- ARGV: "take" or "correct"; the worker; then for requests and for tokens each: the limit per minute (0: none), how
-- many to take, how many the worker's lease owes.
-- Gives how many microseconds to wait (0: it is taken), and how many workers there are.

local MINUTE = 60e6
local DAY_S = 86400
-- What may be taken at once, as a part of the limit (bucket.py has the same).
local BURST = 0.1

local buckets, workers = KEYS[1], KEYS[2]
local takes, worker = ARGV[1] == 'take', ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1e6 + time[2]

-- Lua itself would write 14 digits.
local function exact(number)
  return string.format('%.17g', number)
end

local wait = 0
local limited = {}
for index, field in ipairs({'requests', 'tokens'}) do
  local limit, amount, owed = tonumber(ARGV[3 * index]), tonumber(ARGV[3 * index + 1]), tonumber(ARGV[3 * index + 2])
  if limit > 0 then
    -- In less than a minute less than capacity + MINUTE * refill = limit + 1 is taken, and that is a whole number.
    local capacity = math.max(1, BURST * limit)
    local refill = (limit + 1 - capacity) / MINUTE
    -- More than a bucket holds is taken of a full one, and leaves a debt.
    local need = math.min(amount, capacity)
    local kept = redis.call('HMGET', buckets, field, field .. '_at')
    local level = need  -- nobody has seen this one, or what was seen is lost: room for one call
    if kept[1] then
      -- A clock that was set back gives nothing.
      level = math.min(capacity, kept[1] + refill * math.max(0, now - kept[2]))
    end
    level = level - owed
    if takes and level < need then
      wait = math.max(wait, math.ceil((need - level) / refill))
    end
    limited[field] = {level = level, amount = amount, capacity = capacity}
  end
end

-- Only now is it known whether both have room.
for field, bucket in pairs(limited) do
  local taken = wait == 0 and bucket.amount or 0
  local level = math.min(bucket.capacity, bucket.level - taken)
  redis.call('HSET', buckets, field, exact(level), field .. '_at', exact(now))
end
redis.call('EXPIRE', buckets, DAY_S)

if takes then
  redis.call('ZADD', workers, exact(now), worker)
  redis.call('ZREMRANGEBYSCORE', workers, '-inf', exact(now - MINUTE))
  redis.call('EXPIRE', workers, DAY_S)
end
return {wait, redis.call('ZCARD', workers)}
