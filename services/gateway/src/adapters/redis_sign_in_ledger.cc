#include "adapters/redis_sign_in_ledger.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "rookery/base/sha256.h"

namespace rookery::gateway {
namespace {

const char kCountScript[] = R"lua(
local failures = redis.call('INCR', KEYS[1])
if failures == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {failures, redis.call('PTTL', KEYS[1])}
)lua";

const char kRememberScript[] = R"lua(
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 and redis.call('TTL', KEYS[1]) < 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 0
)lua";

constexpr std::int64_t kMonthMs = std::int64_t{30} * 24 * 3'600'000;
constexpr int kKeptSeconds = 60 * 24 * 3'600;
constexpr std::size_t kMaxWritten = 200'000;

std::string HexOf(std::string_view name) {
  const Sha256Digest digest = Sha256(name);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), 16));
}

const char* NameOf(SignInLedger::Subject subject) {
  switch (subject) {
    case SignInLedger::Subject::kAccount:
      return "account";
    case SignInLedger::Subject::kNetwork:
      return "network";
    case SignInLedger::Subject::kAccountInNetwork:
      return "account-in-network";
  }
  return "";
}

/// A user and a network, as a number: Redis keeps sets of these small.
std::int64_t PairOf(std::string_view user, std::string_view network) {
  std::string text(user);
  text.push_back('\0');
  text.append(network);
  const Sha256Digest digest = Sha256(text);
  std::int64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof number);
  return number;
}

/// Sets of some hundred members each at a million users.
std::string BucketKey(std::int64_t month, std::int64_t pair) {
  return absl::StrCat("rookery:known-networks:", month, ":", static_cast<std::uint64_t>(pair) & 0x3fff);
}

}  // namespace

RedisSignInLedger::RedisSignInLedger(asio::any_io_executor executor, const Clock& clock, redis::Client& redis)
    : clock_(clock), redis_(redis), tasks_(executor) {}

std::int64_t RedisSignInLedger::Month() const { return clock_.UnixMillisNow() / kMonthMs; }

void RedisSignInLedger::NoteMonth() {
  if (std::exchange(month_, Month()) == Month()) return;
  written_.clear();
  oldest_first_.clear();
}

void RedisSignInLedger::Failed(Subject subject, std::string_view name, std::chrono::milliseconds window,
                               OnCounted counted) {
  tasks_.Spawn("sign_ins.count",
               Count(absl::StrCat("rookery:sign-in-failures:", NameOf(subject), ":", HexOf(name)), window,
                     std::move(counted)));
}

Task<void> RedisSignInLedger::Count(std::string key, std::chrono::milliseconds window, OnCounted counted) {
  std::vector<std::string> arguments{absl::StrCat(window.count())};
  const auto reply = co_await redis_.Eval(kCountScript, std::move(key), std::move(arguments));
  if (!reply.ok() || reply->array.size() != 2) co_return;
  counted(static_cast<std::uint32_t>(std::min<std::int64_t>(reply->array[0].integer, UINT32_MAX)),
          std::chrono::milliseconds(reply->array[1].integer));
}

void RedisSignInLedger::Succeeded(std::string_view user, std::string_view network) {
  NoteMonth();
  const std::int64_t pair = PairOf(user, network);
  if (written_.contains(pair)) return;
  tasks_.Spawn("sign_ins.remember", Remember(BucketKey(month_, pair), absl::StrCat(pair), pair));
}

Task<void> RedisSignInLedger::Remember(std::string key, std::string member, std::int64_t pair) {
  std::vector<std::string> arguments{std::move(member), absl::StrCat(kKeptSeconds)};
  const auto reply = co_await redis_.Eval(kRememberScript, std::move(key), std::move(arguments));
  if (!reply.ok() || !written_.insert(pair).second) co_return;
  oldest_first_.push_back(pair);
  if (oldest_first_.size() <= kMaxWritten) co_return;
  written_.erase(oldest_first_.front());
  oldest_first_.pop_front();
}

void RedisSignInLedger::IsKnown(std::string_view user, std::string_view network,
                                std::function<void(bool)> done) {
  NoteMonth();
  const std::int64_t pair = PairOf(user, network);
  if (written_.contains(pair)) return done(true);
  tasks_.Spawn("sign_ins.find", Find(BucketKey(month_, pair), BucketKey(month_ - 1, pair), absl::StrCat(pair),
                                     std::move(done)));
}

Task<void> RedisSignInLedger::Find(std::string now, std::string before, std::string member,
                                   std::function<void(bool)> done) {
  for (const std::string& key : {now, before}) {
    std::vector<std::string> command{"SISMEMBER", key, member};
    const auto reply = co_await redis_.Command(key, std::move(command));
    if (!reply.ok()) break;
    if (reply->integer == 1) {
      done(true);
      co_return;
    }
  }
  done(false);
}

}  // namespace rookery::gateway
