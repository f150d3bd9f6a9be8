-- Hashes whose fields have versions of their own. The hash at the key has the fields and nothing else. Its version key is a
-- hash too: `f` and a name → `epoch n` of that field, and
--   v  highest version    g  1: a tombstone    u  end of its life, ms since 1970, 0 for ever
--   l  floor: fields without a version of their own were removed by this change    o  1: they expired instead
-- After `u` only `v` and `g` count, the fields are gone, and the floor is `v`.

-- f: count. Each { what the version key has, fields }, false for none, a number for another kind.
read.f = counted
run.f = function(ask)
  local found = {}
  for j, i in ipairs(ask.keys) do
    found[j] = false
    local ends = pcall_('HGET', V[i], 'u')
    if type(ends) == 'table' then
      found[j] = KIND_NUMBERS[kind(i)]
    elseif not ends then
      found[j] = call('EXISTS', K[i]) == 1 and KIND_NUMBERS[kind(i)] or false
    elseif ends == '0' or tonumber(ends) > now() then
      found[j] = { call('HGETALL', V[i]), typed(i, pcall_('HGETALL', K[i])) }
    end
  end
  return found
end

expire_fields = function(i, ttl)
  local meta = call('HMGET', V[i], 'u', 'g')
  local ends = tonumber(meta[1])
  if ends > 0 and ends <= now() then
    return 0
  end
  local fresh = ttl > 0 and now() + ttl or 0
  -- What only keeps others out may not go sooner.
  if meta[2] == '1' and (ends == 0 or (fresh > 0 and ends > fresh)) then
    fresh = ends
  end
  call('HSET', V[i], 'u', whole(fresh))
  life(K[i], fresh > 0 and fresh - now() or 0)
  local kept = call('PTTL', V[i])
  if kept >= 0 and (fresh == 0 or kept < fresh - now()) then
    life(V[i], fresh > 0 and fresh - now() or 0)
  end
  return 1
end

-- m: ttl, epoch, n, whole, gone, count, then name and value if any for each; fence if any; channel and message if any.
read.m = function()
  local ask = { keys = { key() }, ttl = tonumber(arg()), epoch = tonumber(arg()), n = tonumber(arg()) }
  ask.is_whole, ask.is_gone = arg() == '1', arg() == '1'
  ask.names, ask.values = {}, {}
  for j = 1, tonumber(arg()) do
    ask.names[j] = arg()
    ask.values[j] = optional()
  end
  ask.token = optional()
  if ask.token then
    ask.keys[2] = key()
  end
  ask.channel = optional()
  ask.message = ask.channel and arg()
  return ask
end

-- What stands there, or nil: with the versions of the fields that are asked for, or of all.
local function fields_at(i, ask)
  local needs_all = ask.is_whole or ask.is_gone
  local meta = typed(i, pcall_('HMGET', V[i], 'v', 'g', 'u', 'l', 'o'))
  if not meta[1] then
    if call('EXISTS', K[i]) == 1 then
      wrong(i)
    end
    return nil
  end
  local before = { is_gone = meta[2] == '1', slots = {} }
  before.epoch, before.n = version_in(meta[1])
  local ends = tonumber(meta[3])
  before.is_expired = ends > 0 and ends <= now()
  if before.is_expired then
    before.floor, before.is_open = meta[1], not before.is_gone
    return before
  end
  before.floor, before.is_open = meta[4] or nil, meta[5] == '1'
  if needs_all then
    local all = call('HGETALL', V[i])
    for j = 1, #all, 2 do
      if string.sub(all[j], 1, 1) == 'f' then
        before.slots[string.sub(all[j], 2)] = all[j + 1]
      end
    end
  else
    for _, name in ipairs(ask.names) do
      before.slots[name] = call('HGET', V[i], 'f' .. name) or nil
    end
  end
  return before
end

-- Whether what stands at this field is older, or has expired at this version.
local function admits(before, name, ask)
  local slot = before.slots[name]
  if slot then
    local epoch, n = version_in(slot)
    return compare(ask.epoch, ask.n, epoch, n) > 0
  elseif not before.floor then
    return true
  end
  local epoch, n = version_in(before.floor)
  local order = compare(ask.epoch, ask.n, epoch, n)
  return order > 0 or (order == 0 and before.is_open)
end

-- Slots older than the new floor go, but for those named; the floor never falls.
local function raise(i, before, ask, named, plan)
  for name, slot in pairs(before.slots) do
    local epoch, n = version_in(slot)
    if not named[name] and compare(epoch, n, ask.epoch, ask.n) < 0 then
      plan.changes[#plan.changes + 1] = { name = name }
      if call('HEXISTS', K[i], name) == 1 then
        plan.applied[#plan.applied + 1] = name
      end
    end
  end
  if before.floor then
    local epoch, n = version_in(before.floor)
    if compare(epoch, n, ask.epoch, ask.n) > 0 then
      return
    end
  end
  plan.floor, plan.is_open = whole(ask.epoch) .. ' ' .. whole(ask.n), false
end

-- What a merge does: changes of slots (without a version: the slot goes), names that it applied, and the floor.
local function plan_of(i, before, ask, order)
  local plan = { changes = {}, applied = {}, floor = before.floor, is_open = before.is_open }
  local version = whole(ask.epoch) .. ' ' .. whole(ask.n)
  local named = {}
  for j, name in ipairs(ask.names) do
    named[name] = true
    if admits(before, name, ask) then
      local value = ask.values[j]
      if value or not ask.is_whole then
        plan.changes[#plan.changes + 1] = { name = name, value = value, version = version }
        plan.applied[#plan.applied + 1] = name
      elseif before.slots[name] then
        -- The floor says so of every field without a slot.
        plan.changes[#plan.changes + 1] = { name = name }
        plan.applied[#plan.applied + 1] = name
      end
    end
  end
  -- Another change of this version stands there, which should not be; the first stays.
  if ask.is_whole or (ask.is_gone and not (order == 0 and not before.is_expired)) then
    raise(i, before, ask, named, plan)
  end
  return plan
end

local function put_fields(i, before, ask, plan, order, epoch, n)
  local name, versions = K[i], V[i]
  local is_gone = before.is_gone
  if order >= 0 then
    is_gone = ask.is_gone
  end
  if before.is_expired then
    call('DEL', name, versions)
  end
  for _, change in ipairs(plan.changes) do
    if change.value then
      call('HSET', name, change.name, change.value)
    else
      call('HDEL', name, change.name)
    end
    if change.version then
      call('HSET', versions, 'f' .. change.name, change.version)
    else
      call('HDEL', versions, 'f' .. change.name)
    end
  end
  local ttl = is_gone and 2 * ask.ttl or ask.ttl
  local ends = ttl > 0 and whole(now() + ttl) or '0'
  call('HSET', versions, 'v', whole(epoch) .. ' ' .. whole(n), 'g', is_gone and '1' or '0', 'u', ends)
  if plan.floor then
    call('HSET', versions, 'l', plan.floor, 'o', plan.is_open and '1' or '0')
  end
  life(name, ttl)
  life(versions, keep_of(ttl))
end

run.m = function(ask)
  local i = ask.keys[1]
  if ask.token then
    check_fence(ask.keys[2], tonumber(ask.token))
  end
  local found = fields_at(i, ask)
  local before = found or { slots = {} }
  local order = found and compare(ask.epoch, ask.n, before.epoch, before.n) or 1
  local plan = plan_of(i, before, ask, order)
  local epoch, n = ask.epoch, ask.n
  if order <= 0 then
    epoch, n = before.epoch, before.n
  end
  local outcome = order
  see_fence(ask.keys[2], ask.token)
  if order > 0 or #plan.changes > 0 or (order == 0 and before.is_expired) then
    outcome = 1
    put_fields(i, before, ask, plan, order, epoch, n)
  elseif not before.is_expired and (plan.floor ~= before.floor or plan.is_open ~= before.is_open) then
    call('HSET', V[i], 'l', plan.floor, 'o', plan.is_open and '1' or '0')
  end
  -- Of one made again, the publishing may have been lost with the reply.
  if ask.channel and outcome >= 0 then
    call('PUBLISH', ask.channel, ask.message)
  end
  return { outcome, exact(epoch), exact(n), plan.applied }
end
