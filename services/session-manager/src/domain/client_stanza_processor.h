#pragma once

#include <functional>
#include <memory>

#include "domain/core.h"

namespace rookery::session_manager {

/// What a client sends, in its order: checked, applied to the session, and appended to
/// the recipient's shard (RFC 6120 section 10, RFC 6121 section 8).
class ClientStanzaProcessor {
 public:
  explicit ClientStanzaProcessor(Core& core) : core_(core) {}

  void Process(const std::shared_ptr<Session>& session, session::v1::ClientStanza& stanza);
  /// Answers the client of `session` with an error, unless the stanza is one.
  void Refuse(Session& session, const xmpp::Stanza& stanza, xmpp::ErrorCondition condition,
              std::string_view text = {});
  /// Does `work` for a stanza being handled in a turn of its user; the next stanza of the
  /// session waits for it, and the stanza is confirmed after it.
  void RunInTurn(const std::shared_ptr<Session>& session, Cause cause,
                 std::function<Task<void>(Cause&)> work);

 private:
  Task<void> TurnTask(std::shared_ptr<Session> session, Cause cause, std::function<Task<void>(Cause&)> work);
  void Message(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza& message);
  void Presence(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza& presence);
  void Iq(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza& iq);
  /// Whether the address can be reached; else the client has its error.
  bool CheckReachable(Session& session, const xmpp::Stanza& stanza);

  Core& core_;
};

}  // namespace rookery::session_manager
