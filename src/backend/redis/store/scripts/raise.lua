-- The next epoch.
return redis.call('INCR', key())
