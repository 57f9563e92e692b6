#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "domain/features/feature_hooks.h"
#include "domain/keyed_lock.h"
#include "domain/recent_map.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "ports/account_store.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Addresses;
class Consequences;
class LastActivities;
class LiveSessions;
class Outbox;
class RecordOrder;
class Roster;
class SessionEnds;
class Shards;

/// The changes of an account: it is removed, or gets another password. Either is a record of the user's
/// shard, and what it ends is ended where that is read, by whoever owns the shard then (README.md, AC1 to
/// AC4). I/O thread only.
class AccountChanges final : public LifeHook {
 public:
  AccountChanges(asio::any_io_executor executor, const Clock& clock, const Addresses& addresses,
                 const Shards& shards, AccountStore& accounts, KeyMaker& keys, Roster& roster,
                 KeyedLock& rosters, Consequences& consequences, const FeatureHooks& features, Outbox& outbox,
                 RecordOrder& order, LastActivities& last_activities, LiveSessions& live, SessionEnds& ends)
      : executor_(executor),
        clock_(clock),
        addresses_(addresses),
        shards_(shards),
        accounts_(accounts),
        keys_(keys),
        roster_(roster),
        rosters_(rosters),
        consequences_(consequences),
        features_(features),
        outbox_(outbox),
        order_(order),
        last_activities_(last_activities),
        live_(live),
        ends_(ends),
        passwords_(executor) {}

  // ---- decisions ----
  /// The account of that generation (0: the one that there is) is to go (XEP-0077 section 3.2). `cause`: the
  /// record that asks for it. UNAVAILABLE, DEADLINE_EXCEEDED: try later.
  Task<absl::Status> Remove(std::shared_ptr<Shard> shard, std::string bare, std::uint64_t generation,
                            Cause& cause);
  /// The most changes of the password of one account in a minute: more than anybody needs, and less than a
  /// tenth of a second of a processor, at 8 ms a change.
  static constexpr std::size_t kPasswordsPerMinute = 10;
  /// The session's client gives its account another password. Done when whoever came in with the old one is
  /// out. `is_resent`: an earlier owner may have stored it. INVALID_ARGUMENT: PRECIS forbids it.
  /// RESOURCE_EXHAUSTED: too many in a minute. UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED: try later. The
  /// account has the password all the same where the log does not take the change, or the shard has moved.
  Task<absl::Status> ChangePassword(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                    std::string password, bool is_resent);

  // ---- what the log says ----
  /// A removal has been read: the account's sessions are over, and nothing that comes later is for it. The
  /// rest waits for what came before.
  void OnRemovalRead(Shard& shard, const PendingRecord& pending);
  /// The end of a session has been read, and is to be applied.
  void OnEndRead(Shard& shard, const PendingRecord& pending);
  /// Its turn has come.
  void OnRemoval(User& user, PendingRecord& pending);
  void OnCredentialsRecord(Shard& shard, const PendingRecord& pending);
  /// A removal that an earlier owner has finished: sessions that it ended are not to live again.
  void OnFinishedRemoval(Shard& shard, const PendingRecord& pending);
  /// Whether what the record `offset` has for the user comes too late: the account is being removed.
  bool IsGoing(const Shard& shard, std::string_view bare, std::int64_t offset) const;
  /// And whether a record comes too late for its account `bare`, or is what the client of an earlier account
  /// of the name has sent.
  bool IsTooLate(const Shard& shard, std::string_view bare, const PendingRecord& pending) const;

  void OnShardLive(Shard& shard) override;
  void OnSessionEnded(Session& session) override;

 private:
  static constexpr std::size_t kMostAsked = 100'000;
  /// Somebody waits until the change of the user's password has been read.
  struct Change {
    SessionId session;
    std::uint64_t version = 0;
    bool is_read = false;
    /// The log will never have it.
    bool is_lost = false;
    std::shared_ptr<runtime::Event> settled;
  };
  /// Counts one more. False: there are too many.
  bool MayChangePassword(const std::string& bare);
  /// Keys of the password: fresh ones, unless it was sent again and the account has some of it already.
  Task<absl::StatusOr<AccountStore::Keys>> KeysOf(std::string bare, std::string password, bool is_resent);
  /// Tries until it is known whether the account has the keys, or the shard is not ours.
  Task<absl::Status> StoreKeys(std::shared_ptr<Shard> shard, std::string bare, std::uint64_t generation,
                               AccountStore::Keys keys);
  bool IsAnotherThere(const User& user) const;
  Task<void> RemoveTask(std::shared_ptr<Shard> shard, std::string bare, std::uint64_t generation,
                        Cause cause);
  /// Until nothing of the account is under way.
  Task<void> AwaitIdle(std::shared_ptr<Shard> shard, std::string bare);
  Task<void> RemoveRoster(std::shared_ptr<Shard> shard, std::string bare, Cause cause);
  void TellContacts(Shard& shard, const std::string& bare, Cause& cause,
                    const std::vector<std::string>& available,
                    const roster::v1::DeleteUserResponse& contacts);

  asio::any_io_executor executor_;
  const Clock& clock_;
  const Addresses& addresses_;
  const Shards& shards_;
  AccountStore& accounts_;
  KeyMaker& keys_;
  Roster& roster_;
  KeyedLock& rosters_;
  Consequences& consequences_;
  const FeatureHooks& features_;
  Outbox& outbox_;
  RecordOrder& order_;
  LastActivities& last_activities_;
  LiveSessions& live_;
  SessionEnds& ends_;
  /// One change of a password of a user at a time.
  KeyedLock passwords_;
  /// When those of the last minute were asked for, by user.
  RecentMap<std::string, std::vector<SteadyTime>> passwords_asked_{kMostAsked};
  using Changes = std::map<std::string, std::shared_ptr<Change>, std::less<>>;
  Changes changes_;
};

}  // namespace rookery::session_manager
