#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "domain/delivery/deliverer.h"
#include "domain/features/feature_hooks.h"
#include "domain/state/cause.h"
#include "domain/state/sender.h"
#include "domain/state/user.h"
#include "rookery/base/clock.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class AccountStore;
class Addresses;
class ClientAnswers;
class Consequences;
class KeyedLock;
class Outbox;
class PresenceTracker;
class RecordOrder;
class Roster;
class SessionTable;
class Shards;
class Users;
struct SessionManagerMetrics;
struct Settings;

/// Subscriptions and roster pushes (RFC 6121 sections 2.1.6 and 3): asks the roster
/// service for the state's next step and does what follows from it.
///
/// A session with too much to take is given none of what others cause (delivery/README.md, B4): its state
/// remembers of whom, and when there is room it is told what their requests and items are by then.
class SubscriptionHandler final : public LifeHook, public Deliverer::RosterListener {
 public:
  /// The payload of a subscription stanza is no larger: somebody who is away may be sent many.
  static constexpr std::size_t kMaxBytes = 4'096;

  SubscriptionHandler(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                      const Addresses& addresses, const Shards& shards, const SessionTable& table,
                      Users& users, AccountStore& accounts, Roster& roster, KeyedLock& rosters,
                      Consequences& consequences, Outbox& outbox, Deliverer& deliverer,
                      ClientAnswers& answers, RecordOrder& order, PresenceTracker& presence)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        addresses_(addresses),
        shards_(shards),
        table_(table),
        users_(users),
        accounts_(accounts),
        roster_(roster),
        rosters_(rosters),
        consequences_(consequences),
        outbox_(outbox),
        deliverer_(deliverer),
        answers_(answers),
        order_(order),
        presence_(presence) {}

  /// Our user sends subscribe, subscribed, unsubscribe or unsubscribed; it comes through the log.
  void OnOutbound(const Sender& sender, PendingRecord& pending);
  /// Our user receives one of them.
  void OnInbound(User& user, PendingRecord& pending);

  /// The user's own change to every resource that has asked for the roster, and to what we keep of it. Like
  /// a packet of the record that is its cause, a push holds it: nobody else tells a client what it has not
  /// been told.
  void Push(User& user, const Cause& cause, const roster::v1::RosterPush& push);
  /// A pushed IQ with `change` to every session of the user that `is_interested`.
  void PushTo(User& user, const Cause& cause, const xmpp::Element& change,
              const std::function<bool(const Session&)>& is_interested);
  /// Tells the contact, as follows from the removal of an item.
  void OnItemRemoved(User& user, Cause& cause, const std::string& contact,
                     const roster::v1::RemoveRosterItemResponse& removed);

  /// Records were read without the session, by us or by an owner before us (SL12): as one that has missed
  /// something of all, it is told what is in the roster by now, by the next owner if not by this one.
  void TellAnew(Session& session);
  /// The session's client has taken what it had too much of.
  void OnRoomForRoster(Session& session) override;
  /// Goes on with what an earlier owner could not tell.
  void OnShardLive(Shard& shard) override;
  void OnSessionEnded(Session& session) override { told_up_to_.erase(session.id); }

 private:
  /// Pushes that others cause are spared where they are too many.
  void Push(User& user, const Cause& cause, const roster::v1::RosterPush& push, bool is_own);
  void SendPush(User& user, const Cause& cause, const xmpp::Element& change,
                const std::vector<Session*>& sessions);
  void Miss(Session& session, const std::string& contact);
  Task<void> CatchUp(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  void TellMissed(Session& session, const roster::v1::GetRosterResponse& roster);
  Task<void> OutboundTask(std::shared_ptr<Shard> shard, std::string bare, std::shared_ptr<Session> session,
                          Cause cause, xmpp::Stanza presence);
  void FinishOutbound(Shard& shard, const std::string& bare, Cause& cause, xmpp::Stanza presence,
                      const roster::v1::ProcessOutboundSubscriptionResponse& response);
  Task<void> InboundTask(std::shared_ptr<Shard> shard, std::string bare, Cause cause, xmpp::Stanza presence);
  Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> TryInbound(
      Shard& shard, const std::string& bare, const Cause& cause, const xmpp::Stanza& presence);
  void FinishInbound(Shard& shard, const std::string& bare, Cause& cause, const xmpp::Stanza& presence,
                     const roster::v1::ProcessInboundSubscriptionResponse& response);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  const Shards& shards_;
  const SessionTable& table_;
  Users& users_;
  AccountStore& accounts_;
  Roster& roster_;
  KeyedLock& rosters_;
  Consequences& consequences_;
  Outbox& outbox_;
  Deliverer& deliverer_;
  ClientAnswers& answers_;
  RecordOrder& order_;
  PresenceTracker& presence_;
  /// For sessions that are told in portions what they have missed: the item up to which they were told.
  absl::flat_hash_map<SessionId, std::string> told_up_to_;
};

/// Names a cause to the roster service (RosterService's request_id): every owner of the
/// shard that acts on it gives the same name. Empty for the owner's own decisions.
std::string RequestIdOf(const Shard& shard, const Cause& cause);

/// jabber:iq:roster item.
xmpp::Element MakeRosterItem(const roster::v1::RosterItem& item);

}  // namespace rookery::session_manager
