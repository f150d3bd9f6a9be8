-- Does the asks of one batch in their order, each for itself: its reply, or its failure, which leaves nothing of it.
-- The text of the script is base, the other files each as a function that makes its part, and this file.
--
-- KEYS[1]  what this driver remembers of the batch with this number, a key of the same slot as all others
-- KEYS[2]  the epoch record where it is on this server, else KEYS[1]
-- KEYS[3..2+n]  the keys of the asks, in the order in which they are needed; KEYS[3+n..2+2n]  their version keys;
-- none of them where the batch only gets values
-- ARGV[1]  number of the batch, above those before it; 0 where it only reads: then nothing is remembered
-- ARGV[2]  ms for which it is remembered
-- ARGV[3]  epoch, ARGV[4]  first epoch of the store, ARGV[5]  replication ids of the masters that the epoch was made for
-- ARGV[6]  1 where the batch makes versions or tokens: then the epoch must be of this master
-- ARGV[7]  ms for which a version is known at least
-- ARGV[8]  n
-- ARGV[9..]  the asks: a letter, and what its `read` takes
--
-- Returns { replies, failures }: one reply per ask, and for each that failed its place and why (`KIND lease KEY`, `FENCED 7
-- KEY`, or what Redis says). A batch that was done before gets the very replies of then. KEYMILL_STALE: nothing was done, the epoch
-- is not of this master. KEYMILL_LATE: the number was overtaken.

local number = tonumber(ARGV[1])
if number > 0 then
  local remembered = call('GET', KEYS[1])
  if remembered then
    local space = string.find(remembered, ' ', 1, true)
    local its = tonumber(string.sub(remembered, 1, space - 1))
    if its == number then
      return cmsgpack.unpack(string.sub(remembered, space + 1))
    elseif its > number then
      return redis.error_reply('KEYMILL_LATE a later batch was done')
    end
  end
end
if ARGV[6] == '1' then
  local id = string.match(call('INFO', 'replication'), 'master_replid:(%w+)')
  local isKnown = string.find(ARGV[5], id, 1, true)
  if isKnown and KEYS[2] ~= KEYS[1] then
    isKnown = call('HGET', KEYS[2], 'epoch') == ARGV[3]
  end
  if not isKnown then
    return redis.error_reply('KEYMILL_STALE ' .. id)
  end
end

local replies, failures = {}, {}
local last = #ARGV
local place = 0
while at <= last do
  place = place + 1
  local code = arg()
  local ask = read[code]()
  ask.code = code
  local ok, reply = pcall(go, ask)
  if ok then
    replies[place] = reply
  else
    local why = type(reply) == 'table' and reply.err or tostring(reply)
    replies[place] = false
    failures[#failures + 1] = place
    failures[#failures + 1] = why
    for _, i in ipairs(ask.keys) do
      note_full(i, why)
    end
  end
end
local result = { replies, failures }
-- Refused for want of memory only where nothing was written: then there is nothing to remember.
if number > 0 and #failures < 2 * place then
  pcall_('SET', KEYS[1], ARGV[1] .. ' ' .. cmsgpack.pack(result), 'PX', ARGV[2])
end
return result
