-- ARGV: token, version, fresh for ms, kept for ms, payload, read from the writer ('1') or not.
if #h < 49 or h:sub(34, 49) ~= ARGV[1] then return 0 end
local fl = h:sub(10, 17)
if ARGV[6] ~= '1' and lt(ARGV[2], fl) then
  redis.call('SETRANGE', K, 25, Z8 .. Z16)
  return -1
end
if lt(fl, ARGV[2]) then fl = ARGV[2] end
redis.call('SET', K, 'V' .. ARGV[2] .. fl .. u8(n + ARGV[3]) .. Z8 .. Z16 .. ARGV[5], 'PX', ARGV[4])
return 1
