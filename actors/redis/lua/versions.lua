-- Values with a version. A version key of a value is the text `epoch n flag id`: flag v with a value, r where it was removed;
-- id of the compareAndSet that wrote it, if it was one. It outlives the value.

-- v: count. { values, versions }.
read.v = counted
run.v = function(ask)
  local values, versions = call('MGET', keys_at(ask.keys)), call('MGET', versions_at(ask.keys))
  for j, i in ipairs(ask.keys) do
    if not versions[j] and not values[j] and call('EXISTS', K[i], V[i]) > 0 then
      values[j] = KIND_NUMBERS[kind(i)]
    end
  end
  return { values, versions }
end

-- e: count. { values, versions, ms left as PTTL says it }.
read.e = counted
run.e = function(ask)
  local reply = run.v(ask)
  local left = {}
  for j, i in ipairs(ask.keys) do
    left[j] = reply[1][j] and call('PTTL', K[i]) or 0
  end
  reply[3] = left
  return reply
end

-- What is known of a versioned value, or nil. Its value may have expired.
local function record_at(i)
  local text = typed(i, pcall_('GET', V[i]))
  if not text then
    local first = typed(i, pcall_('GETRANGE', K[i], 0, 0))
    -- A mark without a version: somebody removed the version key.
    if first ~= '\3' and (first ~= '' or call('EXISTS', K[i]) == 1) then
      wrong(i)
    end
    return nil
  end
  local epoch, n, flag, id = string.match(text, '^(%S+) (%S+) (%a) ?(.*)$')
  return { epoch = tonumber(epoch), n = tonumber(n), is_removed = flag == 'r', id = id }
end

-- `value` has its marks; false removes it.
local function put(i, epoch, n, value, ttl, id)
  local version = whole(epoch) .. ' ' .. whole(n) .. (value and ' v' or ' r')
  if id then
    version = version .. ' ' .. id
  end
  if value then
    set_with_life(K[i], value, ttl)
    set_with_life(V[i], version, keep_of(ttl))
  else
    set_with_life(V[i], version, VERSIONS_MS)
    call('DEL', K[i])
  end
  return { 1, exact(epoch), exact(n) }
end

-- w: ttl, epoch, n, value if any, fence if any.
read.w = function()
  local ask = { keys = { key() }, ttl = tonumber(arg()), epoch = tonumber(arg()), n = tonumber(arg()), value = optional() }
  ask.token = optional()
  if ask.token then
    ask.keys[2] = key()
  end
  return ask
end
run.w = function(ask)
  local i = ask.keys[1]
  if ask.token then
    check_fence(ask.keys[2], tonumber(ask.token))
  end
  local before = record_at(i)
  see_fence(ask.keys[2], ask.token)
  if before then
    local order = compare(ask.epoch, ask.n, before.epoch, before.n)
    if order < 0 then
      return { -1, exact(before.epoch), exact(before.n) }
    elseif order == 0 and (before.is_removed or call('EXISTS', K[i]) == 1) then
      return { 0, exact(before.epoch), exact(before.n) }
    end
  end
  return put(i, ask.epoch, ask.n, ask.value, ask.ttl)
end

-- W: ttl, count, then epoch, n and value for each. Many asks as one: 1 if all were, else for each 1, what w gives, or why it failed.
read.W = function()
  local ask = { ttl = tonumber(arg()) }
  local count = tonumber(arg())
  ask.keys, ask.values = keys(count), at
  at = at + 3 * count
  return ask
end
run.W = function(ask)
  local replies, written, plain = {}, {}, 0
  local list, from, ttl = ask.keys, ask.values, ask.ttl
  local life_ms, keep_ms = whole(ttl), whole(keep_of(ttl))
  local known = call('MGET', versions_at(list))
  for j, i in ipairs(list) do
    local name, epoch, n, value = K[i], ARGV[from], ARGV[from + 1], ARGV[from + 2]
    from = from + 3
    local record = known[j]
    local is_newer = false
    if record and not written[name] then
      local before_epoch, before_n = version_in(record)
      is_newer = compare(tonumber(epoch), tonumber(n), before_epoch, before_n) > 0
    elseif not record and not written[name] then
      is_newer = call('EXISTS', name, V[i]) == 0
    end
    if is_newer and ttl > 0 then
      written[name] = true
      local reply = pcall_('SET', name, value, 'PX', life_ms)
      if reply.ok then
        reply = pcall_('SET', V[i], epoch .. ' ' .. n .. ' v', 'PX', keep_ms)
      end
      replies[j] = reply.err and why_of(i, reply) or 1
      if not reply.err then
        plain = plain + 1
      end
    else
      written[name] = true
      local one = { keys = { i }, ttl = ttl, epoch = tonumber(epoch), n = tonumber(n), value = value }
      local ok, reply = pcall(run.w, one)
      if not ok then
        reply = why_of(i, type(reply) == 'table' and reply or { err = tostring(reply) })
      end
      replies[j] = reply
    end
  end
  return plain == #list and 1 or replies
end

-- c: ttl, id, what is expected (any, none, or `epoch n`), what was seen (-, none, or `epoch n`), what it must be above (none,
-- or `epoch n`), value if any, fence if any.
read.c = function()
  local ask = { keys = { key() }, ttl = tonumber(arg()), id = arg(), expected = arg(), seen = arg(), above = arg() }
  ask.value = optional()
  ask.token = optional()
  if ask.token then
    ask.keys[2] = key()
  end
  return ask
end

local function is_expected(i, before, ask)
  if ask.expected == 'any' then
    return true
  elseif ask.expected ~= 'none' then
    local epoch, n = version_in(ask.expected)
    return before and not before.is_removed and compare(epoch, n, before.epoch, before.n) == 0
  elseif before and call('EXISTS', K[i]) == 1 then
    return false
  elseif ask.seen == '-' then
    return true
  elseif ask.seen == 'none' then
    return not before
  end
  local epoch, n = version_in(ask.seen)
  return before and compare(epoch, n, before.epoch, before.n) == 0
end

run.c = function(ask)
  local i = ask.keys[1]
  local before = record_at(i)
  if before and before.id == ask.id then
    return { 1, exact(before.epoch), exact(before.n) }
  end
  if ask.token then
    check_fence(ask.keys[2], tonumber(ask.token))
  end
  see_fence(ask.keys[2], ask.token)
  if not is_expected(i, before, ask) then
    return before and { -1, exact(before.epoch), exact(before.n) } or { -1, exact(EPOCH), exact(0) }
  end
  local epoch, n = EPOCH, 1
  -- A version that was born here before the store lost something is of no use: readers may have seen higher ones of that epoch.
  if before and (before.epoch >= EPOCH or before.epoch < FIRST and call('EXISTS', K[i]) == 1) then
    epoch, n = before.epoch, before.n + 1
  end
  if ask.above ~= 'none' then
    local above_epoch, above_n = version_in(ask.above)
    if compare(epoch, n, above_epoch, above_n) <= 0 then
      epoch, n = above_epoch, above_n + 1
    end
  end
  return put(i, epoch, n, ask.value, ask.ttl, ask.id)
end
