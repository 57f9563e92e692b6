#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "protocols/xmpp/stanza_rate.h"
#include "rookery/base/clock.h"

namespace rookery::gateway {

/// How much each account, or each network, may send through this gateway: all its connections, at once or one
/// after the other, share one StanzaRate, which they hold. One that nobody holds is forgotten when it is full
/// again. One for accounts and one for networks in a process; I/O thread only.
class StanzaBudgets {
 public:
  /// `per_second`: the limit for one of them; 0: no limit.
  explicit StanzaBudgets(std::size_t per_second) : per_second_(per_second) {}

  /// `sender`: a bare JID, or a network as net::Connection names it.
  std::shared_ptr<StanzaRate> Of(std::string_view sender, SteadyTime now) {
    if (per_second_ == 0) return std::make_shared<StanzaRate>(0, now);
    Forget(now);
    if (const auto found = by_sender_.find(sender); found != by_sender_.end()) return found->second->rate;
    budgets_.push_back({std::string(sender), std::make_shared<StanzaRate>(per_second_, now)});
    by_sender_.emplace(std::string(sender), std::prev(budgets_.end()));
    return budgets_.back().rate;
  }
  std::size_t size() const { return budgets_.size(); }

 private:
  /// More than one is made with each call: so there are never many more than senders that are here, or were
  /// within the last seconds.
  static constexpr int kLookedAt = 4;

  struct Budget {
    std::string sender;
    std::shared_ptr<StanzaRate> rate;
  };

  void Forget(SteadyTime now) {
    for (int i = 0; i < kLookedAt && !budgets_.empty(); ++i) {
      const Budget& oldest = budgets_.front();
      if (oldest.rate.use_count() > 1 || !oldest.rate->IsFull(now)) {
        budgets_.splice(budgets_.end(), budgets_, budgets_.begin());
      } else {
        by_sender_.erase(oldest.sender);
        budgets_.pop_front();
      }
    }
  }

  const std::size_t per_second_;
  /// In the order in which they are looked at.
  std::list<Budget> budgets_;
  std::map<std::string, std::list<Budget>::iterator, std::less<>> by_sender_;
};

}  // namespace rookery::gateway
