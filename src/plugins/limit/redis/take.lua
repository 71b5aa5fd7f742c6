-- Enters ARGV[1] among the running requests KEYS[1] for ARGV[3] ms if there are fewer than ARGV[2]; returns how many there are
-- then, or nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local running = redis.call('ZCARD', KEYS[1])
if running >= tonumber(ARGV[2]) then
  return false
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return running + 1
