-- Which layout the keys have, the epoch, and what the server tells of itself. Whoever comes first names the layout: a
-- server that takes no writes says so here.
local EPOCH, LAYOUT = key(), key()
local wanted = text()
redis.call('SET', LAYOUT, wanted, 'NX')
local facts = {}
for _, section in ipairs({'server', 'memory', 'persistence', 'replication'}) do
  facts[#facts + 1] = redis.call('INFO', section)
end
return {redis.call('GET', LAYOUT), redis.call('GET', EPOCH) or '0', table.concat(facts, '\n')}
