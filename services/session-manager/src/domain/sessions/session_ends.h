#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "domain/delivery/packets.h"
#include "domain/presence/presence_tracker.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/follow_up_writer.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class Addresses;
class Deliverer;
class FeatureHooks;
class OfflineMarks;
class SessionRows;
class SessionTable;
class Shards;
class Users;
struct SessionManagerMetrics;
class DirectoryWriter;
class GatewayPeer;
class Gateways;
class Hooks;
class LiveSessions;
class SessionCloser;
class SessionParker;

/// How a session is over, whoever decides it: the decision is a record of the user's shard, and takes
/// effect where that is read (README.md, SL7 to SL10). I/O thread only.
class SessionEnds final : public Packets::Overflow, public PresenceTracker::Listener {
 public:
  SessionEnds(asio::any_io_executor executor, const Clock& clock, SessionManagerMetrics& metrics,
              const Addresses& addresses, sharding::ShardOwner& owner, const Shards& shards,
              const SessionTable& table, Users& users, sharding::FollowUpWriter& follow_ups,
              const FeatureHooks& features, const Hooks& hooks, LiveSessions& live, Gateways& gateways,
              DirectoryWriter& directory, PresenceTracker& presence, Deliverer& deliverer,
              OfflineMarks& marks, SessionRows& rows, SessionCloser& closer, SessionParker& parker)
      : executor_(std::move(executor)),
        clock_(clock),
        metrics_(metrics),
        addresses_(addresses),
        owner_(owner),
        shards_(shards),
        table_(table),
        users_(users),
        follow_ups_(follow_ups),
        features_(features),
        hooks_(hooks),
        live_(live),
        gateways_(gateways),
        directory_(directory),
        presence_(presence),
        deliverer_(deliverer),
        marks_(marks),
        rows_(rows),
        closer_(closer),
        parker_(parker) {}

  // ---- decisions ----
  /// Decides that the session is over: puts that into the log, where it is applied when it is
  /// read. `condition`, if any, is what its client is told then (RFC 6120 section 4.9.3).
  void End(const std::shared_ptr<Session>& session, std::string_view condition, std::string_view text = {});
  /// Its client was away for too long: it may come back until the record of the end is read.
  void EndTimedOut(const std::shared_ptr<Session>& session);
  /// Ends the older of the session, which a gateway has brought, and another one of the same full JID, when
  /// the shard is live.
  void EndOlder(Session& session);
  /// The shard is live: ends those that were to end then.
  void EndConflicts(Shard& shard);
  void EndOutdated(Shard& shard);
  /// The shard is live and every gateway has brought what it has: ends what an earlier owner has listed
  /// and nobody has brought for `patience` (SL14).
  void EndLost(Shard& shard, SteadyTime::duration patience);
  /// A gateway brings a session that nobody knows, and has been away for longer than ends are known: it is
  /// over (SL16). The gateway keeps it until that is in the log. The shard is live.
  void EndForgotten(GatewayPeer& gateway, Shard& shard, const SessionId& id,
                    const session::v1::SessionAttach& attach);
  /// Too much waits for the client (slow reader, long absence): soon ended.
  void EndOverflowing(Session& session) override;
  /// Its client does not know any more whom it sees.
  void OnPresenceLost(const std::shared_ptr<Session>& session) override;
  /// The record `offset` removes the account, or changes its credentials, and is not finished before the ends
  /// of the sessions that have lost what they were let in by are in the log.
  void OnAccountRemoved(User& user, std::int64_t offset);
  void OnCredentialsChanged(User& user, std::int64_t offset);

  // ---- what the log says ----
  /// The record of an end has been read: applies it. It is not finished before all that follows
  /// from the end is in the log or the store.
  void OnEndRecord(Shard& shard, const PendingRecord& pending);
  /// A record that an earlier owner has finished: what it ended is not to live again.
  void OnFinishedRecord(Shard& shard, const PendingRecord& pending);

 private:
  /// Returns how many of the client's stanzas need not be sent again when the session is over.
  std::uint64_t CountAtEnd(const Session& session) const;
  std::optional<std::uint64_t> CountOf(const Session* session, const events::v1::SessionEnded& ended) const;
  /// Called when an end is in the log.
  using OnLogged = std::function<void(Shard&)>;
  struct FollowUp;
  events::v1::UserRecord MakeEndRecord() const;
  void AppendEnd(Session& session, std::string_view condition, std::string_view text, std::int64_t holds);
  /// The record `holds`, if it is one (>= 0), is not finished before the end is in the log.
  void AppendEndRecord(Shard& shard, events::v1::UserRecord& record, std::int64_t holds, OnLogged on_logged);
  /// `cause`: the record of the end; null when an earlier owner has finished it, so that contacts
  /// know already.
  void Remove(const std::shared_ptr<Session>& session, const events::v1::SessionEnded& ended, Cause* cause);
  /// Removes what is left of the session, and finishes the record of its end, at `offset` (SL8).
  Task<void> FinishEnd(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session, bool is_only_in_row,
                       std::int64_t offset);
  void TellEnded(const std::shared_ptr<Session>& session, GatewayPeer& gateway,
                 const events::v1::SessionEnded& ended);

  asio::any_io_executor executor_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  sharding::ShardOwner& owner_;
  const Shards& shards_;
  const SessionTable& table_;
  Users& users_;
  sharding::FollowUpWriter& follow_ups_;
  const FeatureHooks& features_;
  const Hooks& hooks_;
  LiveSessions& live_;
  Gateways& gateways_;
  DirectoryWriter& directory_;
  PresenceTracker& presence_;
  Deliverer& deliverer_;
  OfflineMarks& marks_;
  SessionRows& rows_;
  SessionCloser& closer_;
  SessionParker& parker_;
};

}  // namespace rookery::session_manager
