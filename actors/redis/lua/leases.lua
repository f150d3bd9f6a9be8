-- Leases and the fences made of them. A lease is a hash at its name: `keymill:token`, `holder`, and `until`, ms since 1970.
-- Without a holder `until` says why: 1 released, 0 known only from a fence. It is kept for the ms of versions after its end.

local function lease_at(i)
  if call('EXISTS', V[i]) == 1 then
    wrong(i)
  end
  local found = typed(i, pcall_('HMGET', K[i], 'keymill:token', 'holder', 'until'))
  if not found[1] then
    if call('EXISTS', K[i]) == 1 then
      wrong(i)
    end
    return nil
  end
  local ends = tonumber(found[3])
  return { token = tonumber(found[1]), holder = found[2], ends = ends, is_held = found[2] ~= '' and ends > now() }
end

local function put_lease(i, holder, token, ends)
  call('HSET', K[i], 'keymill:token', whole(token), 'holder', holder, 'until', whole(ends))
  call('PEXPIREAT', K[i], whole(math.max(ends, now() + VERSIONS_MS)))
end

-- Changes nothing.
lease_fence = function(i, token)
  local before = lease_at(i)
  if before and before.token > token then
    error({ err = 'FENCED ' .. whole(before.token) .. ' ' .. K[i] })
  end
end

lease_seen = function(i, token)
  local before = lease_at(i)
  if not before or before.token < token then
    put_lease(i, '', token, 0)
  end
end

-- q: holder, ms. The token, or false.
read.q = function()
  return { keys = { key() }, holder = arg(), ttl = tonumber(arg()) }
end
run.q = function(ask)
  local i = ask.keys[1]
  local before = lease_at(i)
  local token
  if before and before.is_held then
    if before.holder ~= ask.holder then
      return false
    end
    token = before.token
  else
    token = math.max(before and before.token + 1 or 0, EPOCH * 1024 + 1, now() * 1024)
  end
  put_lease(i, ask.holder, token, now() + ask.ttl)
  return token
end

-- r: token, ms.
read.r = function()
  return { keys = { key() }, token = tonumber(arg()), ttl = tonumber(arg()) }
end
run.r = function(ask)
  local i = ask.keys[1]
  local before = lease_at(i)
  if not before or not before.is_held or before.token ~= ask.token then
    return 0
  end
  put_lease(i, before.holder, before.token, now() + ask.ttl)
  return 1
end

-- l: token.
read.l = function()
  return { keys = { key() }, token = tonumber(arg()) }
end
run.l = function(ask)
  local i = ask.keys[1]
  local before = lease_at(i)
  if not before or before.token ~= ask.token then
    return 0
  elseif before.holder == '' then
    return before.ends > 0 and 1 or 0
  elseif not before.is_held then
    return 0
  end
  put_lease(i, '', before.token, 1)
  return 1
end
