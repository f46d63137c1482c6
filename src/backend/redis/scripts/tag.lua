-- ARGV: a new generation, kept for ms, raise ('1') or not. Answers the generation that the tag has now.
local known = ARGV[3] ~= '1' and redis.call('GET', K)
if known then return known end
local done = redis.pcall('SET', K, ARGV[1], 'PX', ARGV[2])
-- Out of memory: a tag that is gone has another generation whenever it is asked for.
if type(done) == 'table' and done.err then redis.call('DEL', K) end
return ARGV[1]
