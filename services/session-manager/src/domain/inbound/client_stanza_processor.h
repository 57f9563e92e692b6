#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "domain/core.h"

namespace rookery::session_manager {

/// Who sends a stanza that is being handled: a client just now, or through the log, when its session
/// may be gone.
struct Sender {
  User& user;
  /// Null: gone.
  std::shared_ptr<Session> session;
};

/// What clients send: checked, applied to the session, and appended to the recipient's shard (RFC
/// 6120 section 10, RFC 6121 section 8).
///
/// 1. Whatever is appended for a session is appended in the order of the count, so that the
///    recipients' owners can tell repetitions.
/// 2. A stanza whose effect takes a decision that cannot be made at once (a subscription, a change of
///    the roster) goes through the log of its own shard (`Outbound`), where nothing is lost and what
///    follows has its own origin. So does what must not overtake it: what goes to the same address.
/// 3. Within a session, stanzas wait for each other as InboundOrder says.
class ClientStanzaProcessor {
 public:
  explicit ClientStanzaProcessor(Core& core) : core_(core) {}

  /// The next stanza of the session: handled now, or once those are done that it must wait for.
  void Take(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza);
  /// Something that stanzas of the user's clients waited for has come: the user's settings.
  void Go(User& user);
  /// A stanza that has come through the log.
  void Apply(User& user, PendingRecord& pending);

  /// How many of the session's stanzas need not be sent again when it is over: those that are in the
  /// log, and questions before them, which nobody waits for any more. Sent again would be what was
  /// sent after a question, too.
  std::uint64_t CountAtEnd(const Session& session) const;

  /// Answers the sender with an error, unless the stanza is one.
  void Refuse(const Sender& sender, const Cause& cause, const xmpp::Stanza& stanza,
              xmpp::ErrorCondition condition, std::string_view text = {});
  /// Gives the sender's client an answer, once, whoever owns the shard when the cause is handled.
  void Answer(const Sender& sender, const Cause& cause, xmpp::Stanza answer);
  /// The stanza that is being handled is done, and may be confirmed, when `work` ends. Until then
  /// `errands` say which later ones of the session must wait. `work` may begin at once.
  void FinishLater(const std::shared_ptr<Session>& session, Cause cause, std::vector<Errand> errands,
                   std::function<Task<void>(Cause&)> work);
  /// Puts a stanza into the log of its own shard, from where Apply has it.
  void SendThroughLog(const Sender& sender, Cause& cause, std::string_view address, xmpp::Stanza& stanza);

 private:
  void Process(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza);
  Errand ErrandOf(const User& user, const xmpp::Stanza& stanza) const;
  bool HasToWait(User& user, const InboundOrder* order, const Errand& errand) const;
  /// Whether something for the address is on its way through the log.
  bool IsUnderWay(User& user, std::string_view address) const;
  Task<void> Run(std::shared_ptr<Session> session, Cause cause, std::function<Task<void>(Cause&)> work);
  void Drain(const std::shared_ptr<Session>& session);
  void Message(const Sender& sender, Cause& cause, xmpp::Stanza& message);
  void Presence(const Sender& sender, Cause& cause, xmpp::Stanza& presence);
  /// `pending`: the record that it came with, if it came through the log.
  void Iq(const Sender& sender, Cause& cause, xmpp::Stanza& iq, PendingRecord* pending);
  /// Whether the stanza may go to its address; else the client has its error.
  bool MayLeave(const Sender& sender, const Cause& cause, const xmpp::Stanza& stanza);

  Core& core_;
};

/// The types of presence that manage subscriptions (RFC 6121 section 3).
bool IsSubscription(std::string_view presence_type);

}  // namespace rookery::session_manager
