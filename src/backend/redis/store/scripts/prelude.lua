-- Every key of the store has one tag, so that a cluster keeps them together; what a script is told comes in the order in which
-- it is asked for. A cart is a hash: v version, u user, s status, c currency, e end, t created, m changed, and +KEY for each
-- line: its units, when it was added, its options. Times are microseconds. What Lua's numbers would round stays text.
local ROOT = 7
local keys_taken, arguments_taken = 0, 0
local function key() keys_taken = keys_taken + 1 return KEYS[keys_taken] end
local function text() arguments_taken = arguments_taken + 1 return ARGV[arguments_taken] end
local function number() return tonumber(text()) end
-- Lua would write a time as 1.8e+15.
local function digits(n) return string.format('%.0f', n) end
-- The server's clock, moved only by tests.
local SHIFT = number()
local function clock() local t = redis.call('TIME') return t[1] * 1000000 + t[2] + SHIFT end
