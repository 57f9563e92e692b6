#include "domain/stanzas/leaving.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "domain/affiliations/invitations.h"
#include "domain/messages/private_messages.h"
#include "domain/occupants/presence.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

/// Conditions that say that the session is not there (XEP-0045 section 18.1.2), not that it minds what it was
/// sent.
constexpr std::array kGone = {
    ErrorCondition::kGone,
    ErrorCondition::kItemNotFound,
    ErrorCondition::kJidMalformed,
    ErrorCondition::kRecipientUnavailable,
    ErrorCondition::kRedirect,
    ErrorCondition::kRemoteServerNotFound,
    ErrorCondition::kRemoteServerTimeout,
    // Servers say this where a session has ended (RFC 6121 section 8.5.3.2).
    ErrorCondition::kServiceUnavailable,
};

std::optional<ErrorCondition> ConditionIn(const xmpp::Stanza& stanza) {
  const auto children = xmpp::ParsePayload(stanza.payload());
  if (!children.ok()) return std::nullopt;
  for (const xmpp::Element& child : *children) {
    if (!child.Is("error", xmpp::ns::kClient)) continue;
    for (const xmpp::Element& part : child.children())
      if (part.ns() == xmpp::ns::kStanzaErrors && part.name() != "text")
        return xmpp::ParseErrorCondition(part.name());
  }
  return std::nullopt;
}

bool IsGone(const Turn& turn, ErrorCondition condition) {
  // A client that has no use for what it was sent is there.
  if (turn.is_from_client && condition == ErrorCondition::kServiceUnavailable) return false;
  return std::find(kGone.begin(), kGone.end(), condition) != kGone.end();
}

Exit ExitOf(const Turn& turn) { return {.affiliation = turn.AffiliationOf(turn.sender())}; }

}  // namespace

void OnUnavailable(Turn& turn) {
  // XEP-0045 section 17.3.5: of one who is not in, nobody hears.
  if (turn.occupant() == nullptr) return;
  Exit exit = ExitOf(turn);
  exit.payload = CleanPresence(turn).payload();
  RemoveSession(turn, turn.stanza.from(), exit);
}

void OnOccupantError(Turn& turn) {
  // An IQ's answer is for who has asked (OnAnswerToOccupant).
  if (turn.stanza.kind() == common::v1::STANZA_KIND_IQ) return;
  const bool is_message = turn.stanza.kind() == common::v1::STANZA_KIND_MESSAGE;
  const std::optional<ErrorCondition> condition = ConditionIn(turn.stanza);
  if (!condition) return;
  if (is_message && turn.nick().empty()) ReturnInvitation(turn, *condition);
  const v1::Occupant* occupant = turn.occupant();
  if (occupant == nullptr) return;
  // Else another device of the occupant may have it.
  const bool is_alone = occupant->sessions_size() == 1;
  const std::string nick = occupant->nick();
  if (IsGone(turn, *condition)) {
    Exit exit = ExitOf(turn);
    exit.statuses = {Status::kTechnical};
    RemoveSession(turn, turn.stanza.from(), exit);
  }
  if (is_message && is_alone) ReturnPrivateMessage(turn, nick, *condition);
}

}  // namespace rookery::muc
