#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "domain/records/record_order.h"
#include "domain/state/delivery.h"
#include "domain/state/shard.h"
#include "rookery/base/clock.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class AccountChanges;
class LiveSessions;
class Outbox;
class SessionParker;
class Bounces;
class Addresses;
class ClientStanzaProcessor;
class Consequences;
class Deliverer;
class FeatureHooks;
class Ghosts;
class IqRouter;
class PresenceTracker;
class RecordOrder;
class SessionEnds;
class StoreRefusals;
class SubscriptionHandler;
class Users;
struct SessionManagerMetrics;
struct Settings;

/// Applies the records of our shards, each once, in their order for each user.
class RecordProcessor final : public RecordOrder::Applier {
 public:
  RecordProcessor(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                  const Addresses& addresses, sharding::ShardOwner& owner, Users& users,
                  Consequences& consequences, const FeatureHooks& features, Outbox& outbox, Bounces& bounces,
                  Ghosts& ghosts, Deliverer& deliverer, StoreRefusals& refusals, RecordOrder& order,
                  PresenceTracker& presence, SubscriptionHandler& subscriptions, IqRouter& iqs,
                  ClientStanzaProcessor& client_stanzas, LiveSessions& live, SessionParker& parker,
                  SessionEnds& ends, AccountChanges& account_changes)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        addresses_(addresses),
        owner_(owner),
        users_(users),
        consequences_(consequences),
        features_(features),
        outbox_(outbox),
        bounces_(bounces),
        ghosts_(ghosts),
        deliverer_(deliverer),
        refusals_(refusals),
        order_(order),
        presence_(presence),
        subscriptions_(subscriptions),
        iqs_(iqs),
        client_stanzas_(client_stanzas),
        live_(live),
        parker_(parker),
        ends_(ends),
        account_changes_(account_changes) {}

  /// A record of the topic `users` that has not been applied yet.
  void OnRecord(Shard& shard, std::shared_ptr<PendingRecord> record);
  /// One that is not applied: it was before, or nobody is to hear of it. Clients' stanzas may wait for it.
  void OnNotApplied(Shard& shard, const PendingRecord& pending);
  /// One that this server fails to apply: who has sent a message or request in it is told so.
  void OnGivenUp(Shard& shard, PendingRecord& pending);
  /// One that an earlier owner has finished.
  void OnFinishedRecord(Shard& shard, const PendingRecord& pending);
  /// When nothing that it must wait for is unfinished (RecordOrder).
  void Apply(User& user, PendingRecord& pending) override;
  void OnFailed(Shard& shard, std::int64_t offset, const std::exception& failure) override {
    owner_.NoteFailed(shard, offset, failure);
  }
  /// Sessions go on to which what it brought was promised.
  void OnDrained(User& user) override;

 private:
  /// Now, or when its turn comes.
  void ApplyInTurn(User& user, const std::shared_ptr<PendingRecord>& pending);
  /// Its account is being removed: its sender hears what one hears who writes to nobody.
  void Return(Shard& shard, PendingRecord& pending);
  /// Bounces a message with a body, or a request.
  void Bounce(Shard& shard, PendingRecord& pending, xmpp::ErrorCondition condition);
  /// Whether no feature refuses the stanza; else its sender has been told what there is to tell.
  bool IsWelcome(User& user, PendingRecord& pending);
  void ApplyFanout(Shard& shard, PendingRecord& pending);
  void ApplyMessage(User& user, PendingRecord& pending);
  void ApplyPresence(User& user, PendingRecord& pending);
  void ApplyIq(User& user, PendingRecord& pending);
  /// Bounces a request; somebody else's no earlier than it would be said that there is no such account.
  void BounceRequest(User& user, const PendingRecord& pending, const Delivery& request,
                     xmpp::ErrorCondition condition);
  void ApplySentCopy(User& user, PendingRecord& pending);
  /// Puts what somebody has said to the user into the user's history, if it belongs there, and its id there
  /// into the message, before it is given to sessions. Nobody else says so in our name.
  void Archive(const User& user, const PendingRecord& pending, xmpp::Stanza& message);
  /// The message belongs in the user's history: tells the topic `messages`.
  void PublishEvent(const User& user, const PendingRecord& pending, const xmpp::Stanza& message,
                    events::v1::MessageDirection direction);
  std::shared_ptr<Delivery> MakeDelivery(PendingRecord& pending, xmpp::Stanza& stanza);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  sharding::ShardOwner& owner_;
  Users& users_;
  Consequences& consequences_;
  const FeatureHooks& features_;
  Outbox& outbox_;
  Bounces& bounces_;
  Ghosts& ghosts_;
  Deliverer& deliverer_;
  StoreRefusals& refusals_;
  RecordOrder& order_;
  PresenceTracker& presence_;
  SubscriptionHandler& subscriptions_;
  IqRouter& iqs_;
  ClientStanzaProcessor& client_stanzas_;
  LiveSessions& live_;
  SessionParker& parker_;
  SessionEnds& ends_;
  AccountChanges& account_changes_;
};

}  // namespace rookery::session_manager
