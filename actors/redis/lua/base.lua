-- What all asks share: their arguments, the kinds of things, versions and lives. See batch.lua for KEYS and ARGV.
-- A reader `read.x` takes the arguments of an ask off ARGV and KEYS, before anything can fail; `run.x` does it. Both are made
-- when the first ask of their letter comes: to make all of them takes longer than a small batch.

local call, pcall_ = redis.call, redis.pcall
local at, key_at = 9, 2
local KEY_COUNT = tonumber(ARGV[8])
local EPOCH, FIRST = tonumber(ARGV[3]), tonumber(ARGV[4])
local VERSIONS_MS = tonumber(ARGV[7])

local parts = {}
local function need(part)
  local make = parts[part]
  parts[part] = nil
  if make then
    make()
  end
end
local run = {}
local read = setmetatable({}, {
  __index = function(read, code)
    for part, letters in pairs({ values = 'gsS', versions = 'vewWc', kinds = 'dx', fields = 'fm', leases = 'qrl', multi = 'pPt' }) do
      if string.find(letters, code, 1, true) then
        need(part)
      end
    end
    return rawget(read, code)
  end,
})

-- Keys and version keys by place: those of one ask have the same. A batch that only gets values needs no version key but to
-- say what stands at a key where it found none: then they are not among its keys, and are made as names.ts makes them. They
-- are in the slot of their keys.
local K = KEYS
local V = setmetatable({}, {
  __index = #KEYS > 2 + KEY_COUNT and function(_, i)
    return KEYS[i + KEY_COUNT]
  end or function(_, i)
    local name = K[i]
    local open = string.find(name, '{', 1, true)
    local close = open and string.find(name, '}', open + 1, true)
    return (close and close > open + 1) and name .. ':version' or '{' .. name .. '}:version'
  end,
})
-- Of all places from the first to the last.
local function keys_at(list)
  return unpack(KEYS, list[1], list[#list])
end
local function versions_at(list)
  return unpack(KEYS, list[1] + KEY_COUNT, list[#list] + KEY_COUNT)
end
-- Keys whose asks wait for memory, and why.
local stuck
-- Of other parts.
local expire_fields, lease_fence, lease_seen
local function check_fence(i, token)
  need('leases')
  lease_fence(i, token)
end
-- A token that was not given here is remembered.
local function see_fence(i, token)
  if token then
    need('leases')
    lease_seen(i, tonumber(token))
  end
end

local function arg()
  local value = ARGV[at]
  at = at + 1
  return value
end

-- Its place.
local function key()
  key_at = key_at + 1
  return key_at
end

local function keys(count)
  local list = {}
  for i = 1, count do
    list[i] = key()
  end
  return list
end

-- Of an ask that is no more than keys.
local function counted()
  return { keys = keys(tonumber(arg())) }
end

-- 1 and a value, or 0.
local function optional()
  return arg() == '1' and arg()
end

local function go(ask)
  if stuck then
    for _, i in ipairs(ask.keys) do
      if stuck[K[i]] then
        error({ err = stuck[K[i]] })
      end
    end
  end
  return run[ask.code](ask)
end

local clock
-- Ms since 1970 by the server.
local function now()
  if not clock then
    local time = call('TIME')
    clock = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end
  return clock
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Whole numbers near 2^53 are not exact in replies.
local function exact(number)
  return number < 2 ^ 52 and number > -2 ^ 52 and number or whole(number)
end

local KIND_NUMBERS = { value = 1, versioned = 2, fields = 3, lease = 4, other = 5 }

-- What stands at a key, or nil.
local function kind(i)
  local its = call('TYPE', V[i]).ok
  if its == 'string' then
    return 'versioned'
  elseif its == 'hash' then
    return 'fields'
  elseif its ~= 'none' then
    return 'other'
  end
  its = call('TYPE', K[i]).ok
  if its == 'none' then
    return nil
  elseif its == 'string' then
    return call('GETRANGE', K[i], 0, 0) == '\3' and 'versioned' or 'value'
  elseif its == 'hash' and call('HEXISTS', K[i], 'keymill:token') == 1 then
    return 'lease'
  end
  return 'other'
end

local function wrong(i)
  error({ err = 'KIND ' .. (kind(i) or 'other') .. ' ' .. K[i] })
end

-- The reply of a command, or an error of ours where it says that the type is wrong.
local function typed(i, reply)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then
      wrong(i)
    end
    error(reply)
  end
  return reply
end

-- Where there was no room: asked for again later; those behind it on the same key must not be done before it.
local function note_full(i, why)
  if string.sub(why, 1, 3) == 'OOM' then
    stuck = stuck or {}
    stuck[K[i]] = why
  end
end

-- What the reply of a command that failed says of this key.
local function why_of(i, reply)
  local _, why = pcall(typed, i, reply)
  why = type(why) == 'table' and why.err or tostring(why)
  note_full(i, why)
  return why
end

local function compare(epoch, n, other_epoch, other_n)
  if epoch ~= other_epoch then
    return epoch < other_epoch and -1 or 1
  end
  return n == other_n and 0 or (n < other_n and -1 or 1)
end

-- Of `epoch n`, with more behind it or not.
local function version_in(text)
  local epoch, n = string.match(text, '^(%S+) (%S+)')
  return tonumber(epoch), tonumber(n)
end

local function set_with_life(name, value, ttl)
  if ttl > 0 then
    call('SET', name, value, 'PX', whole(ttl))
  else
    call('SET', name, value)
  end
end

-- ms of life, 0 for ever.
local function life(name, ttl)
  if ttl > 0 then
    call('PEXPIRE', name, whole(ttl))
  else
    call('PERSIST', name)
  end
end

-- How long a version is known whose value lives so long.
local function keep_of(ttl)
  return ttl > 0 and math.max(ttl, VERSIONS_MS) or 0
end
