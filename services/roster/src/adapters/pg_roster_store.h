#pragma once

#include <chrono>

#include "ports/roster_store.h"
#include "rookery/pg/pool.h"

namespace rookery::roster {

/// Each change is one statement, which touches one owner only; what others have approved of a user who is
/// removed is changed before, one of them after the other. Changes of one owner share a lane, so that they
/// are made in the order given.
class PgRosterStore final : public RosterStore {
 public:
  /// A change is made within so much time or not at all, and within half of the time for which answers are
  /// kept.
  static constexpr std::chrono::minutes kMadeWithin{5};

  /// Answers older than `answers_kept_for` are forgotten, and at any time all but the last
  /// 512 of a user.
  PgRosterStore(pg::Pool& pool, std::chrono::milliseconds answers_kept_for)
      : pool_(pool), answers_kept_for_(answers_kept_for) {}

  Task<absl::StatusOr<StoredRoster>> Load(std::string owner) override;
  Task<absl::StatusOr<StoredRoster>> LoadPending(std::string owner) override;
  Task<absl::StatusOr<Snapshot>> Read(std::string owner, std::string jid, std::string request_id) override;
  Task<absl::StatusOr<std::uint64_t>> Apply(std::string owner, Change change) override;
  Task<absl::StatusOr<SettingsSnapshot>> ReadSettings(std::string owner, std::string request_id) override;
  Task<absl::Status> SaveBlockList(std::string owner, BlockChange change) override;
  Task<absl::StatusOr<std::string>> LoadVcard(std::string owner) override;
  Task<absl::Status> SaveVcard(std::string owner, VcardChange change) override;
  Task<absl::Status> RemoveAll(std::string owner, Removal removal) override;
  Task<absl::Status> ForgetOldAnswers() override;

 private:
  /// Takes back what others have approved of a user before a request. FAILED_PRECONDITION: too late for some.
  Task<absl::Status> TakeBackApprovals(std::string user, std::int64_t read_at_ms);
  /// Until when a change may be made that rests on what was read then: for less long than the answer of
  /// somebody who was quicker is kept.
  pg::Param LatestFor(std::int64_t read_at_ms) const;

  pg::Pool& pool_;
  std::chrono::milliseconds answers_kept_for_;
};

}  // namespace rookery::roster
