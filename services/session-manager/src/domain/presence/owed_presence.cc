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

/// So many that have probed a user are noted. The sessions that are unavailable are as many as there are or,
/// when they have ended, as the shard's window holds records of their ends.
constexpr std::size_t kMaxProbers = 100;
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
  if (owed == nullptr || owed->has_many_probers) return;
  owed->probers.push_back(std::move(prober));
  if (owed->probers.size() <= kMaxProbers) return;
  owed->probers = {};
  owed->has_many_probers = true;
}

void OwedPresence::OnRosterAway(const Shard& shard, const std::string& bare) {
  if (owed_.size() >= settings_.max_owed_presences && !owed_.contains(bare)) return;
  Owe(shard, bare, /*is_bounded=*/true)->failed_in = outage_;
}

bool OwedPresence::IsRosterAway(const std::string& bare) const {
  const auto it = owed_.find(bare);
  return it != owed_.end() && it->second.failed_in == outage_;
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
    const auto it = owed_.find(bare);
    if (paid.ok()) {
      ++outage_;
    } else if (it != owed_.end()) {
      it->second.failed_in = outage_;
    }
  } else {
    end.attempt->is_paid = true;
  }
}

}  // namespace rookery::session_manager
