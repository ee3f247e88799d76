-- KEYS: the answer, the lease. ARGV: what to do, the token, milliseconds, bytes.
-- All of it happens at once, so a leader that was believed dead cannot write over what its successor found.
local what, token, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])

if what == 'claim' then
    local kept = redis.call('GET', KEYS[1])
    if kept then
        return kept
    end
end
local leader = redis.call('GET', KEYS[2])
if what == 'claim' or what == 'lead' then
    if leader and leader ~= token then
        return 0
    end
    redis.call('SET', KEYS[2], token, 'PX', ttl)
    return 1
elseif what == 'put' then
    if leader ~= token and (leader or redis.call('EXISTS', KEYS[1]) == 1) then
        return 0
    end
    redis.call('SET', KEYS[1], ARGV[4], 'PX', ttl)
    return 1
elseif what == 'release' then
    if leader == token then
        redis.call('DEL', KEYS[2])
    end
    return 1
end
return redis.error_reply('unknown: ' .. what)
