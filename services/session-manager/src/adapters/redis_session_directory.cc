#include "adapters/redis_session_directory.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace rookery::session_manager {

namespace {

/// ARGV: epoch, session-manager, whether to begin afresh, time to live in ms, number of fields
/// that go, these, then field and value of those that come.
const char kWriteScript[] = R"lua(
local owner = redis.call('HGET', KEYS[1], 'owner')
local epoch = owner and tonumber(string.match(owner, '^%S+'))
local mine = tonumber(ARGV[1])
if epoch and epoch > mine then return 2 end
local afresh = ARGV[3] == '1'
local known = epoch == mine
if afresh or not known then
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], 'owner', ARGV[1] .. ' ' .. ARGV[2])
end
local first = 6 + tonumber(ARGV[5])
if first > 6 then
  for i = 6, first - 1, 1000 do
    redis.call('HDEL', KEYS[1], unpack(ARGV, i, math.min(i + 999, first - 1)))
  end
end
if #ARGV >= first then redis.call('HSET', KEYS[1], unpack(ARGV, first)) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return (known or afresh) and 0 or 1
)lua";

constexpr int kTimeToLiveMs = 60'000;

}  // namespace

Task<absl::StatusOr<SessionDirectory::Written>> RedisSessionDirectory::Write(Changes changes) {
  std::vector<std::string> arguments{absl::StrCat(changes.epoch), instance_, changes.afresh ? "1" : "0",
                                     absl::StrCat(kTimeToLiveMs), absl::StrCat(changes.gone.size())};
  arguments.reserve(arguments.size() + changes.gone.size() + 2 * changes.here.size());
  for (std::string& jid : changes.gone) arguments.push_back(std::move(jid));
  for (Entry& entry : changes.here) {
    arguments.push_back(std::move(entry.full_jid));
    arguments.push_back(
        absl::StrCat(entry.since_ms, " ", instance_, " ", entry.gateway.empty() ? "-" : entry.gateway));
  }
  std::string key = absl::StrCat("rookery:sessions:{", changes.shard, "}");
  const absl::StatusOr<redis::Reply> reply =
      co_await redis_.Eval(kWriteScript, std::move(key), std::move(arguments));
  if (!reply.ok()) co_return reply.status();
  switch (reply->integer) {
    case 0:
      co_return Written::kDone;
    case 1:
      co_return Written::kWasEmpty;
    default:
      co_return Written::kRefused;
  }
}

}  // namespace rookery::session_manager
