#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "domain/state/delivery.h"
#include "domain/state/shard.h"
#include "rookery/base/clock.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class AccountChanges;
class Addresses;
class Bounces;
class Consequences;
class Deliverer;
class FeatureHooks;
class Ghosts;
class IqRouter;
class MessageRoutes;
class Outbox;
class PresenceTracker;
class RecordOrder;
class SubscriptionHandler;
struct SessionManagerMetrics;
struct Settings;

/// What stanzas do that the log brings to users of our shards, and what their senders hear when they cannot
/// be taken. When each has its turn, and when its record is finished, is RecordProcessor's. I/O thread only.
class StanzaApplier {
 public:
  StanzaApplier(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                const Addresses& addresses, const FeatureHooks& features, Consequences& consequences,
                Outbox& outbox, Bounces& bounces, Ghosts& ghosts, Deliverer& deliverer, MessageRoutes& routes,
                RecordOrder& order, PresenceTracker& presence, SubscriptionHandler& subscriptions,
                IqRouter& iqs, const AccountChanges& account_changes)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        addresses_(addresses),
        features_(features),
        consequences_(consequences),
        outbox_(outbox),
        bounces_(bounces),
        ghosts_(ghosts),
        deliverer_(deliverer),
        routes_(routes),
        order_(order),
        presence_(presence),
        subscriptions_(subscriptions),
        iqs_(iqs),
        account_changes_(account_changes) {}

  // ---- what is applied ----
  /// False: a feature refuses the stanza of the delivery, and its sender has been told what there is to tell.
  [[nodiscard]] bool Admit(User& user, PendingRecord& pending);
  // Of a delivery that was admitted.
  void ApplyMessage(User& user, PendingRecord& pending);
  void ApplyPresence(User& user, PendingRecord& pending);
  void ApplyIq(User& user, PendingRecord& pending);
  void ApplySentCopy(User& user, PendingRecord& pending);
  /// To those of its recipients whose turn it is. Returns what must wait for its turn, one part for each
  /// account, which holds the record.
  [[nodiscard]] std::vector<std::shared_ptr<PendingRecord>> ApplyFanout(Shard& shard, PendingRecord& pending);

  // ---- what is not ----
  /// Whether the record is a delivery whose sender is told when it cannot be taken.
  static bool IsRefusable(const events::v1::UserRecord& record);
  /// A delivery that is refusable, and for which too much waits already: its sender is told.
  void RefuseToWait(User& user, const PendingRecord& pending);
  /// A delivery whose account is being removed: its sender hears what one hears who writes to nobody.
  void Return(Shard& shard, PendingRecord& pending);
  /// A delivery that we fail to apply: the sender of a message or request is told so.
  void GiveUp(Shard& shard, PendingRecord& pending);

 private:
  /// Of a message with a body, or a request.
  void Bounce(Shard& shard, PendingRecord& pending, xmpp::ErrorCondition condition);
  /// Returns the request as an error. A stranger gets it no sooner than the answer for an account that does
  /// not exist, so that the time tells nothing.
  void BounceRequest(User& user, const PendingRecord& pending, const Delivery& request,
                     xmpp::ErrorCondition condition);
  /// What somebody has said to the user, before it is given to sessions: in the user's history, if it belongs
  /// there, and with its id there. Nobody else says so in our name.
  void Archive(const User& user, const PendingRecord& pending, xmpp::Stanza& message);
  /// The message belongs in the user's history: tells the topic `messages`.
  void PublishEvent(const User& user, const PendingRecord& pending, const xmpp::Stanza& message,
                    events::v1::MessageDirection direction);
  static std::shared_ptr<Delivery> MakeDelivery(const PendingRecord& pending, xmpp::Stanza& stanza);

  /// Whether the session is given a stanza to that resource of its user, or, where that is empty, to all who
  /// are available. Notes what it sees before it is.
  bool IsFor(Session& session, const xmpp::Stanza& stanza, std::string_view resource) const;

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  const FeatureHooks& features_;
  Consequences& consequences_;
  Outbox& outbox_;
  Bounces& bounces_;
  Ghosts& ghosts_;
  Deliverer& deliverer_;
  MessageRoutes& routes_;
  RecordOrder& order_;
  PresenceTracker& presence_;
  SubscriptionHandler& subscriptions_;
  IqRouter& iqs_;
  const AccountChanges& account_changes_;
};

}  // namespace rookery::session_manager
