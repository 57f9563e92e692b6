#include "domain/presence/owed_presence.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <utility>

#include "domain/keyed_lock.h"
#include "domain/metrics.h"
#include "domain/settings.h"
#include "domain/state/shards.h"
#include "rookery/runtime/backoff.h"
#include "rookery/runtime/event.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

/// How many probes of a user wait for the roster, and how long. That sessions are unavailable waits for as
/// long as it takes: their number bounds it or, when they have ended, the shard's window, where the records
/// of their ends are held.
constexpr std::size_t kMaxProbers = 100;
constexpr std::chrono::minutes kPatience{15};
/// Rosters that are asked for at once.
constexpr std::size_t kMostPayers = 32;

}  // namespace

struct OwedPresence::Attempt {
  explicit Attempt(asio::any_io_executor executor) : over(std::move(executor)) {}
  runtime::Event over;
  bool is_paid = false;
};

struct OwedPresence::EndOfAttempt {
  explicit EndOfAttempt(std::shared_ptr<Attempt> of) : attempt(std::move(of)) {}
  EndOfAttempt(EndOfAttempt&&) = default;
  EndOfAttempt& operator=(EndOfAttempt&&) = delete;
  ~EndOfAttempt() {
    if (attempt) attempt->over.Set();
  }
  std::shared_ptr<Attempt> attempt;
};

struct OwedPresence::PayersPlace {
  explicit PayersPlace(std::size_t& of) : payers(of) {}
  PayersPlace(const PayersPlace&) = delete;
  PayersPlace& operator=(const PayersPlace&) = delete;
  ~PayersPlace() { --payers; }
  std::size_t& payers;
};

OwedPresence::Owed* OwedPresence::Owe(const Shard& shard, const std::string& bare, bool is_bounded) {
  auto it = owed_.find(bare);
  if (it == owed_.end()) {
    if (owed_.size() >= settings_.max_owed_presences && !is_bounded) {
      metrics_.presences_untold.Increment();
      return nullptr;
    }
    it = owed_.try_emplace(bare).first;
    it->second.shard = shards_.Shared(shard.number);
    it->second.since = clock_.Now();
    order_.push_back(bare);
  }
  if (payers_ < kMostPayers && payers_ < owed_.size()) {
    ++payers_;
    tasks_.Spawn("presence.pay_all", PayAll());
  }
  return &it->second;
}

void OwedPresence::OweAnswer(const Shard& shard, const std::string& bare, std::string prober) {
  Owed* const owed = Owe(shard, bare);
  if (owed != nullptr && owed->probers.size() < kMaxProbers) owed->probers.push_back(std::move(prober));
}

void OwedPresence::OweUnavailable(const Shard& shard, const std::string& bare, xmpp::Stanza presence,
                                  const Cause& cause) {
  std::vector<Unavailable>& unavailable = Owe(shard, bare, /*is_bounded=*/true)->unavailable;
  const auto said = std::find_if(unavailable.begin(), unavailable.end(), [&](const Unavailable& one) {
    return one.cause.offset < 0 && one.presence.from() == presence.from();
  });
  if (said != unavailable.end()) {
    if (cause.offset < 0) return;
    // Its end says it, for longer than this owner remembers.
    unavailable.erase(said);
  }
  unavailable.push_back({std::move(presence), cause});
}

std::optional<OwedPresence::Owed> OwedPresence::Take(const std::string& bare) {
  const auto it = owed_.find(bare);
  if (it == owed_.end()) return std::nullopt;
  std::optional<Owed> owed = std::move(it->second);
  owed_.erase(it);
  return owed;
}

void OwedPresence::Forget(const Shard& shard) {
  std::erase_if(owed_, [&](const auto& entry) { return entry.second.shard.get() == &shard; });
}

bool OwedPresence::IsGivenUp(Owed& owed) const {
  if (clock_.Now() - owed.since <= kPatience) return false;
  owed.probers.clear();
  return owed.unavailable.empty() && !owed.has_presence_due;
}

Task<void> OwedPresence::PayAll() {
  const PayersPlace place(payers_);
  // Never within the call that owes: its caller still writes down what.
  co_await runtime::Yield();
  runtime::Backoff backoff(kBackendRetries);
  while (!order_.empty()) {
    const std::string bare = std::move(order_.front());
    order_.pop_front();
    const auto it = owed_.find(bare);
    if (it == owed_.end()) continue;
    if (IsGivenUp(it->second)) {
      metrics_.presences_untold.Increment();
      telemetry::LogWarn("presence.untold", {{"user", telemetry::HashedJid(bare)}});
      owed_.erase(it);
      continue;
    }
    if (co_await TryPay(it->second.shard, bare)) {
      backoff.Reset();
      continue;
    }
    if (!owed_.contains(bare)) continue;
    order_.push_back(bare);
    co_await backoff.Wait();
  }
}

Task<bool> OwedPresence::TryPay(std::shared_ptr<Shard> shard, std::string bare) {
  const auto attempt = std::make_shared<Attempt>(co_await asio::this_coro::executor);
  shard->Spawn("presence.pay_owed", Pay(shard, std::move(bare), EndOfAttempt(attempt)));
  co_await attempt->over.Wait();
  co_return attempt->is_paid;
}

Task<void> OwedPresence::Pay(std::shared_ptr<Shard> shard, std::string bare, EndOfAttempt end) {
  const KeyedLock::Hold turn = co_await rosters_.Take(bare);
  // Something newer that has come meanwhile may have paid first.
  if (owed_.contains(bare)) {
    const absl::Status paid = co_await payer_->Pay(std::move(shard), bare);
    end.attempt->is_paid = paid.ok();
  } else {
    end.attempt->is_paid = true;
  }
}

}  // namespace rookery::session_manager
