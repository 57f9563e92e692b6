#include "domain/messages/private_messages.h"

#include <algorithm>
#include <utility>

#include "domain/room/occupant_message.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

bool MaySendPrivately(const v1::RoomConfig& config, v1::Role role) {
  switch (config.allow_pm()) {
    case v1::AUDIENCE_ANYONE:
      return true;
    case v1::AUDIENCE_PARTICIPANTS:
      return role >= v1::ROLE_PARTICIPANT;
    case v1::AUDIENCE_MODERATORS:
      return role == v1::ROLE_MODERATOR;
    default:
      return false;
  }
}

Recipients SessionsOf(const v1::Occupant& occupant) {
  Recipients sessions;
  for (const v1::OccupantSession& session : occupant.sessions()) sessions.push_back(session.jid());
  return sessions;
}

/// As far as the room remembers. What somebody's client cannot make use of is no failure of what was said to
/// all.
bool WasSaidToAll(const Room& room, std::string_view account, std::string_view id) {
  const auto& history = room.history();
  return std::any_of(history.begin(), history.end(), [&](const v1::PastMessage& past) {
    return past.sender() == account && past.stanza().id() == id;
  });
}

}  // namespace

void OnPrivateMessage(Turn& turn) {
  const v1::Occupant* sender = turn.occupant();
  if (sender == nullptr) return turn.Refuse(ErrorCondition::kNotAcceptable);
  if (!MaySendPrivately(turn.room.config(), sender->role())) return turn.Refuse(ErrorCondition::kForbidden);
  const v1::Occupant* recipient = turn.room.FindNick(turn.nick());
  if (recipient == nullptr) return turn.Refuse(ErrorCondition::kItemNotFound);
  if (RefuseIfTooLarge(turn) || RefuseIfTooFast(turn)) return;

  xmpp::Stanza message = MessageFrom(turn, *sender);
  // RFC 6121 section 5.2.2: any other type is as good as none.
  if (message.type() != "chat" && message.type() != "headline") message.clear_type();
  xmpp::AddPayload(message, xmpp::Element("x", xmpp::ns::kMucUser));
  turn.outcome.SendToAll(std::move(message), SessionsOf(*recipient));
}

void ReturnPrivateMessage(Turn& turn, std::string_view nick, ErrorCondition condition) {
  if (!turn.is_from_client && !xmpp::Has(turn.stanza, common::v1::STANZA_TRAIT_MUC_USER)) return;
  const v1::Occupant* sender = turn.room.FindNick(turn.nick());
  if (sender == nullptr || !MaySendPrivately(turn.room.config(), sender->role())) return;
  const std::string account(Room::AccountOf(*sender));
  // What a server returns it knows to be a private message.
  const std::string& id = turn.stanza.id();
  if (turn.is_from_client && (id.empty() || WasSaidToAll(turn.room, account, id))) return;
  if (!CountReturn(turn, account)) return;
  // The condition alone: what else is in it may name addresses, or be a message that is not allowed.
  xmpp::Stanza error = xmpp::MakeMessage("error", turn.room.AddressOf(nick), {});
  error.set_id(turn.stanza.id());
  xmpp::AddPayload(error, xmpp::MakeErrorElement(condition));
  turn.outcome.SendToAll(std::move(error), SessionsOf(*sender));
}

}  // namespace rookery::muc
