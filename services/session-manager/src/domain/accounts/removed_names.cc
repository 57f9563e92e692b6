#include "domain/accounts/removed_names.h"

#include <algorithm>
#include <chrono>

#include "domain/settings.h"
#include "ports/account_store.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

namespace {

constexpr std::chrono::minutes kEvery{10};
constexpr std::size_t kAtOnce = 100;
constexpr std::chrono::seconds kPause{1};
/// Kept for longer than the setting says, so that one that is raised holds for the names of the last day.
constexpr std::chrono::hours kAtLeast{24};

}  // namespace

void RemovedNames::OnSweep() {
  const SteadyTime now = clock_.Now();
  if (now < next_) return;
  next_ = now + kEvery;
  tasks_.Spawn("accounts.forget_removed", Forget());
}

Task<void> RemovedNames::Forget() {
  const auto age = std::max<std::chrono::milliseconds>(settings_.name_reuse_after, kAtLeast);
  while (true) {
    const absl::StatusOr<std::size_t> forgotten = co_await accounts_.ForgetRemoved(age, kAtOnce);
    // The rest, and anything that failed, is done next time.
    if (!forgotten.ok() || *forgotten < kAtOnce) co_return;
    co_await runtime::Sleep(kPause);
  }
}

}  // namespace rookery::session_manager
