-- The open cart of a user, found and read at one moment. The cart's key has the tag of the user's, and lies in its slot.
local HELD = key()
local CARTS, USER = text(), text()
local id = redis.call('GET', HELD)
if not id then return false end
local f = redis.call('HMGET', CARTS .. id, 's', 'u', 'e')
local active = f[1] == 'open' and f[2] == USER and tonumber(f[3]) > clock()
return active and {id, redis.call('HGETALL', CARTS .. id)}
