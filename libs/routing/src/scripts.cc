#include "scripts.h"

namespace rookery::routing {

// An instance that came back under its id may have another address: the entry of its
// former life goes, and its tombstone.
const char kAnnounceScript[] = R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local prefix = ARGV[2] .. ' '
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if member ~= ARGV[1] and (member == '-' .. ARGV[2] or string.sub(member, 1, #prefix) == prefix) then
    redis.call('ZREM', KEYS[1], member)
  end
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000)
return 1
)lua";

const char kWithdrawScript[] = R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + 2 * ARGV[3], '-' .. ARGV[2])
return 1
)lua";

const char kReadScript[] = R"lua(
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
