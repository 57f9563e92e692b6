#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "domain/state/cause.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class KeyedLock;
class Shards;
struct SessionManagerMetrics;
struct Settings;
struct Shard;

/// The presence that a user's contacts are to hear when the roster, which says who they are, is back: it is
/// asked again and again, of so many users at a time. I/O thread only.
class OwedPresence {
 public:
  struct Unavailable {
    xmpp::Stanza presence;
    /// The record of the session's end, held until its contacts are told; none while the session lives.
    Cause cause;
  };
  /// Of one user.
  struct Owed {
    std::shared_ptr<Shard> shard;
    std::vector<Unavailable> unavailable;
    /// Full JIDs whose probes were not answered.
    std::vector<std::string> probers;
    /// More have probed than are noted: all contacts are told.
    bool has_many_probers = false;
    /// Sessions are to become available (SessionManagerState.presence_due).
    bool has_presence_due = false;
    /// The roster has not answered in this outage (`outage_`); 0: it was not asked.
    std::uint64_t failed_in = 0;
  };

  class Payer {
   public:
    /// Asks the roster who the contacts of the user are, and says what Take returns. The user's roster is
    /// held.
    virtual Task<absl::Status> Pay(std::shared_ptr<Shard> shard, std::string bare) = 0;

   protected:
    ~Payer() = default;
  };

  OwedPresence(const Settings& settings, SessionManagerMetrics& metrics, runtime::TaskGroup& tasks,
               const Shards& shards, KeyedLock& rosters)
      : settings_(settings), metrics_(metrics), tasks_(tasks), shards_(shards), rosters_(rosters) {}
  OwedPresence(const OwedPresence&) = delete;
  OwedPresence& operator=(const OwedPresence&) = delete;
  /// Before the first session.
  void SetPayer(Payer& payer) { payer_ = &payer; }
  bool is_wired() const { return payer_ != nullptr; }

  /// What is owed of the user, for more to be added within this turn of the loop. Null when too much is owed
  /// already.
  Owed* Owe(const Shard& shard, const std::string& bare) { return Owe(shard, bare, /*is_bounded=*/false); }
  /// One of the user's sessions is unavailable: its client has said so or, with `cause`, it has ended, and
  /// the record of the end is held by the caller. However much is owed, and for as long as it takes.
  void OweUnavailable(const Shard& shard, const std::string& bare, xmpp::Stanza presence,
                      const Cause& cause = {});
  /// Notes one whose probe was not answered.
  void OweAnswer(const Shard& shard, const std::string& bare, std::string prober);
  /// The roster has not answered somebody who has asked it for the user: from here on it is asked here, until
  /// it answers.
  void OnRosterAway(const Shard& shard, const std::string& bare);
  /// The roster is asked for the user again and again: nobody else has to.
  bool IsRosterAway(const std::string& bare) const;
  /// For who is about to say it.
  std::optional<Owed> Take(const std::string& bare);
  /// The shard's next owner goes on.
  void Forget(const Shard& shard);

 private:
  /// `is_bounded`: by something else than what is owed already. Then never null.
  Owed* Owe(const Shard& shard, const std::string& bare, bool is_bounded);
  /// An attempt to pay for one user.
  struct Attempt;
  /// Ends its attempt when it dies.
  struct EndOfAttempt;
  /// A place among so many payers: free again when it dies.
  struct PayersPlace;
  Task<void> PayAll();
  /// Whether it is paid, or was before. False: the roster is away, the shard has moved, or an exception has
  /// it acquired afresh.
  Task<bool> TryPay(std::shared_ptr<Shard> shard, std::string bare);
  /// A coroutine of the shard.
  Task<void> Pay(std::shared_ptr<Shard> shard, std::string bare, EndOfAttempt end);

  const Settings& settings_;
  SessionManagerMetrics& metrics_;
  runtime::TaskGroup& tasks_;
  const Shards& shards_;
  KeyedLock& rosters_;
  Payer* payer_ = nullptr;
  std::unordered_map<std::string, Owed> owed_;
  /// Users of `owed_`, and some that are not there any more.
  std::deque<std::string> order_;
  std::size_t payers_ = 0;
  /// Another one whenever the roster has answered.
  std::uint64_t outage_ = 1;
};

}  // namespace rookery::session_manager
