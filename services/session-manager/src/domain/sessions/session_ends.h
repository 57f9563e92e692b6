#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "domain/delivery/packets.h"
#include "domain/state/shard.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/follow_up_writer.h"

namespace rookery::session_manager {

class Addresses;
class AppliedEnds;
class DirectoryWriter;
class GatewayPeer;
class Gateways;
class LiveSessions;
class SessionTable;

/// Decides that a session is over, for whoever finds a reason: the decision is a record of the user's shard,
/// and takes effect where that is read (AppliedEnds; README.md, SL7 to SL10). I/O thread only.
class SessionEnds final : public Packets::Overflow {
 public:
  SessionEnds(asio::any_io_executor executor, const Clock& clock, const Addresses& addresses,
              const SessionTable& table, sharding::FollowUpWriter& follow_ups, LiveSessions& live,
              Gateways& gateways, DirectoryWriter& directory, AppliedEnds& applied)
      : executor_(std::move(executor)),
        clock_(clock),
        addresses_(addresses),
        table_(table),
        follow_ups_(follow_ups),
        live_(live),
        gateways_(gateways),
        directory_(directory),
        applied_(applied) {}

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
  void EndOldCredentials(Shard& shard);
  /// The shard is live and every gateway has brought what it has: ends what an earlier owner has listed
  /// and nobody has brought for `patience` (SL14).
  void EndLost(Shard& shard, SteadyTime::duration patience);
  /// A gateway brings a session that nobody knows, and has been away for longer than ends are known: it is
  /// over (SL16). The gateway keeps it until that is in the log. The shard is live.
  void EndForgotten(GatewayPeer& gateway, Shard& shard, const SessionId& id,
                    const session::v1::SessionAttach& attach);
  /// A gateway brings a session that we fail to take: as EndForgotten, before the shard is live, too.
  void EndNotTaken(GatewayPeer& gateway, Shard& shard, const SessionId& id,
                   const session::v1::SessionAttach& attach);
  /// Too much waits for the client (slow reader, long absence): soon ended.
  void EndOverflowing(Session& session) override;
  /// The record `offset` removes the account, or changes its credentials, and is not finished before the ends
  /// of the sessions that have lost what they were let in by are in the log.
  void OnAccountRemoved(User& user, std::int64_t offset);
  void OnCredentialsChanged(User& user, std::int64_t offset);

 private:
  /// Called when an end is in the log.
  using OnLogged = std::function<void(Shard&)>;
  struct FollowUp;
  events::v1::UserRecord MakeEndRecord() const;
  /// Of a session that its gateway brings and we do not have.
  void EndBrought(GatewayPeer& gateway, Shard& shard, const SessionId& id,
                  const session::v1::SessionAttach& attach, const std::string& condition);
  void AppendEnd(Session& session, std::string_view condition, std::string_view text, std::int64_t holds);
  /// The record `holds`, if it is one (>= 0), is not finished before the end is in the log.
  void AppendEndRecord(Shard& shard, events::v1::UserRecord& record, std::int64_t holds, OnLogged on_logged);

  asio::any_io_executor executor_;
  const Clock& clock_;
  const Addresses& addresses_;
  const SessionTable& table_;
  sharding::FollowUpWriter& follow_ups_;
  LiveSessions& live_;
  Gateways& gateways_;
  DirectoryWriter& directory_;
  AppliedEnds& applied_;
};

}  // namespace rookery::session_manager
