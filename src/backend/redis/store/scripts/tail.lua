-- The last change, and the epoch.
local EPOCH, CHANGES = key(), key()
return {redis.call('GET', EPOCH) or '0', redis.call('XREVRANGE', CHANGES, '+', '-', 'COUNT', 1)}
