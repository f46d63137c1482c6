-- ARGV: hold in ms, writer. Answers 1 if this writer's hold was in force until now, 0 if not.
redis.call('ZREMRANGEBYSCORE', HK, '-inf', n)
local before = redis.call('ZSCORE', HK, ARGV[2]) and 1 or 0
redis.call('ZADD', HK, n + ARGV[1], ARGV[2])
-- The holds are a set: an entry with room for one writer forgets the others.
local m = tonumber(redis.call('ZREVRANGE', HK, 0, 0, 'WITHSCORES')[2])
redis.call('PEXPIREAT', HK, m)
if #h < 49 then
  redis.call('SET', K, 'P' .. Z8 .. Z8 .. u8(m) .. Z8 .. Z16, 'PX', m - n)
  return before
end
redis.call('SETRANGE', K, 17, u8(m) .. Z8 .. Z16)
redis.call('SETRANGE', K, 0, 'P')
if redis.call('PTTL', K) < m - n then redis.call('PEXPIRE', K, m - n) end
return before
