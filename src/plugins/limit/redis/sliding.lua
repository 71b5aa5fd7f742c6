-- Counts one request against the sliding window KEYS[1] of ARGV[1] ms and ARGV[2] requests; returns whether it passes, and
-- the requests of the current bucket, those of the one before it, and the ms since the current one began.
local width, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local elapsed = now % width
local bucket = (now - elapsed) / width
local state = redis.call('HMGET', KEYS[1], 'bucket', 'used', 'previous')
local last, used, previous = tonumber(state[1]) or bucket, tonumber(state[2]) or 0, tonumber(state[3]) or 0
if bucket > last then
  previous = bucket == last + 1 and used or 0
  used = 0
elseif bucket < last then
  -- another server's clock was ahead
  bucket, elapsed = last, 0
end
if (used + 1) * width + previous * (width - elapsed) > limit * width then
  return {0, used, previous, elapsed}
end
used = used + 1
redis.call('HSET', KEYS[1], 'bucket', string.format('%.0f', bucket), 'used', string.format('%.0f', used),
  'previous', string.format('%.0f', previous))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(2 * width, 1e15)))
return {1, used, previous, elapsed}
