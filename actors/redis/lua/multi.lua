-- Messages, and many steps as one: first it is found out whether all of them can be done, then they are.

-- p: channel, message. How many heard it.
read.p = function()
  return { keys = {}, channel = arg(), message = arg() }
end
run.p = function(ask)
  return call('PUBLISH', ask.channel, ask.message)
end

-- P: channel, message. In it the first "$version" becomes the version that the step before gave.
read.P = read.p
run.P = function(ask, before)
  local text = 'null'
  if type(before) == 'table' and #before >= 3 then
    text = '{"epoch":' .. whole(tonumber(before[2])) .. ',"n":' .. whole(tonumber(before[3])) .. '}'
  end
  return call('PUBLISH', ask.channel, (string.gsub(ask.message, '"%$version"', text, 1)))
end

local WANTED = { s = 'value', w = 'versioned', c = 'versioned', m = 'fields' }

-- Kinds and tokens as they will be step by step. Fails with what the first step that cannot be done would fail with.
local function check(steps)
  local kinds, tokens = {}, {}
  local function expect(i, wanted)
    local its = kinds[K[i]] or kind(i) or 'none'
    if its ~= 'none' and its ~= wanted then
      error({ err = 'KIND ' .. its .. ' ' .. K[i] })
    end
    kinds[K[i]] = wanted
  end
  for _, step in ipairs(steps) do
    local wanted = WANTED[step.code]
    if step.token then
      local lease, token = step.keys[2], tonumber(step.token)
      expect(lease, 'lease')
      local seen = tokens[K[lease]] or tonumber(call('HGET', K[lease], 'keymill:token') or 0)
      if seen > token then
        error({ err = 'FENCED ' .. whole(seen) .. ' ' .. K[lease] })
      end
      tokens[K[lease]] = token
    end
    if wanted then
      expect(step.keys[1], wanted)
    elseif step.code == 'd' then
      for _, i in ipairs(step.keys) do
        kinds[K[i]], tokens[K[i]] = 'none', 0
      end
    end
  end
end

-- t: count, then for each step its letter and what its `read` takes.
read.t = function()
  local ask = { keys = {}, steps = {} }
  for j = 1, tonumber(arg()) do
    local code = arg()
    local step = read[code]()
    step.code = code
    ask.steps[j] = step
    for _, i in ipairs(step.keys) do
      ask.keys[#ask.keys + 1] = i
    end
  end
  return ask
end
run.t = function(ask)
  check(ask.steps)
  local replies = {}
  for j, step in ipairs(ask.steps) do
    replies[j] = run[step.code](step, replies[j - 1])
  end
  return replies
end
