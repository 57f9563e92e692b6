#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "domain/delivery/client_answers.h"
#include "domain/state/inbound_order.h"
#include "domain/state/sender.h"
#include "domain/users/user_settings.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Addresses;
class CapsTracker;
class Confirmations;
class Consequences;
class FeatureHooks;
class IqRouter;
class LiveSessions;
class PresenceTracker;
class SessionEnds;
class SessionTable;
class Shards;
class SubscriptionHandler;
struct SessionManagerMetrics;

/// Checks what clients send, applies it to the session, and appends it to the recipient's shard (RFC 6120
/// section 10, RFC 6121 section 8).
///
/// 1. A stanza whose effect takes a decision that cannot be made at once (a subscription, a change of
///    the roster) goes through the log of its own shard (`Outbound`), where nothing is lost and what
///    follows has its own origin. So does what must not overtake it: what goes to the same address.
/// 2. What must not be read there (`Hooks::Effect::kSecret`) waits until nothing to its address is under way.
/// 3. Within a session, stanzas wait for each other as InboundOrder says.
class ClientStanzaProcessor final : public SettingsKeeper::Listener {
 public:
  ClientStanzaProcessor(const Clock& clock, SessionManagerMetrics& metrics, const Addresses& addresses,
                        const Shards& shards, const SessionTable& table, LiveSessions& live,
                        Consequences& consequences, Confirmations& confirmations,
                        const FeatureHooks& features, ClientAnswers& answers, CapsTracker& caps,
                        SettingsKeeper& user_settings, PresenceTracker& presence,
                        SubscriptionHandler& subscriptions, IqRouter& iqs, SessionEnds& ends)
      : clock_(clock),
        metrics_(metrics),
        addresses_(addresses),
        shards_(shards),
        table_(table),
        live_(live),
        consequences_(consequences),
        confirmations_(confirmations),
        features_(features),
        answers_(answers),
        caps_(caps),
        user_settings_(user_settings),
        presence_(presence),
        subscriptions_(subscriptions),
        iqs_(iqs),
        ends_(ends) {}

  /// The next stanza of the session: handled now, or once those are done that it must wait for.
  void Take(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza);
  /// Stanzas of the user's clients may have waited for that.
  void OnSettingsKnown(Shard& shard, const std::string& bare) override;
  /// Stanzas of the user's clients may have waited for records of the user that are finished now.
  void DrainSoon(const User& user);
  /// Whether what a client has sent came into its own user's shard behind the fence of a later owner: the one
  /// that appended it has confirmed it to nobody.
  static bool CameTooLate(const Shards& shards, const events::v1::UserRecord& record);
  /// An Outbound has been read. False: it came too late, and nothing follows from it.
  [[nodiscard]] bool OnOutboundRead(const Shard& shard, const PendingRecord& pending);
  /// A stanza that has come through the log.
  void Apply(User& user, PendingRecord& pending);
  /// One of the shard that this server fails to apply: its client is told so, where there is an answer.
  void GiveUp(Shard& shard, PendingRecord& pending);

 private:
  /// The stanza that is being handled is done, and may be confirmed, when `work` ends. Until then
  /// `errand` says which later ones of the session must wait. `work` may begin at once.
  void FinishLater(const std::shared_ptr<Session>& session, Cause cause, Errand errand,
                   std::function<Task<void>(Cause&)> work);
  /// Puts a stanza into the log of its own shard, from where Apply has it.
  void SendThroughLog(const Sender& sender, Cause& cause, std::string_view address, xmpp::Stanza& stanza);

  /// `known`: the stanza's errand, if it was worked out when the stanza came; else null. False: handling it
  /// has ended with an exception, and so does the session.
  bool Handle(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza,
              const Errand* known);
  void Process(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza,
               const Errand* known);
  Errand ErrandOf(const Session& session, const xmpp::Stanza& stanza) const;
  /// Set if the stanza must go through the log, behind what is under way there to the same address.
  std::optional<Errand> BehindWhatIsUnderWay(const Session& session, const xmpp::Stanza& stanza,
                                             const Errand* waited) const;
  bool HasToWait(User& user, const InboundOrder* order, const Errand& errand) const;
  Task<void> Run(std::shared_ptr<Session> session, Cause cause, std::function<Task<void>(Cause&)> work);
  /// A secret of the session that still waits for what is under way in the log when kSendingPatience is over
  /// is refused: clients are not kept from being confirmed what they send for as long as a roster is away.
  Task<void> RefuseUnlessHandled(std::shared_ptr<Session> session, std::uint64_t count);
  void Drain(const std::shared_ptr<Session>& session);
  void DrainAll(Shard& shard, const std::string& bare);
  Task<void> DrainTask(std::shared_ptr<Shard> shard, std::string bare);
  void Message(const Sender& sender, Cause& cause, xmpp::Stanza& message);
  void Presence(const Sender& sender, Cause& cause, xmpp::Stanza& presence);
  /// `pending`: the record that it came with, if it came through the log.
  void Iq(const Sender& sender, Cause& cause, xmpp::Stanza& iq, PendingRecord* pending);
  /// A request to the server or to the sender's account.
  void Ask(const Sender& sender, Cause& cause, xmpp::Stanza iq);
  /// True: its address is neither a user's of ours nor one of rooms, and the client has its error.
  bool RefuseUnreachable(const Sender& sender, const Cause& cause, const xmpp::Stanza& stanza);
  /// False: its address is unreachable, or a feature does not let the stanza go there. The client has its
  /// error, if it deserves one.
  bool LetLeave(const Sender& sender, const Cause& cause, const xmpp::Stanza& stanza);

  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  const Shards& shards_;
  const SessionTable& table_;
  LiveSessions& live_;
  Consequences& consequences_;
  Confirmations& confirmations_;
  const FeatureHooks& features_;
  ClientAnswers& answers_;
  CapsTracker& caps_;
  SettingsKeeper& user_settings_;
  PresenceTracker& presence_;
  SubscriptionHandler& subscriptions_;
  IqRouter& iqs_;
  SessionEnds& ends_;
};

}  // namespace rookery::session_manager
