#include "domain/stanzas/room_stanzas.h"

#include <cstdint>
#include <string_view>

#include "domain/affiliations/administration.h"
#include "domain/affiliations/affiliation_versions.h"
#include "domain/affiliations/former_account.h"
#include "domain/affiliations/hats.h"
#include "domain/affiliations/registration.h"
#include "domain/configuration/avatar.h"
#include "domain/configuration/ownership.h"
#include "domain/messages/moderation.h"
#include "domain/messages/private_messages.h"
#include "domain/occupants/occupant_iqs.h"
#include "domain/stanzas/entering.h"
#include "domain/stanzas/leaving.h"
#include "domain/stanzas/messages.h"
#include "domain/stanzas/room_disco.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;
using xmpp::ErrorCondition;

using Handler = void (*)(Turn&);

/// A request that the room itself answers.
struct Request {
  std::string_view type;
  std::string_view name;
  std::string_view ns;
  Handler handler;
};
constexpr Request kRequests[] = {
    {"get", "query", xmpp::ns::kDiscoInfo, OnDiscoInfo},
    {"get", "query", xmpp::ns::kDiscoItems, OnDiscoItems},
    {"get", "query", xmpp::ns::kMucAdmin, OnAdminGet},
    {"set", "query", xmpp::ns::kMucAdmin, OnAdminSet},
    {"get", "query", xmpp::ns::kMucOwner, OnOwnerGet},
    {"set", "query", xmpp::ns::kMucOwner, OnOwnerSet},
    {"get", "query", xmpp::ns::kRegister, OnRegisterGet},
    {"set", "query", xmpp::ns::kRegister, OnRegisterSet},
    {"get", "vCard", xmpp::ns::kVcardTemp, OnVcardGet},
    {"set", "vCard", xmpp::ns::kVcardTemp, OnVcardSet},
    {"set", "moderate", xmpp::ns::kModerate, OnModerate},
    {"set", "apply-to", xmpp::ns::kFastening, OnModerate},
    {"set", "command", xmpp::ns::kCommands, OnCommand},
    {"get", "ping", xmpp::ns::kPing, OnPing},
};

/// XEP-0045 section 10.1: of a room that is not configured yet only its owner knows.
bool IsThere(const Turn& turn) {
  const bool is_secret =
      turn.room.state().is_locked() && turn.AffiliationOf(turn.sender()) != v1::AFFILIATION_OWNER;
  return turn.room.exists() && !is_secret;
}

void OnRequest(Turn& turn) {
  const xmpp::Stanza& iq = turn.stanza;
  if (!IsThere(turn)) return turn.Refuse(ErrorCondition::kItemNotFound);
  for (const Request& request : kRequests)
    if (iq.type() == request.type && iq.payload_name() == request.name &&
        iq.payload_namespace() == request.ns)
      return request.handler(turn);
  turn.Refuse(ErrorCondition::kServiceUnavailable);
}

void OnIq(Turn& turn) {
  const std::string& type = turn.stanza.type();
  const bool is_request = type == "get" || type == "set";
  if (turn.nick().empty()) {
    if (is_request) OnRequest(turn);
  } else if (is_request) {
    OnRequestToOccupant(turn);
  } else {
    OnAnswerToOccupant(turn);
  }
}

void OnMessage(Turn& turn) {
  const std::string& type = turn.stanza.type();
  if (type == "error") return OnOccupantError(turn);
  if (!IsThere(turn)) return turn.Refuse(ErrorCondition::kItemNotFound);
  if (!turn.nick().empty()) {
    // XEP-0045 section 7.5: a message to all is to the room.
    if (type == "groupchat") return turn.Refuse(ErrorCondition::kBadRequest);
    return OnPrivateMessage(turn);
  }
  if (type == "groupchat") return OnGroupchat(turn);
  OnMessageToRoom(turn);
}

/// The room takes as much as it may: nobody enters it, as if it had as many occupants as it may (XEP-0045
/// section 7.2.9), and nobody in it says more than before. True: it was refused.
bool RefuseIfTooMuch(const Turn& turn) {
  const Room& room = turn.room;
  if (!room.exists() || room.bytes() <= turn.max_bytes()) return false;
  constexpr std::string_view kText = "The room is too large.";
  const v1::Occupant* occupant = turn.occupant();
  if (occupant == nullptr) {
    turn.Refuse(ErrorCondition::kServiceUnavailable, kText, xmpp::ErrorType::kWait);
    return true;
  }
  if (turn.stanza.payload().size() <=
      Room::SessionOf(*occupant, turn.stanza.from())->presence().payload().size())
    return false;
  turn.Refuse(ErrorCondition::kResourceConstraint, kText);
  return true;
}

void OnPresence(Turn& turn) {
  const std::string& type = turn.stanza.type();
  if (type.empty()) {
    if (!RefuseIfTooMuch(turn)) OnAvailable(turn);
  } else if (type == "unavailable") {
    OnUnavailable(turn);
  } else if (type == "probe") {
    OnProbe(turn);
  } else if (type == "error") {
    OnOccupantError(turn);
  }
}

}  // namespace

void ApplyStanza(Turn& turn) {
  ForgetFormerAccount(turn);
  const Room& room = turn.room;
  const std::uint64_t version = room.state().affiliation_version();
  switch (turn.stanza.kind()) {
    case STANZA_KIND_IQ:
      OnIq(turn);
      break;
    case STANZA_KIND_MESSAGE:
      OnMessage(turn);
      break;
    case STANZA_KIND_PRESENCE:
      OnPresence(turn);
      break;
    default:
      break;
  }
  NoteAccount(turn);
  // Once, however many of them the stanza has changed: it goes through all.
  if (room.exists() && room.state().affiliation_version() != version) ForgetFormer(turn.room);
}

bool WouldCreate(const Settings& settings, const Room& room, const xmpp::Stanza& stanza) {
  return !room.exists() && IsEntry(settings, stanza);
}

}  // namespace rookery::muc
