#pragma once

#include <cstdint>
#include <memory>

#include "domain/sessions/session_parker.h"
#include "ports/gateway_peer.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class HandOuts;
class OfflineRecovery;
class Outbox;
class Confirmations;
class Deliverer;
class DirectoryWriter;
class FeatureHooks;
class Gateways;
class Ghosts;
class LiveSessions;
class PresenceTracker;
class SessionEnds;
class SessionResumer;
class SessionTable;
class Shards;
class SubscriptionHandler;
struct SessionManagerMetrics;

/// Gateways bring their sessions to a new owner of a shard, or back over a new link, however long that
/// took (README.md, SL12 and SL16).
class SessionAttacher {
 public:
  SessionAttacher(const Clock& clock, SessionManagerMetrics& metrics, const Shards& shards,
                  const SessionTable& table, Confirmations& confirmations, const FeatureHooks& features,
                  Gateways& gateways, LiveSessions& live, DirectoryWriter& directory, Outbox& outbox,
                  HandOuts& hand_outs, OfflineRecovery& recovery, Deliverer& deliverer, Ghosts& ghosts,
                  PresenceTracker& presence, SubscriptionHandler& subscriptions, SessionParker& parker,
                  SessionEnds& ends, SessionResumer& resumer)
      : clock_(clock),
        metrics_(metrics),
        shards_(shards),
        table_(table),
        confirmations_(confirmations),
        features_(features),
        gateways_(gateways),
        live_(live),
        directory_(directory),
        outbox_(outbox),
        hand_outs_(hand_outs),
        recovery_(recovery),
        deliverer_(deliverer),
        ghosts_(ghosts),
        presence_(presence),
        subscriptions_(subscriptions),
        parker_(parker),
        ends_(ends),
        resumer_(resumer) {}

  void Attach(GatewayPeer& gateway, const session::v1::GatewayAction& action, Shard& shard);
  /// True: whether the session is over can only be told when the shard is live, so the action must wait.
  bool HasToWait(const session::v1::GatewayAction& action, const Shard& shard) const;
  /// Adds the time that the action has waited here to the `out_of_reach_ms` that its gateway stated.
  static void AddWait(SteadyTime::duration waited, session::v1::GatewayAction& action);
  /// The gateway has attached every session of the shard that it has.
  void AttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done);

 private:
  /// How a gateway's session stands to what we know of it.
  enum class Arrival : std::uint8_t {
    /// We have it, as it is or as it was: it goes on.
    kKnown,
    /// We do not know it, and nothing has been read or settled without it.
    kInTime,
    /// We do not know it, and nothing has been read without it, but its packets in the store were taken for
    /// those of a session that has ended.
    kSettled,
    /// We do not know it, and records may have been read without it.
    kLate,
    /// We have it as it was before its client came to this gateway, or, once live, as a row alone: what the
    /// gateway brings takes the place of that.
    kSupersedes,
  };
  /// What a gateway says of a session, and who says it where.
  struct Brought;

  /// True: the session is over, at least for this gateway, which is told so unless it hears it anyway.
  /// `known`: what we know of the session; may be null.
  bool AnswerIfOver(const Brought& brought, const Session* known);
  /// Of a session that is not over.
  static Arrival ArrivalOf(const Brought& brought, const Session* known);
  /// The session as its gateway brings it, among its user's. `superseded`, which may be null, goes for it.
  std::shared_ptr<Session> MakeSession(const Brought& brought, const std::shared_ptr<Session>& superseded);
  /// The session and others are told anew what they may not know of each other.
  void TellWhatWasMissed(const std::shared_ptr<Session>& session, Arrival arrival);
  /// The session has taken the place of another one after the shard went live: it is given what it lacks.
  /// `is_whole`: as Merge says.
  void GoOn(const std::shared_ptr<Session>& session, bool is_whole, std::uint64_t last_seq);
  /// Back over a new link, to the owner that has it.
  void AttachAgain(GatewayPeer& gateway, const std::shared_ptr<Session>& session,
                   const session::v1::SessionAttach& attach);
  /// Its gateway has not been in touch for longer than we know what has ended (SL16).
  bool IsForgotten(const session::v1::GatewayAction& action, const Shard& shard) const;
  /// The phase of a session as its gateway brings it.
  void Arrive(Session& session, bool is_away);
  /// Gives the packets of a session that has just been adopted what is known of them, and adds
  /// those that its gateway was not given. False: some can only be read from the log again.
  bool Merge(Session& session, UnackedQueue& known);

  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Shards& shards_;
  const SessionTable& table_;
  Confirmations& confirmations_;
  const FeatureHooks& features_;
  Gateways& gateways_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
  Outbox& outbox_;
  HandOuts& hand_outs_;
  OfflineRecovery& recovery_;
  Deliverer& deliverer_;
  Ghosts& ghosts_;
  PresenceTracker& presence_;
  SubscriptionHandler& subscriptions_;
  SessionParker& parker_;
  SessionEnds& ends_;
  SessionResumer& resumer_;
};

}  // namespace rookery::session_manager
