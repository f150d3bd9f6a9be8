-- Reads the epoch of the store, and raises it where it was not made for the masters that there are now: one that was
-- restarted or took over may have lost what it had.
--
-- KEYS[1]  the record: a hash of `epoch`, `first` (the first one ever) and `masters` (replication ids, the last 64)
-- ARGV[1]  highest epoch, and ARGV[2] first epoch, that the caller knows of; 0 for none
-- ARGV[3..]  replication ids of the masters there are now
--
-- Returns { epoch, first, masters }.

local found = redis.call('HMGET', KEYS[1], 'epoch', 'first', 'masters')
local epoch, first, masters = tonumber(found[1] or 0), tonumber(found[2] or 0), found[3] or ''
local known_epoch, known_first = tonumber(ARGV[1]), tonumber(ARGV[2])
local fresh = {}
for i = 3, #ARGV do
  if not string.find(masters, ARGV[i], 1, true) then
    fresh[#fresh + 1] = ARGV[i]
  end
end
if #fresh == 0 and epoch > 0 and epoch >= known_epoch then
  return { epoch, first, masters }
end
local time = redis.call('TIME')
epoch = math.max(epoch + 1, known_epoch + 1, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
for _, known in ipairs({ first, known_first, epoch }) do
  if known > 0 and (first == 0 or known < first) then
    first = known
  end
end
for _, id in ipairs(fresh) do
  masters = masters == '' and id or masters .. ' ' .. id
end
while #masters > 64 * 41 do
  masters = string.sub(masters, 42)
end
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'first', string.format('%.0f', first), 'masters', masters)
return { epoch, first, masters }
