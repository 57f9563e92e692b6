#include "domain/occupant_iqs.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "domain/presence.h"
#include "domain/tags.h"
#include "rookery/base/scram.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/stanza_limits.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;
using xmpp::ErrorType;

constexpr std::size_t kTagBytes = 16;  // of TagOf

std::string AskerTag(const Turn& turn, std::string_view full_jid) { return TagOf(turn, "asker", full_jid); }
std::string Seal(const Turn& turn, std::string_view answerer, std::string_view asked) {
  std::string data(answerer);
  data.push_back('\0');
  data.append(asked);
  return TagOf(turn, "iq", data);
}

/// What the answer needs, in the id under which the request goes on, so that nothing is kept here:
///   seal, asker's tag, nick that was asked, NUL, id of the asker
/// in base64url. Only the account that was asked can use it, since the seal is made with its address, and it
/// learns no address from it.
struct Asked {
  std::string asker_tag;
  std::string nick;
  std::string id;
};

std::string RelayedId(const Turn& turn, std::string_view answerer, const Asked& asked) {
  std::string text = asked.asker_tag + asked.nick;
  text.push_back('\0');
  text.append(asked.id);
  std::string id;
  absl::WebSafeBase64Escape(Seal(turn, answerer, text) + text, &id);
  while (id.ends_with('=')) id.pop_back();
  return id;
}

std::optional<Asked> ReadRelayedId(const Turn& turn, std::string_view answerer, const std::string& id) {
  std::string text;
  if (!absl::WebSafeBase64Unescape(id, &text) || text.size() < 2 * kTagBytes) return std::nullopt;
  const std::string seal = text.substr(0, kTagBytes);
  text.erase(0, kTagBytes);
  if (!EqualSecret(seal, Seal(turn, answerer, text))) return std::nullopt;
  const std::size_t nul = text.find('\0', kTagBytes);
  if (nul == std::string::npos) return std::nullopt;
  return Asked{.asker_tag = text.substr(0, kTagBytes),
               .nick = text.substr(kTagBytes, nul - kTagBytes),
               .id = text.substr(nul + 1)};
}

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

  const std::string_view answerer = Room::AccountOf(*asked);
  xmpp::Stanza request = iq;
  request.set_id(RelayedId(turn, answerer,
                           {.asker_tag = AskerTag(turn, iq.from()), .nick = asked->nick(), .id = iq.id()}));
  if (request.id().size() > xmpp::kMaxIdBytes)
    return turn.Refuse(ErrorCondition::kPolicyViolation, "The id is too long to be passed on");
  request.set_from(turn.room.AddressOf(asker->nick()));
  // The account's server answers for vCards (XEP-0054).
  const bool is_for_server = iq.payload_namespace() == xmpp::ns::kVcardTemp;
  request.set_to(is_for_server ? std::string(answerer) : ShownSession(*asked).jid());
  turn.outcome.Send(std::move(request));
}

void OnAnswerToOccupant(Turn& turn) {
  // Who answers may have left, and with an error for it.
  const std::optional<Asked> asked = ReadRelayedId(turn, turn.sender(), turn.stanza.id());
  const v1::Occupant* asker = turn.room.FindNick(turn.nick());
  if (!asked || asker == nullptr) return;
  for (const v1::OccupantSession& session : asker->sessions()) {
    if (AskerTag(turn, session.jid()) != asked->asker_tag) continue;
    xmpp::Stanza answer = AnswerOf(turn);
    answer.set_id(asked->id);
    answer.set_from(turn.room.AddressOf(asked->nick));
    answer.set_to(session.jid());
    return turn.outcome.Send(std::move(answer));
  }
}

void OnPing(Turn& turn) { turn.Answer(); }

}  // namespace rookery::muc
