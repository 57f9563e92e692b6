#include "domain/presence/last_activities.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

/// Whether the store is away. What it refuses it would refuse again.
bool MayBeTriedAgain(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status);
}

}  // namespace

void LastActivities::Set(std::string user, std::uint64_t generation, AccountStore::LastActivity last) {
  AccountStore::UserActivity activity{std::move(user), generation, std::move(last)};
  bytes_ += SizeOf(activity);
  if (const auto known = places_.find(activity.user); known != places_.end()) {
    // The user's name, which is the key, stays where it is.
    AccountStore::UserActivity& older = *known->second;
    bytes_ -= SizeOf(older);
    older.generation = activity.generation;
    older.last = std::move(activity.last);
  } else {
    waiting_.push_back(std::move(activity));
    places_[waiting_.back().user] = std::prev(waiting_.end());
  }
  while (waiting_.size() > kMost || bytes_ > kMostBytes) LeaveOutOldest();
  if (std::exchange(is_writing_, true)) return;
  tasks_.Spawn("last_activity", WriteTask());
}

void LastActivities::LeaveOutOldest() {
  if (!std::exchange(has_left_out_, true))
    telemetry::LogWarn("last_activity.left_out", {{"waiting", waiting_.size()}, {"bytes", bytes_}});
  Drop(waiting_.begin());
}

void LastActivities::Drop(Waiting::iterator place) {
  bytes_ -= SizeOf(*place);
  places_.erase(place->user);
  waiting_.erase(place);
}

Task<absl::StatusOr<std::optional<AccountStore::LastActivity>>> LastActivities::Get(std::string user) {
  if (const auto known = places_.find(user); known != places_.end()) co_return known->second->last;
  auto stored = co_await accounts_.GetLastActivity(std::move(user));
  co_return stored;
}

Task<void> LastActivities::Forget(std::string user, std::uint64_t generation) {
  if (const auto known = places_.find(user); known != places_.end()) {
    const std::uint64_t of = known->second->generation;
    if (of == 0 || of == generation) Drop(known->second);
  }
  const auto is_written = [&] {
    return std::any_of(written_.begin(), written_.end(),
                       [&](const AccountStore::UserActivity& one) { return one.user == user; });
  };
  while (is_written()) co_await answered_.Wait();
}

void LastActivities::PutBehind(const std::vector<AccountStore::UserActivity>& slow) {
  // Somebody may have locked the row of one of them: the others do not wait for that.
  users_at_once_ = std::max<std::size_t>(slow.size() / 2, 1);
  for (const AccountStore::UserActivity& one : slow)
    if (const auto known = places_.find(one.user); known != places_.end())
      waiting_.splice(waiting_.end(), waiting_, known->second);
}

std::vector<AccountStore::UserActivity> LastActivities::Oldest() const {
  std::vector<AccountStore::UserActivity> oldest;
  std::size_t bytes = 0;
  for (const AccountStore::UserActivity& activity : waiting_) {
    bytes += SizeOf(activity);
    if (oldest.size() == users_at_once_ || (bytes > kBytesAtOnce && !oldest.empty())) break;
    oldest.push_back(activity);
  }
  return oldest;
}

Task<void> LastActivities::WriteTask() {
  struct Writing {
    ~Writing() {
      self.is_writing_ = false;
      self.written_.clear();
      self.answered_.Notify();
    }
    LastActivities& self;
  } writing{*this};
  for (runtime::Backoff backoff(kBackendRetries); !waiting_.empty();) {
    written_ = Oldest();
    const absl::Status stored = co_await accounts_.SetLastActivities(written_);
    const std::vector<AccountStore::UserActivity> written = std::exchange(written_, {});
    answered_.Notify();
    if (!stored.ok())
      telemetry::LogWarn("last_activity.store_failed",
                         {{"error", Message(stored)}, {"users", written.size()}});
    if (MayBeTriedAgain(stored)) {
      if (absl::IsDeadlineExceeded(stored)) PutBehind(written);
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    users_at_once_ = std::min(users_at_once_ * 2, kUsersAtOnce);
    for (const AccountStore::UserActivity& one : written) {
      const auto known = places_.find(one.user);
      // What has come of the user meanwhile is still to be written.
      if (known != places_.end() && *known->second == one) Drop(known->second);
    }
  }
  has_left_out_ = false;
}

}  // namespace rookery::session_manager
