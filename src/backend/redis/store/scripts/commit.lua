-- Applies a write set, or tells what does not hold: everything is looked at before anything is written.
local EPOCH, COMMIT, CHANGES = key(), key(), key()
local RECORD_LIFE, KEY_LIFE, GRACE, FEED = number(), number(), number(), number()
local MOST_UNITS, MOST_LINES, OWNERS = number(), number(), text()
local MADE_IN, NONCE, ACTOR, EVENTS = text(), text(), text(), text()
local now = clock()

local known = redis.call('GET', COMMIT)
if known == '' then return {'void'} end
if known then return {'done', known} end

local once, owner, print
if number() == 1 then
  once, owner, print = key(), text(), text()
  local found = redis.call('GET', once)
  if found then
    local by, of = found:match('^(%S+) (%S+)$')
    if of == print then return {'replay', by, digits(now)} end
    return {'reused', by}
  end
end
local epoch = redis.call('GET', EPOCH) or '0'
if epoch ~= MADE_IN then return {'epoch', epoch} end

local carts = {}
local function cart(row)
  local found = carts[row]
  if not found then
    local f = redis.call('HMGET', row, 'v', 's', 'e', 'u')
    found = {version = tonumber(f[1] or 0), ends = f[3] or '0', user = f[4]}
    found.here = found.version > 0 and tonumber(found.ends) > now
    found.live = found.here and f[2] == 'open'
    carts[row] = found
  end
  return found
end

local puts, deletes, steps, releases, claims = {}, {}, {}, {}, {}
for i = 1, number() do
  local put = {row = key(), id = text(), expected = number(), live = text(), whole = text(), life = text(), fields = {}}
  for f = 1, number() do put.fields[f] = text() end
  local found = cart(put.row)
  if found.version ~= put.expected then return {'put', i - 1, found.version} end
  if put.live == '1' and not found.live then return {'shut_put', i - 1} end
  local length = put.life:match('^%+(%d+)$')
  put.ends = length and digits(now + tonumber(length)) or put.life
  puts[i] = put
end
for i = 1, number() do
  local gone = {row = key(), id = text(), expected = number()}
  local found = cart(gone.row)
  if found.version ~= gone.expected then return {'delete', i - 1, found.version} end
  deletes[i] = gone
end
for i = 1, number() do
  local found, seen = cart(key()), number()
  -- Who has ended reads as absent.
  local holds = found.version == seen or (seen == 0 and not found.here)
  if not holds then return {'read', i - 1, found.version} end
end
for i = 1, number() do
  local step = {row = key(), id = text(), field = text(), units = number(), rest = text(), life = number()}
  local found = cart(step.row)
  if found.version == 0 then return {'absent', i - 1} end
  if not found.live then return {'shut', i - 1} end
  steps[i] = step
end

local released = {}
for i = 1, number() do
  local release = {row = key(), owner = text()}
  -- What another owns is not set free.
  released[release.row] = released[release.row] or redis.call('GET', release.row) == release.owner
  releases[i] = release
end
for i = 1, number() do
  local claim = {row = key(), owner = text(), put = number()}
  local found = redis.call('GET', claim.row)
  if found and found ~= claim.owner and not released[claim.row] then return {'claim', i - 1, found} end
  claims[i] = claim
end

local lines, counts = {}, {}
for i, step in ipairs(steps) do
  local place = step.row .. ' ' .. step.field
  local line = lines[place]
  if not line then
    local stored = redis.call('HGET', step.row, step.field)
    local units, rest = 0, step.rest
    if stored then
      units, rest = stored:match('^(%d+) (.*)$')
    else
      local count = counts[step.row] or redis.call('HLEN', step.row) - ROOT
      if count >= MOST_LINES then return {'lines', i - 1} end
      counts[step.row] = count + 1
    end
    line = {row = step.row, field = step.field, units = tonumber(units), rest = rest}
    lines[place] = line
  end
  line.units = line.units + step.units
  if line.units > MOST_UNITS then return {'line', i - 1} end
end

local changed = {}
for _, step in ipairs(steps) do
  local found = carts[step.row]
  if not found.life then
    found.id, found.life = step.id, 0
    changed[#changed + 1] = step.row
  end
  found.life = math.max(found.life, step.life)
end

if #puts + #deletes + #steps + #releases + #claims == 0 and not once then return {'done', digits(now)} end

-- From here on nothing can fail: the server checks its memory, its disk and its replicas before the first write of a script.
local last = redis.call('XREVRANGE', CHANGES, '+', '-', 'COUNT', 1)[1]
local place = last and tonumber(last[1]:match('^%d+')) or 0
local answer = {digits(now)}
local function tell(id, version, action)
  place = place + 1
  answer[#answer + 1] = digits(version)
  redis.call('XADD', CHANGES, 'MAXLEN', '~', FEED, digits(place) .. '-0', 'w', NONCE, 'k', id, 'v', digits(version),
    'a', action, 't', digits(now), 'b', ACTOR, 'e', EVENTS)
end
for _, put in ipairs(puts) do tell(put.id, put.expected + 1, 'put') end
for _, gone in ipairs(deletes) do tell(gone.id, gone.expected + 1, 'delete') end
for _, row in ipairs(changed) do tell(carts[row].id, carts[row].version + 1, 'delta') end

-- In milliseconds of the server's own clock, a while after the end that decides.
local function removal(ends) return digits(math.max(math.ceil((tonumber(ends) - SHIFT) / 1000) + GRACE, 1)) end
for _, put in ipairs(puts) do
  if put.whole == '1' then redis.call('DEL', put.row) end
  redis.call('HSET', put.row, 'v', digits(put.expected + 1), 'e', put.ends)
  for f = 1, #put.fields, 2 do redis.call('HSET', put.row, put.fields[f], put.fields[f + 1]) end
  redis.call('PEXPIREAT', put.row, removal(put.ends))
end
for _, gone in ipairs(deletes) do redis.call('DEL', gone.row) end
for _, line in pairs(lines) do redis.call('HSET', line.row, line.field, digits(line.units) .. ' ' .. line.rest) end
for _, row in ipairs(changed) do
  local found = carts[row]
  local ends = found.ends
  if now + found.life > tonumber(ends) then ends = digits(now + found.life) end
  redis.call('HSET', row, 'v', digits(found.version + 1), 'e', ends, 'm', digits(now))
  redis.call('PEXPIREAT', row, removal(ends))
  -- A user's key lives as long as the cart that it leads to.
  local held = OWNERS .. found.user
  if found.user ~= '' and redis.call('GET', held) == found.id then redis.call('PEXPIREAT', held, removal(ends)) end
end
for _, release in ipairs(releases) do
  if redis.call('GET', release.row) == release.owner then redis.call('DEL', release.row) end
end
for _, claim in ipairs(claims) do
  redis.call('SET', claim.row, claim.owner)
  if claim.put > 0 then redis.call('PEXPIREAT', claim.row, removal(puts[claim.put].ends)) end
end
if once then redis.call('SET', once, owner .. ' ' .. print, 'PX', KEY_LIFE) end
local record = table.concat(answer, ' ')
redis.call('SET', COMMIT, record, 'PX', RECORD_LIFE)
return {'done', record}
