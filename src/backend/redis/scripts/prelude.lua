-- KEYS[1] is the entry, KEYS[2] the writers that hold it. An entry is 49 bytes and the payload:
--   kind (V value, L leased stub, T dropped, P held) | version | floor | soft expiry or end of the holds | end of the lease | token
-- Numbers are 8 bytes each, the greatest first, worked on in halves: Lua's own lose precision past 2^53, and its string
-- comparison follows the server's locale. Time is the server's: no client's clock is trusted.
local Z8 = string.rep('\0', 8)
local Z16 = string.rep('\0', 16)
local K, HK = KEYS[1], KEYS[2]
local function clock() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local function u8(n) return struct.pack('>I4I4', math.floor(n / 4294967296), n % 4294967296) end
local function d8(s) local a, b = struct.unpack('>I4I4', s) return a * 4294967296 + b end
local function lt(x, y)
  local a, b = struct.unpack('>I4I4', x)
  local c, d = struct.unpack('>I4I4', y)
  return a < c or (a == c and b < d)
end
local h = redis.call('GETRANGE', K, 0, 48)
local n = clock()
