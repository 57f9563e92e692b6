#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/state/cause.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Addresses;
class ClientAnswers;
class Consequences;
class Outbox;
struct Session;
struct Settings;

/// Presence to one address (RFC 6121 section 4.6), and who has been told of a session so: they hear when it
/// ends. I/O thread only.
class DirectedPresence {
 public:
  DirectedPresence(const Settings& settings, const Addresses& addresses, Consequences& consequences,
                   Outbox& outbox, ClientAnswers& answers)
      : settings_(settings),
        addresses_(addresses),
        consequences_(consequences),
        outbox_(outbox),
        answers_(answers) {}

  /// Says it. The client is answered `resource-constraint` when its session has told too many. For a room the
  /// newest address counts: whoever has entered under one nickname and goes by another is one occupant, and
  /// leaves once (XEP-0045 section 7.14).
  void Say(const std::shared_ptr<Session>& session, Cause& cause, const xmpp::Stanza& presence);

  /// Whether the address has been told of the session. It is until the log has that the session is gone.
  bool IsTold(const Session& session, std::string_view address) const;
  /// Whether the address knows of the session: as IsTold, or since its presence is broadcast there.
  bool Knows(const Session& session, std::string_view address) const;
  /// Whether the address is being told that the session is gone.
  bool IsBeingLeft(const Session& session, std::string_view address) const;

  using Matcher = std::function<bool(std::string_view address)>;
  /// Tells those of the addresses that `includes` matches that the session is gone, although a feature keeps
  /// them from hearing of it, and returns them. Each is forgotten when the log has that. `cause` is no stanza
  /// of a client.
  std::vector<std::string> Leave(const std::shared_ptr<Session>& session, const Cause& cause,
                                 const Matcher& includes);

 private:
  /// Whether presence that was sent to one of the addresses is what the other one knows, too.
  bool HearTogether(std::string_view a, std::string_view b) const;
  /// To an address that has been told of the session, which is forgotten when the log has it: what the log
  /// refuses is said by the end of the session.
  void SayFarewell(const std::shared_ptr<Session>& session, Cause& cause, const xmpp::Stanza& unavailable);
  /// Something newer is said to the address.
  void ForgetFarewells(Session& session, std::string_view address) const;
  void OnFarewellDone(Session& session, std::uint64_t number, bool is_said);
  /// Whether the contact hears of the session without that.
  static bool IsToldAnyway(const Session& session, std::string_view contact);

  const Settings& settings_;
  const Addresses& addresses_;
  Consequences& consequences_;
  Outbox& outbox_;
  ClientAnswers& answers_;
  std::uint64_t last_farewell_ = 0;
};

}  // namespace rookery::session_manager
