-- The carts that have not ended, in the order asked for.
local now = clock()
local found = {}
for i, row in ipairs(KEYS) do
  local ends = redis.call('HGET', row, 'e')
  found[i] = ends and tonumber(ends) > now and redis.call('HGETALL', row)
end
return found
