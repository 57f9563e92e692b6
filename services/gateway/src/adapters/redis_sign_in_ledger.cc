#include "adapters/redis_sign_in_ledger.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "rookery/base/sha256.h"

namespace rookery::gateway {
namespace {

const char kCountScript[] = R"lua(
local failures = redis.call('INCR', KEYS[1])
if failures == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {failures, redis.call('PTTL', KEYS[1])}
)lua";

const char kGiveBackScript[] = R"lua(
if redis.call('PTTL', KEYS[1]) > 0 and redis.call('DECR', KEYS[1]) <= 0 then redis.call('PEXPIRE', KEYS[1], 0) end
return 0
)lua";

const char kRememberScript[] = R"lua(
if redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) == 1 and redis.call('TTL', KEYS[1]) < 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return 0
)lua";

constexpr std::int64_t kMonthMs = std::int64_t{30} * 24 * 3'600'000;
constexpr int kKeptSeconds = 60 * 24 * 3'600;
constexpr std::size_t kMaxWritten = 200'000;
/// Sign-ins are not held up by a Redis that has just not answered.
constexpr std::chrono::seconds kAwayFor{5};

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

std::string FailuresKey(SignInLedger::Subject subject, std::string_view name) {
  return absl::StrCat("rookery:sign-in-failures:", NameOf(subject), ":", HexOf(name));
}

/// A user and a network, as a number: Redis keeps hashes of these small.
std::int64_t PairOf(std::string_view user, std::string_view network) {
  std::string text(user);
  text.push_back('\0');
  text.append(network);
  const Sha256Digest digest = Sha256(text);
  std::int64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof number);
  return number;
}

/// Returns the key of a bucket; each has some hundred entries at a million users.
std::string BucketKey(std::int64_t month, std::int64_t pair) {
  return absl::StrCat("rookery:known-networks:", month, ":by:", static_cast<std::uint64_t>(pair) & 0x3fff);
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
  tasks_.Spawn("sign_ins.count", Count(FailuresKey(subject, name), window, std::move(counted)));
}

void RedisSignInLedger::Take(Subject subject, std::string_view name, std::chrono::milliseconds window,
                             OnTaken done) {
  if (clock_.Now() < away_until_) return done(std::nullopt);
  tasks_.Spawn("sign_ins.take", TakeOne(FailuresKey(subject, name), window, std::move(done)));
}

Task<void> RedisSignInLedger::TakeOne(std::string key, std::chrono::milliseconds window, OnTaken done) {
  std::vector<std::string> arguments{absl::StrCat(window.count())};
  const auto reply = co_await redis_.Eval(kCountScript, std::move(key), std::move(arguments));
  if (reply.ok() && reply->array.size() == 2) {
    done(static_cast<std::uint32_t>(std::clamp<std::int64_t>(reply->array[0].integer, 0, UINT32_MAX)));
  } else {
    away_until_ = clock_.Now() + kAwayFor;
    done(std::nullopt);
  }
}

void RedisSignInLedger::GiveBack(Subject subject, std::string_view name) {
  tasks_.Spawn("sign_ins.give_back", GiveOneBack(FailuresKey(subject, name)));
}

Task<void> RedisSignInLedger::GiveOneBack(std::string key) {
  (void)co_await redis_.Eval(kGiveBackScript, std::move(key), {});
}

Task<void> RedisSignInLedger::Count(std::string key, std::chrono::milliseconds window, OnCounted counted) {
  std::vector<std::string> arguments{absl::StrCat(window.count())};
  const auto reply = co_await redis_.Eval(kCountScript, std::move(key), std::move(arguments));
  if (!reply.ok() || reply->array.size() != 2) co_return;
  counted(static_cast<std::uint32_t>(std::min<std::int64_t>(reply->array[0].integer, UINT32_MAX)),
          std::chrono::milliseconds(reply->array[1].integer));
}

std::optional<std::uint64_t> RedisSignInLedger::Written(std::int64_t pair) {
  NoteMonth();
  const auto written = written_.find(pair);
  return written == written_.end() ? std::nullopt : std::optional(written->second);
}

void RedisSignInLedger::Succeeded(std::string_view user, std::uint64_t generation, std::string_view network) {
  const std::int64_t pair = PairOf(user, network);
  if (Written(pair) == generation) return;
  tasks_.Spawn("sign_ins.remember", Remember(pair, generation));
}

Task<void> RedisSignInLedger::Remember(std::int64_t pair, std::uint64_t generation) {
  std::vector<std::string> arguments{absl::StrCat(pair), absl::StrCat(generation),
                                     absl::StrCat(kKeptSeconds)};
  const auto reply = co_await redis_.Eval(kRememberScript, BucketKey(month_, pair), std::move(arguments));
  if (!reply.ok() || !written_.insert_or_assign(pair, generation).second) co_return;
  oldest_first_.push_back(pair);
  if (oldest_first_.size() <= kMaxWritten) co_return;
  written_.erase(oldest_first_.front());
  oldest_first_.pop_front();
}

std::optional<std::uint64_t> RedisSignInLedger::Remembered(std::string_view user, std::string_view network) {
  return Written(PairOf(user, network));
}

void RedisSignInLedger::Find(std::string_view user, std::string_view network, OnFound done) {
  const std::int64_t pair = PairOf(user, network);
  if (const auto written = Written(pair)) return done(written);
  tasks_.Spawn("sign_ins.find", Ask(pair, std::move(done)));
}

Task<void> RedisSignInLedger::Ask(std::int64_t pair, OnFound done) {
  for (const std::int64_t month : {month_, month_ - 1}) {
    const std::string key = BucketKey(month, pair);
    std::vector<std::string> command{"HGET", key, absl::StrCat(pair)};
    const auto reply = co_await redis_.Command(key, std::move(command));
    if (!reply.ok()) break;
    std::uint64_t generation = 0;
    if (absl::SimpleAtoi(reply->text, &generation)) {
      done(generation);
      co_return;
    }
  }
  done(std::nullopt);
}

}  // namespace rookery::gateway
