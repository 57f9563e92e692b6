#include "adapters/redis_session_directory.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "rookery/base/session_id.h"

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

/// Longer than a shard is without an owner.
constexpr int kTimeToLiveMs = 15 * 60'000;

std::string ToText(const SessionDirectory::Entry& entry, const std::string& instance) {
  return absl::StrCat(entry.since_ms, " ", instance, " ", entry.gateway.empty() ? "-" : entry.gateway, " ",
                      absl::BytesToHexString(entry.session_id), " ", entry.resumptions, " ",
                      entry.is_available ? "available" : "-");
}

/// None where it is not one that we have written.
std::optional<SessionDirectory::Entry> FromText(std::string full_jid, const std::string& text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ' ');
  SessionDirectory::Entry entry;
  if (parts.size() != 6 || !absl::SimpleAtoi(parts[0], &entry.since_ms) ||
      parts[3].size() != 2 * SessionId::kBytes || !absl::SimpleAtoi(parts[4], &entry.resumptions))
    return std::nullopt;
  entry.session_id = absl::HexStringToBytes(parts[3]);
  entry.full_jid = std::move(full_jid);
  if (parts[2] != "-") entry.gateway = std::string(parts[2]);
  entry.is_available = parts[5] == "available";
  return entry;
}

std::string KeyOf(std::uint32_t shard) { return absl::StrCat("rookery:sessions:{", shard, "}"); }

}  // namespace

Task<absl::StatusOr<SessionDirectory::Written>> RedisSessionDirectory::Write(Changes changes) {
  std::vector<std::string> arguments{absl::StrCat(changes.epoch), instance_, changes.afresh ? "1" : "0",
                                     absl::StrCat(kTimeToLiveMs), absl::StrCat(changes.gone.size())};
  arguments.reserve(arguments.size() + changes.gone.size() + 2 * changes.here.size());
  for (std::string& jid : changes.gone) arguments.push_back(std::move(jid));
  for (Entry& entry : changes.here) {
    std::string text = ToText(entry, instance_);
    arguments.push_back(std::move(entry.full_jid));
    arguments.push_back(std::move(text));
  }
  const absl::StatusOr<redis::Reply> reply =
      co_await redis_.Eval(kWriteScript, KeyOf(changes.shard), std::move(arguments));
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

Task<absl::StatusOr<std::vector<SessionDirectory::Entry>>> RedisSessionDirectory::Read(std::uint32_t shard) {
  const std::string key = KeyOf(shard);
  std::vector<std::string> arguments{"HGETALL", key};
  absl::StatusOr<redis::Reply> reply = co_await redis_.Command(key, std::move(arguments));
  if (!reply.ok()) co_return reply.status();
  std::vector<Entry> entries;
  for (std::size_t i = 0; i + 1 < reply->array.size(); i += 2) {
    std::optional<Entry> entry = FromText(std::move(reply->array[i].text), reply->array[i + 1].text);
    if (entry) entries.push_back(*std::move(entry));
  }
  co_return entries;
}

}  // namespace rookery::session_manager
