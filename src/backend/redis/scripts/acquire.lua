-- ARGV: token, lease in ms, early ('1') or not. Answers: kind, the server's time, and what goes with the kind.
if #h < 49 then
  redis.call('SET', K, 'L' .. Z8 .. Z8 .. Z8 .. u8(n + ARGV[2]) .. ARGV[1], 'PX', ARGV[2])
  return {'W', n, Z8}
end
local k, soft, ld = h:sub(1, 1), d8(h:sub(18, 25)), d8(h:sub(26, 33))
local fresh = k == 'V' and n < soft
if fresh and (ARGV[3] ~= '1' or ld > n) then
  return {'H', n, h:sub(2, 9), soft - n, redis.call('GETRANGE', K, 49, -1)}
end
if k == 'P' and n < soft then return {'P', n} end
local stale = redis.call('GETRANGE', K, 49, -1)
if ld > n then return {'Z', n, stale} end
redis.call('SETRANGE', K, 25, u8(n + ARGV[2]) .. ARGV[1])
if redis.call('PTTL', K) < tonumber(ARGV[2]) then redis.call('PEXPIRE', K, ARGV[2]) end
return {'W', n, h:sub(10, 17), stale}
