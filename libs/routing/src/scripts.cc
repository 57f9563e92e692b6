#include "scripts.h"

namespace rookery::routing {

// An instance that came back under its id may have another address: the entries of its
// former life go, and its tombstone.
const char kAnnounceScript[] = R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local id, random, has_just_started = ARGV[2], ARGV[5], ARGV[6] == '1'
local started = tonumber(ARGV[4])
local address_prefix, life_prefix = id .. ' ', id .. '@'
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, member in ipairs(members) do
  if string.sub(member, 1, #life_prefix) == life_prefix then
    local s, r = string.match(string.sub(member, #life_prefix + 1), '^(%d+)%-(%x+)$')
    s = tonumber(s)
    if s and r == random then
      started = math.max(started, s)
    elseif s and (s > started or (s == started and r > random)) then
      if not has_just_started then return {string.format('%d', s), r} end
      started = s + 1
    end
  end
end
local life = life_prefix .. string.format('%d', started) .. '-' .. random
for _, member in ipairs(members) do
  if member ~= ARGV[1] and member ~= life and
     (member == '-' .. id or string.sub(member, 1, #address_prefix) == address_prefix or
      string.sub(member, 1, #life_prefix) == life_prefix) then
    redis.call('ZREM', KEYS[1], member)
  end
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1], now + ARGV[3], life)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000)
return {string.format('%d', started), random}
)lua";

const char kWithdrawScript[] = R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local id, started, random = ARGV[2], tonumber(ARGV[4]), ARGV[5]
local life_prefix = id .. '@'
local own
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.sub(member, 1, #life_prefix) == life_prefix then
    local s, r = string.match(string.sub(member, #life_prefix + 1), '^(%d+)%-(%x+)$')
    s = tonumber(s)
    if s and r == random then
      own = member
    elseif s and (s > started or (s == started and r > random)) then
      return {string.format('%d', s), r}
    end
  end
end
if own then redis.call('ZREM', KEYS[1], own) end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + 2 * ARGV[3], '-' .. id)
return {ARGV[4], random}
)lua";

const char kReadScript[] = R"lua(#!lua flags=no-writes
local t = redis.call('TIME')
local rows = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
table.insert(rows, 1, string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)))
return rows
)lua";

const char kPublishScript[] = R"lua(
for i = 2, #ARGV, 2 do
  local current = redis.call('HGET', KEYS[1], ARGV[i])
  local epoch = current and tonumber(string.match(current, '^%S+'))
  if not epoch or epoch <= tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[1])
  end
end
return 1
)lua";

}  // namespace rookery::routing
