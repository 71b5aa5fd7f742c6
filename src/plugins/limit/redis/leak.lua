-- Pours one request into the bucket KEYS[1], which leaks ARGV[1] requests a second and holds ARGV[2]; returns the excess in
-- thousandths of a request, or nothing when it would run over.
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'excess', 'last')
local excess, last = tonumber(state[1]), tonumber(state[2])
if excess and last then
  now = math.max(now, last)
  excess = math.max(excess - rate * (now - last) + 1000, 0)
  if excess > burst * 1000 then
    return false
  end
else
  excess = 0
end
local text = string.format('%.17g', excess)
redis.call('HSET', KEYS[1], 'excess', text, 'last', string.format('%.0f', now))
-- until the bucket is as good as new; at most 10 years
redis.call('EXPIRE', KEYS[1], string.format('%.0f', math.min(math.ceil((burst + 1) / rate) + 1, 315360000)))
return text
