-- What is done with a key whatever stands there.

-- d: count. How many a reader would have found.
read.d = counted
run.d = function(ask)
  local count = 0
  for _, i in ipairs(ask.keys) do
    if call('EXISTS', K[i], V[i]) > 0 then
      local its = kind(i)
      local is_there = true
      if its == 'versioned' then
        is_there = call('EXISTS', K[i]) == 1
      elseif its == 'fields' then
        local ends = tonumber(call('HGET', V[i], 'u') or 0)
        is_there = ends == 0 or ends > now()
      elseif its == 'lease' then
        local held = call('HMGET', K[i], 'holder', 'until')
        is_there = held[1] ~= '' and tonumber(held[2]) > now()
      end
      if is_there then
        count = count + 1
      end
      call('DEL', K[i], V[i])
    end
  end
  return count
end

-- x: ttl.
read.x = function()
  return { keys = { key() }, ttl = tonumber(arg()) }
end
run.x = function(ask)
  local i, ttl = ask.keys[1], ask.ttl
  local its = kind(i)
  if its == 'lease' or its == 'other' then
    wrong(i)
  elseif its == 'fields' then
    need('fields')
    return expire_fields(i, ttl)
  elseif not its or call('EXISTS', K[i]) == 0 then
    return 0
  end
  life(K[i], ttl)
  if its == 'versioned' then
    local kept = call('PTTL', V[i])
    if kept >= 0 and (ttl == 0 or kept < ttl) then
      life(V[i], ttl)
    end
  end
  return 1
end
