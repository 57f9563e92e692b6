#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "ports/account_store.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// When users were last there (XEP-0012), until the store has it. However many leave at once, one statement
/// at a time is under way, for many users: log-ins and messages need the store as well. While the store is
/// away kMost users wait, with kMostBytes at most, and who has waited longest is left out; they are lost with
/// the process. I/O thread only.
class LastActivities {
 public:
  static constexpr std::size_t kMost = 100'000;
  static constexpr std::size_t kMostBytes = 32 * 1024 * 1024;
  /// Of one statement. One user is written whatever the size.
  static constexpr std::size_t kUsersAtOnce = 300;
  static constexpr std::size_t kBytesAtOnce = 256 * 1024;

  LastActivities(asio::any_io_executor executor, runtime::TaskGroup& tasks, AccountStore& accounts)
      : tasks_(tasks), accounts_(accounts), answered_(std::move(executor)) {}

  /// The last activity of that account; nothing older of the user is written any more.
  void Set(std::string user, std::uint64_t generation, AccountStore::LastActivity last);
  /// Returns the user's, also where the store does not have it yet. Else as AccountStore::GetLastActivity.
  Task<absl::StatusOr<std::optional<AccountStore::LastActivity>>> Get(std::string user);
  /// That account is about to be removed: what waits is not written, and a statement of ours that is under
  /// way has been answered when this is done.
  Task<void> Forget(std::string user, std::uint64_t generation);

  /// How many wait, or are being written.
  std::size_t size() const { return waiting_.size(); }

 private:
  using Waiting = std::list<AccountStore::UserActivity>;
  static std::size_t SizeOf(const AccountStore::UserActivity& activity) {
    return activity.user.size() + activity.last.status.size();
  }
  void LeaveOutOldest();
  void Drop(Waiting::iterator place);
  std::vector<AccountStore::UserActivity> Oldest() const;
  /// The store did not answer for them in time.
  void PutBehind(const std::vector<AccountStore::UserActivity>& slow);
  Task<void> WriteTask();

  runtime::TaskGroup& tasks_;
  AccountStore& accounts_;
  /// Those that have waited for longest first. What is newer of a user takes the place of what it replaces,
  /// so that whoever comes and goes all the time is written, too.
  Waiting waiting_;
  /// By user.
  absl::flat_hash_map<std::string_view, Waiting::iterator> places_;
  std::size_t bytes_ = 0;
  bool has_left_out_ = false;
  std::size_t users_at_once_ = kUsersAtOnce;
  bool is_writing_ = false;
  /// Of the statement that is under way.
  std::vector<AccountStore::UserActivity> written_;
  runtime::Event answered_;
};

}  // namespace rookery::session_manager
