#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "domain/recent_map.h"
#include "rookery/base/clock.h"
#include "rookery/base/session_id.h"
#include "rookery/session/v1/session_state.pb.h"

namespace rookery::session_manager {

/// The sessions of one shard that are over, and what has ended others: accounts that were removed, and
/// credentials that were changed, as the log says. And those whose clients have gone on with them elsewhere
/// than whoever brings them may know.
/// A gateway that was out of reach may bring such a session back: it must not live again, since
/// its contacts have been told that it is gone.
///
/// Kept for `shards.duplicate-horizon`; beyond kMost the oldest go first. A new owner of the shard fills
/// it from the log. A gateway that was out of reach for longer is told so by other means (README.md, SL16).
/// One for each shard; I/O thread only.
class EndedSessions {
 public:
  static constexpr std::size_t kMost = 200'000;

  struct Ended {
    /// How often the session had been resumed: with a higher count it is alive.
    std::uint64_t resumptions = 0;
    /// How many of the client's stanzas are in the log (XEP-0198 section 5, `h` of <failed/>); none
    /// where nobody knows.
    std::optional<std::uint64_t> confirmed_count;
    /// A hash of the bare JID: only its user is told anything.
    std::size_t user = 0;
  };

  /// `bare`: whose it was. If a session has two ends, the one after more resumptions counts.
  void Add(const SessionId& id, std::string_view bare, std::uint64_t resumptions,
           std::optional<std::uint64_t> confirmed_count, SteadyTime now);
  /// Whether the session, as somebody brings it, is over.
  bool IsOver(const SessionId& id, std::uint64_t resumptions) const;
  /// The session's client is back, after so many resumptions: whoever has it from before has nothing.
  void AddBack(const SessionId& id, std::uint64_t resumptions, SteadyTime now);
  /// After how many resumptions its client was seen last; 0: nothing is known of any.
  std::uint64_t BackAfter(const SessionId& id) const;
  /// For one who says to be its user; null when nothing is known of its end.
  const Ended* Find(const SessionId& id, std::string_view bare) const;

  /// The account of that generation (0: not known) is removed by the record `offset`: every session of it,
  /// and whatever began before that record, is over.
  void AddAccount(std::string_view bare, std::int64_t offset, std::uint64_t generation, SteadyTime now);
  /// Nobody is let in who has authenticated for that account.
  bool IsBarred(std::string_view bare, std::uint64_t generation) const;

  struct CredentialsChange {
    std::int64_t offset = -1;
    std::uint64_t version = 0;
    /// Goes on.
    SessionId session;
  };
  /// Every session of the account that began before, and was let in by older credentials, is over.
  void AddChange(std::string_view bare, CredentialsChange change, SteadyTime now);
  /// The newest one; null when none is known.
  const CredentialsChange* ChangeOf(std::string_view bare) const;

  /// Whether the session has lost what it was let in by.
  bool HasLostAccount(std::string_view bare, const session::v1::SessionManagerState& state) const;
  bool HasLostCredentials(std::string_view bare, const SessionId& id,
                          const session::v1::SessionManagerState& state) const;

  /// Every end that was added later is known still.
  SteadyTime forgotten_until() const;
  /// Forgets what was added before `before`.
  void Expire(SteadyTime before);
  std::size_t size() const { return sessions_.size() + back_.size() + accounts_.size() + changes_.size(); }

 private:
  struct Removal {
    std::int64_t offset = -1;
    std::uint64_t generation = 0;
  };
  RecentMap<SessionId, Ended> sessions_{kMost};
  RecentMap<SessionId, std::uint64_t> back_{kMost};
  RecentMap<std::string, Removal> accounts_{kMost};
  RecentMap<std::string, CredentialsChange> changes_{kMost};
};

}  // namespace rookery::session_manager
