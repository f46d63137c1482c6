-- The changes behind a place. The entry that the place names must be there still, and be the one that was told: else
-- something behind it was dropped, or a failover has lost it and other changes took its number.
local EPOCH, CHANGES = key(), key()
local FROM, PLACE, NONCE, MOST = text(), number(), text(), number()
local epoch = redis.call('GET', EPOCH) or '0'
if FROM ~= '' and FROM ~= epoch then return {'restored', epoch} end
local from = PLACE == 0 and '-' or digits(PLACE) .. '-0'
local found = redis.call('XRANGE', CHANGES, from, '+', 'COUNT', MOST + 2)
if PLACE > 0 then
  local named = table.remove(found, 1)
  if not named or named[1] ~= from or named[2][2] ~= NONCE then return {'dropped'} end
elseif FROM ~= '' and found[1] and found[1][1] ~= '1-0' then
  return {'dropped'}
end
local more = found[MOST + 1] and 1 or 0
while #found > MOST do table.remove(found) end
return {'page', epoch, more, found}
