-- Values without a version.

-- g: count. One text each, false for none; a number says which other kind stands there.
read.g = counted
run.g = function(ask)
  local values = call('MGET', keys_at(ask.keys))
  for j, i in ipairs(ask.keys) do
    if not values[j] and call('EXISTS', K[i], V[i]) > 0 then
      values[j] = KIND_NUMBERS[kind(i)]
    end
  end
  return values
end

-- s: ttl, id of a write that is only done where there is none, value.
read.s = function()
  return { keys = { key() }, ttl = tonumber(arg()), id = arg(), value = arg() }
end
run.s = function(ask)
  local i = ask.keys[1]
  local name, value = K[i], ask.value
  if call('EXISTS', V[i]) == 1 then
    wrong(i)
  end
  if ask.id ~= '' then
    local mark = '\2' .. ask.id .. '\0'
    local before = typed(i, pcall_('GETRANGE', name, 0, #mark - 1))
    if before == mark then
      return 1
    elseif before ~= '' or call('EXISTS', name) == 1 then
      return 0
    end
    set_with_life(name, mark .. value, ask.ttl)
    return 1
  end
  -- GET refuses to write over another type.
  if ask.ttl > 0 then
    typed(i, pcall_('SET', name, value, 'PX', whole(ask.ttl), 'GET'))
  else
    typed(i, pcall_('SET', name, value, 'GET'))
  end
  return 1
end

-- S: ttl, count, values. Many asks as one: 1 if all were done, else for each 1, or why it failed.
read.S = function()
  local ask = { ttl = tonumber(arg()) }
  local count = tonumber(arg())
  ask.keys, ask.values = keys(count), at
  at = at + count
  return ask
end
run.S = function(ask)
  local failed
  local list, values, ms = ask.keys, ask.values - 1, whole(ask.ttl)
  local is_free = call('EXISTS', versions_at(list)) == 0
  for j, i in ipairs(list) do
    local reply
    if is_free or call('EXISTS', V[i]) == 0 then
      if ask.ttl > 0 then
        reply = pcall_('SET', K[i], ARGV[values + j], 'PX', ms, 'GET')
      else
        reply = pcall_('SET', K[i], ARGV[values + j], 'GET')
      end
    else
      reply = { err = 'WRONGTYPE' }
    end
    if type(reply) == 'table' then
      failed = failed or {}
      failed[j] = why_of(i, reply)
    end
  end
  if not failed then
    return 1
  end
  for j = 1, #list do
    failed[j] = failed[j] or 1
  end
  return failed
end
