-- What became of a commit: its answer, if it is through; else a void in its place, so that it never will be.
local COMMIT = key()
local LIFE = text()
local known = redis.call('GET', COMMIT)
if known and known ~= '' then return {'done', known} end
redis.call('SET', COMMIT, '', 'PX', LIFE)
return {'void'}
