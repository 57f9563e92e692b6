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

/// How much each account may send through this gateway: all its connections, at once or one after the other,
/// share one StanzaRate, which they hold. One that nobody holds is forgotten when it is full again. One for
/// the process; I/O thread only.
class StanzaBudgets {
 public:
  /// `per_second`: the limit for one account; 0: no limit.
  explicit StanzaBudgets(std::size_t per_second) : per_second_(per_second) {}

  /// `user`: a bare address.
  std::shared_ptr<StanzaRate> Of(std::string_view user, SteadyTime now) {
    if (per_second_ == 0) return std::make_shared<StanzaRate>(0, now);
    Forget(now);
    if (const auto found = by_user_.find(user); found != by_user_.end()) return found->second->rate;
    budgets_.push_back({std::string(user), std::make_shared<StanzaRate>(per_second_, now)});
    by_user_.emplace(std::string(user), std::prev(budgets_.end()));
    return budgets_.back().rate;
  }
  std::size_t size() const { return budgets_.size(); }

 private:
  /// More than one is made with each call: so there are never many more than accounts that are here, or were
  /// within the last seconds.
  static constexpr int kLookedAt = 4;

  struct Budget {
    std::string user;
    std::shared_ptr<StanzaRate> rate;
  };

  void Forget(SteadyTime now) {
    for (int i = 0; i < kLookedAt && !budgets_.empty(); ++i) {
      const Budget& oldest = budgets_.front();
      if (oldest.rate.use_count() > 1 || !oldest.rate->IsFull(now)) {
        budgets_.splice(budgets_.end(), budgets_, budgets_.begin());
      } else {
        by_user_.erase(oldest.user);
        budgets_.pop_front();
      }
    }
  }

  const std::size_t per_second_;
  /// In the order in which they are looked at.
  std::list<Budget> budgets_;
  std::map<std::string, std::list<Budget>::iterator, std::less<>> by_user_;
};

}  // namespace rookery::gateway
