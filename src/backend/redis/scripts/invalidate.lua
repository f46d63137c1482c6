-- ARGV: writer (zeros if none), version, holdoff in ms, keep as stale for ms, channel, name to tell.
redis.call('ZREM', HK, ARGV[1])
redis.call('ZREMRANGEBYSCORE', HK, '-inf', n)
local top = redis.call('ZREVRANGE', HK, 0, 0, 'WITHSCORES')[2]
local fl = ARGV[2]
if #h >= 49 then
  fl = h:sub(10, 17)
  if lt(fl, ARGV[2]) then fl = ARGV[2] end
end
local done
if top then
  -- Another writer is at work: it stays held, only the floor rises.
  if #h < 49 then
    done = redis.pcall('SET', K, 'P' .. Z8 .. fl .. u8(tonumber(top)) .. Z8 .. Z16, 'PX', tonumber(top) - n)
  else
    done = redis.pcall('SETRANGE', K, 9, fl .. u8(tonumber(top)) .. Z8 .. Z16)
    redis.pcall('SETRANGE', K, 0, 'P')
  end
elseif #h >= 49 and h:sub(1, 1) == 'V' and n < d8(h:sub(18, 25)) and ARGV[2] ~= Z8 and not lt(h:sub(2, 9), ARGV[2]) then
  -- What is there was loaded after this write.
  done = false
elseif #h >= 49 and (h:sub(1, 1) == 'T' or h:sub(1, 1) == 'L') and ARGV[2] ~= Z8 and not lt(h:sub(10, 17), ARGV[2]) then
  -- Known already, and told once more by the feed: a lease that was given since is as good as before.
  done = false
elseif #h < 49 or ARGV[4] == '0' then
  done = redis.pcall('SET', K, 'T' .. Z8 .. fl .. Z8 .. Z8 .. Z16, 'PX', ARGV[3])
else
  done = redis.pcall('SETRANGE', K, 9, fl .. Z8 .. Z8 .. Z16)
  redis.pcall('SETRANGE', K, 0, 'T')
  redis.call('PEXPIRE', K, math.max(tonumber(ARGV[3]), tonumber(ARGV[4])))
end
-- Out of memory: an entry that is gone serves nothing and makes every lease void; only the floor is lost.
if type(done) == 'table' and done.err then redis.call('DEL', K) end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return n
