-- A page of the keys of one server that a reader would find.
--
-- ARGV[1]  cursor, `0` at the beginning
-- ARGV[2]  pattern
-- ARGV[3]  keys to look at, about
-- ARGV[4]  `keys`: the pattern is of keys; `versions`: of version keys, and their fields that have nothing but versions are told
--
-- Returns { cursor, names }. Names of version keys are among them only where nothing stands at the key itself.

local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local names = {}
for _, name in ipairs(page[2]) do
  local its = redis.call('TYPE', name).ok
  local is_there = its ~= 'none'
  if string.sub(name, -8) == ':version' and string.find(name, '{', 1, true) then
    local plain = string.sub(name, 1, -9)
    local bare = string.match(plain, '^{([^}]*)}$')
    is_there = false
    if its == 'hash' and redis.call('EXISTS', bare or plain) == 0 then
      local ends = tonumber(redis.call('HGET', name, 'u') or 0)
      is_there = ends == 0 or ends > now
    end
  elseif ARGV[4] == 'versions' then
    is_there = false
  elseif its == 'hash' then
    local held = redis.call('HMGET', name, 'keymill:token', 'holder', 'until')
    is_there = not held[1] or (held[2] ~= '' and tonumber(held[3]) > now)
  end
  if is_there then
    names[#names + 1] = name
  end
end
return { page[1], names }
