#pragma once

#include <cstdint>
#include <memory>

#include "domain/state/cause.h"
#include "domain/state/session.h"
#include "domain/state/shard.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class DirectoryWriter;
class FeatureHooks;
class GatewayPeer;
class Gateways;
class LiveSessions;
class MessageRoutes;
class OfflineMarks;
class PresenceTracker;
class SessionCloser;
class SessionParker;
class SessionRows;
class Shards;
class Users;
struct SessionManagerMetrics;

/// A session that is over goes, and everybody who has to hear of that does: its gateway, its contacts, the
/// store, features (README.md, SL8). I/O thread only.
class SessionRemoval {
 public:
  SessionRemoval(SessionManagerMetrics& metrics, const Shards& shards, Users& users,
                 const FeatureHooks& features, Gateways& gateways, LiveSessions& live,
                 DirectoryWriter& directory, PresenceTracker& presence, MessageRoutes& routes,
                 OfflineMarks& marks, SessionRows& rows, SessionCloser& closer, SessionParker& parker)
      : metrics_(metrics),
        shards_(shards),
        users_(users),
        features_(features),
        gateways_(gateways),
        live_(live),
        directory_(directory),
        presence_(presence),
        routes_(routes),
        marks_(marks),
        rows_(rows),
        closer_(closer),
        parker_(parker) {}

  /// `cause`: the record of the end, which is not finished before nothing is left of the session. Null: an
  /// earlier owner has finished it, so that contacts know already, or they never knew of the session.
  void Remove(const std::shared_ptr<Session>& session, const events::v1::SessionEnded& ended, Cause* cause);

 private:
  /// What is left of the session goes, and the record of its end, at `offset`, is finished (SL8).
  Task<void> FinishEnd(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session, bool is_only_in_row,
                       std::int64_t offset);
  void TellEnded(const std::shared_ptr<Session>& session, GatewayPeer& gateway,
                 const events::v1::SessionEnded& ended);

  SessionManagerMetrics& metrics_;
  const Shards& shards_;
  Users& users_;
  const FeatureHooks& features_;
  Gateways& gateways_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
  PresenceTracker& presence_;
  MessageRoutes& routes_;
  OfflineMarks& marks_;
  SessionRows& rows_;
  SessionCloser& closer_;
  SessionParker& parker_;
};

}  // namespace rookery::session_manager
