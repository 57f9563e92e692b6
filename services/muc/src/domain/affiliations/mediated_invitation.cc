#include "domain/affiliations/mediated_invitation.h"

#include <string>

#include "domain/affiliations/asked.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

xmpp::Stanza MakeInvitation(Turn& turn, std::string_view to, std::string_view from, std::string_view reason,
                            const xmpp::Element* continues) {
  const Room& room = turn.room;
  NoteAsked(turn, Asked::kInvitation, turn.sender(), xmpp::BareOf(to));
  xmpp::Element x("x", xmpp::ns::kMucUser);
  xmpp::Element& invite = x.Add("invite");
  invite.SetAttr("from", from);
  if (!reason.empty()) invite.Add("reason").SetText(reason);
  if (continues != nullptr) {
    xmpp::Element& same = invite.Add("continue");
    if (const std::string* thread = continues->FindAttr("thread")) same.SetAttr("thread", *thread);
  }
  if (!room.config().password().empty()) x.Add("password").SetText(room.config().password());
  xmpp::Stanza message = xmpp::MakeMessage({}, room.jid(), to);
  xmpp::SetPayload(message, x);
  return message;
}

}  // namespace rookery::muc
