#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "domain/state/user.h"
#include "domain/users/user_settings.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

struct Shard;
class Hooks;
class Outbox;
class Shards;
class Users;

/// `own_request`: what an own client's request to the account is.
RecordKey KeyOf(const events::v1::UserRecord& record, RecordClass own_request);
/// Whether a record must wait for an earlier one that is not finished:
/// 1. for one of the same sender, so that their order stays;
/// 2. not for the answer to a request, unless it is another request, whose answer comes second;
/// 3. what goes out waits for the user's own requests, and they for what went out before;
/// 4. everything, for a change of the user's settings, unless `is_in_doubt`: a change of the user's own
///    has an unknown outcome, so that it may take long;
/// 5. the end of a session, for what it may have been sent by an earlier owner: only the session tells;
/// 6. the removal of the account, for all but ends of sessions; for it nothing waits, since what comes later
///    is not the account's.
bool MustWait(const RecordKey& later, const RecordKey& earlier, bool is_in_doubt = false);

/// The order in which the records of a user are applied. Most are applied as they are read and never
/// come here. One whose application takes time (a subscription that the roster must store) holds
/// back only what order requires.
class RecordOrder final : public SettingsKeeper::Listener {
 public:
  /// At most so many entries: each is named in the sessions' states, so that the next owner knows whether it
  /// was given.
  static constexpr std::size_t kMaxEntries = 256;
  /// The limit for one user's records that wait: one sender must not fill the shard's share.
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
  /// The limit at a new owner that reads again what its predecessor has read: perhaps that was given long
  /// ago.
  static constexpr std::size_t kMaxRecoveredBytes = 8 * kMaxBytes;
  /// The limit for others' questions to one account: more at a time are a flood.
  static constexpr std::ptrdiff_t kMaxQueries = 64;
  /// The limit for records that a user's clients have sent, once the oldest has waited for kSendingPatience.
  static constexpr std::ptrdiff_t kMaxSending = 16;
  static constexpr std::chrono::milliseconds kSendingPatience{1'500};

  /// Applies the records that had to wait.
  class Applier {
   public:
    virtual void Apply(User& user, PendingRecord& record) = 0;
    /// An exception has ended that, or what was to finish the record.
    virtual void OnFailed(Shard& shard, std::int64_t offset, const std::exception& failure) = 0;
    /// All of the user's have been that can be at present.
    virtual void OnDrained(User& user) = 0;

   protected:
    ~Applier() = default;
  };

  RecordOrder(const Shards& shards, Users& users, const Hooks& hooks, Outbox& outbox,
              SettingsKeeper& user_settings)
      : shards_(shards), users_(users), hooks_(hooks), outbox_(outbox), user_settings_(user_settings) {}
  /// Before the first record.
  void SetApplier(Applier& applier) { applier_ = &applier; }
  bool is_wired() const { return applier_ != nullptr; }

  enum class Verdict : std::uint8_t {
    /// The caller is to apply the record now.
    kNow,
    /// It is kept, and applied once what it must wait for is finished.
    kLater,
    /// It would have to wait, and more than kMaxBytes, kMaxRecoveredBytes or kMaxQueries do already.
    kFull,
  };
  /// `is_refusable`: else it is never kFull.
  Verdict Admit(User& user, const std::shared_ptr<PendingRecord>& record, bool is_refusable);
  /// Whether a record must wait at present.
  bool HasToWait(User& user, const RecordKey& key) const;

  /// The record that is being applied is finished when `work` ends. `work` runs later, never
  /// within this call; the shard may have been released when it resumes.
  void FinishLater(User& user, PendingRecord& record, const char* name, std::function<Task<void>()> work);
  /// Whether a stanza of the user's client to `address` is not finished.
  static bool IsSending(const User& user, std::string_view address);
  /// Whether the user's clients may send no more that goes through the log of their shard: what they have
  /// sent is not finished for more than kSendingPatience, and it is kMaxSending records, or kMaxBytes wait.
  static bool IsClogged(const User& user, SteadyTime now);
  /// The roster service has not said what became of a change that the user's client has asked for, the record
  /// `offset`, and is asked again.
  void OnDoubt(Shard& shard, const std::string& bare, std::int64_t offset);
  /// Records of the user may have waited for that.
  void OnSettingsKnown(Shard& shard, const std::string& bare) override { Drain(shard, bare); }

 private:
  using Entry = Backlog::Entry;
  RecordKey KeyFor(const PendingRecord& pending) const;
  Backlog& BacklogOf(User& user);
  void Start(User& user, const char* name, std::uint64_t id, std::int64_t offset,
             std::function<Task<void>()> work);
  Task<void> Run(std::shared_ptr<Shard> shard, std::string bare, std::uint64_t id, std::int64_t offset,
                 std::function<Task<void>()> work);
  void Finish(Shard& shard, const std::string& bare, std::uint64_t id);
  /// The record is applied: sessions need not name it any more.
  void Release(User& user, std::int64_t offset);
  void Drain(Shard& shard, const std::string& bare);

  const Shards& shards_;
  Users& users_;
  const Hooks& hooks_;
  Outbox& outbox_;
  SettingsKeeper& user_settings_;
  Applier* applier_ = nullptr;
};

}  // namespace rookery::session_manager
