#pragma once

#include <optional>

#include "domain/service/room_lists.h"
#include "domain/settings.h"
#include "rookery/runtime/task.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// Answers for the service's own address, conference.example.org: what it is (XEP-0030; XEP-0045 section
/// 6.2), which public rooms there are (section 6.3, XEP-0059), the search for them (XEP-0433), ping
/// (XEP-0199) and version (XEP-0092). It keeps nothing between two requests. Lists and searches are made a
/// few at a time and one for each account (RoomLists): others are told to wait (`resource-constraint`). I/O
/// thread only.
class ServiceDesk {
 public:
  /// Both live longer.
  ServiceDesk(const Settings& settings, RoomStore& store) : settings_(settings), lists_(store) {}

  /// `request`: an IQ get or set to the service. The answer is its result or an error. It waits for the
  /// store; where that cannot be reached the error is of type `wait`. Cancelling leaves nothing behind.
  Task<xmpp::Stanza> Answer(xmpp::Stanza request);

  /// Returns the answer to anything else that is sent to the service (RFC 6121 section 8.5.1): to a message
  /// that is no error service-unavailable; to presence, and to the answer to an IQ, nothing.
  static std::optional<xmpp::Stanza> RefusalOf(const xmpp::Stanza& stanza);
  /// Either of them.
  Task<std::optional<xmpp::Stanza>> Respond(xmpp::Stanza stanza);

 private:
  xmpp::Stanza AnswerInfo(const xmpp::Stanza& request, const xmpp::Element& query) const;
  Task<xmpp::Stanza> AnswerItems(xmpp::Stanza request, xmpp::Element query);

  const Settings& settings_;
  RoomLists lists_;
};

}  // namespace rookery::muc
