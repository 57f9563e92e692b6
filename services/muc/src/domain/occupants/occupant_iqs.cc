#include "domain/occupants/occupant_iqs.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/messages/relayed_ids.h"
#include "domain/occupants/presence.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/stanza_limits.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;
using xmpp::ErrorType;

/// For MakeRelayedId; the note is the nick that was asked.
constexpr std::string_view kPurpose = "request";

/// Servers name the real address in `by`, in a text, or where somebody has gone to: none of it goes on.
xmpp::Element WithoutAddresses(const xmpp::Element& error) {
  xmpp::Element clean("error", xmpp::ns::kClient);
  clean.SetAttr("type", error.Attr("type"));
  for (const xmpp::Element& child : error.children()) {
    if (child.name().empty()) continue;
    if (child.ns() != xmpp::ns::kStanzaErrors) {
      clean.Add(child);
    } else if (child.name() != "text") {
      clean.Add(child.name(), xmpp::ns::kStanzaErrors);
    }
  }
  return clean;
}

xmpp::Stanza AnswerOf(const Turn& turn) {
  xmpp::Stanza answer = turn.stanza;
  if (answer.type() != "error") return answer;
  const auto children = xmpp::ParsePayload(turn.stanza.payload());
  xmpp::ClearPayload(answer);
  if (!children.ok()) return answer;
  for (const xmpp::Element& child : *children)
    xmpp::AddPayload(answer, child.Is("error", xmpp::ns::kClient) ? WithoutAddresses(child) : child);
  return answer;
}

}  // namespace

void OnRequestToOccupant(Turn& turn) {
  const xmpp::Stanza& iq = turn.stanza;
  const v1::Occupant* asker = turn.occupant();
  if (asker == nullptr) {
    // XEP-0045 section 6.6.
    const std::string& ns = iq.payload_namespace();
    if (ns == xmpp::ns::kDiscoInfo || ns == xmpp::ns::kDiscoItems)
      return turn.Refuse(ErrorCondition::kBadRequest);
    // XEP-0410 section 3.2: also where there is no such room. That somebody is not found would say that the
    // client is in.
    return turn.Refuse(ErrorCondition::kNotAcceptable, {}, ErrorType::kCancel);
  }
  const bool is_self_ping = asker->nick() == turn.nick() && iq.type() == "get" &&
                            iq.payload_name() == "ping" && iq.payload_namespace() == xmpp::ns::kPing;
  if (is_self_ping) return turn.Answer();
  const v1::Occupant* asked = turn.room.FindNick(turn.nick());
  if (asked == nullptr) return turn.Refuse(ErrorCondition::kItemNotFound);
  if (RefuseIfTooFast(turn)) return;

  const std::string_view answerer = Room::AccountOf(*asked);
  xmpp::Stanza request = iq;
  request.set_id(
      MakeRelayedId(turn, kPurpose, answerer,
                    {.asker = TagOfAsker(turn, *asker, iq.from()), .note = asked->nick(), .id = iq.id()}));
  if (request.id().size() > xmpp::kMaxIdBytes)
    return turn.Refuse(ErrorCondition::kPolicyViolation, "The id is too long to be passed on");
  request.set_from(turn.room.AddressOf(asker->nick()));
  // The account's server answers for vCards (XEP-0054).
  const bool is_for_server = iq.payload_namespace() == xmpp::ns::kVcardTemp;
  request.set_to(is_for_server ? std::string(answerer) : ShownSession(*asked).jid());
  turn.outcome.Send(std::move(request));
}

void OnAnswerToOccupant(Turn& turn) {
  // The one who answers may have left, and then with an error. The one who has asked may have another nick by
  // now.
  const std::optional<Relayed> asked = ReadRelayedId(turn, kPurpose, turn.sender(), turn.stanza.id());
  if (!asked) return;
  const std::string asker = FindAsker(turn, asked->asker, turn.nick());
  if (asker.empty() || !CountReturn(turn, xmpp::BareOf(asker))) return;
  xmpp::Stanza answer = AnswerOf(turn);
  answer.set_id(asked->id);
  answer.set_from(turn.room.AddressOf(asked->note));
  answer.set_to(asker);
  turn.outcome.Send(std::move(answer));
}

void OnPing(Turn& turn) { turn.Answer(); }

}  // namespace rookery::muc
