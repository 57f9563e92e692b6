#pragma once

#include <memory>
#include <string>

#include "domain/inbound/client_stanza_processor.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class AccountStore;
class Addresses;
class ClientAnswers;
class Consequences;
class Deliverer;
class KeyedLock;
class PresenceTracker;
class RecordOrder;
class Roster;
class Shards;
class Users;
struct Settings;

/// Subscriptions and roster pushes (RFC 6121 sections 2.1.6 and 3): asks the roster
/// service for the state's next step and does what follows from it.
class SubscriptionHandler {
 public:
  SubscriptionHandler(const Settings& settings, const Clock& clock, const Addresses& addresses,
                      const Shards& shards, Users& users, AccountStore& accounts, Roster& roster,
                      KeyedLock& rosters, Consequences& consequences, Deliverer& deliverer,
                      ClientAnswers& answers, RecordOrder& order, PresenceTracker& presence)
      : settings_(settings),
        clock_(clock),
        addresses_(addresses),
        shards_(shards),
        users_(users),
        accounts_(accounts),
        roster_(roster),
        rosters_(rosters),
        consequences_(consequences),
        deliverer_(deliverer),
        answers_(answers),
        order_(order),
        presence_(presence) {}

  /// Our user sends subscribe, subscribed, unsubscribe or unsubscribed; it comes through the log.
  void OnOutbound(const Sender& sender, PendingRecord& pending);
  /// Our user receives one of them.
  void OnInbound(User& user, PendingRecord& pending);

  /// The change to every resource that has asked for the roster, and to what we keep of it.
  void Push(User& user, const roster::v1::RosterPush& push);
  /// A pushed IQ with `change` to every session of the user that `is_interested`.
  void PushTo(User& user, const xmpp::Element& change,
              const std::function<bool(const Session&)>& is_interested);
  /// What follows from the removal of an item: the contact is told.
  void OnItemRemoved(User& user, Cause& cause, const std::string& contact,
                     const roster::v1::RemoveRosterItemResponse& removed);

 private:
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
  const Addresses& addresses_;
  const Shards& shards_;
  Users& users_;
  AccountStore& accounts_;
  Roster& roster_;
  KeyedLock& rosters_;
  Consequences& consequences_;
  Deliverer& deliverer_;
  ClientAnswers& answers_;
  RecordOrder& order_;
  PresenceTracker& presence_;
};

/// Names a cause to the roster service (RosterService's request_id): every owner of the
/// shard that acts on it gives the same name. Empty for the owner's own decisions.
std::string RequestIdOf(const Shard& shard, const Cause& cause);

/// jabber:iq:roster item.
xmpp::Element MakeRosterItem(const roster::v1::RosterItem& item);

}  // namespace rookery::session_manager
