#pragma once

#include "domain/features/feature_hooks.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class AccountStore;
struct Settings;

/// Makes the account store forget who was removed so long ago that it makes no difference (README.md, AC7).
/// Every process does, a few at a time. I/O thread only.
class RemovedNames final : public LifeHook {
 public:
  RemovedNames(const Settings& settings, const Clock& clock, runtime::TaskGroup& tasks,
               AccountStore& accounts)
      : settings_(settings), clock_(clock), tasks_(tasks), accounts_(accounts) {}
  void OnSweep() override;

 private:
  Task<void> Forget();

  const Settings& settings_;
  const Clock& clock_;
  runtime::TaskGroup& tasks_;
  AccountStore& accounts_;
  SteadyTime next_;
};

}  // namespace rookery::session_manager
