#include "protocols/xmpp/client_stanza.h"

#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/stanza_limits.h"

namespace rookery::gateway {
namespace {

using xmpp::ErrorCondition;

bool StampFrom(xmpp::Stanza& stanza, std::string_view full_jid) {
  if (stanza.from() == full_jid) return true;
  const std::string_view user = xmpp::BareOf(full_jid);
  if (!stanza.from().empty() && stanza.from() != user) {
    // RFC 6120 section 8.1.2.1: compared as addresses, not as text.
    const auto claimed = xmpp::Jid::Parse(stanza.from());
    if (!claimed.ok() || (claimed->str() != full_jid && claimed->str() != user)) return false;
  }
  stanza.set_from(std::string(full_jid));
  return true;
}

/// False: it is no address.
bool PrepareTo(xmpp::Stanza& stanza) {
  if (stanza.to().empty()) return true;
  const auto to = xmpp::Jid::Parse(stanza.to());
  if (!to.ok()) {
    stanza.clear_to();
    return false;
  }
  if (to->str() != stanza.to()) stanza.set_to(std::string(to->str()));
  return true;
}

bool IsAnswer(const xmpp::Stanza& stanza) {
  return stanza.type() == "error" ||
         (stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "result");
}

}  // namespace

ClientStanzaVerdict PrepareClientStanza(xmpp::Stanza& stanza, const ClientStanzaRules& rules) {
  ClientStanzaVerdict result;
  if (!StampFrom(stanza, rules.full_jid)) {
    result.foreign_from = true;
    return result;
  }
  if (!PrepareTo(stanza)) result.refused = ErrorCondition::kJidMalformed;
  if (stanza.lang().empty() && !rules.lang.empty()) stanza.set_lang(std::string(rules.lang));
  const auto wrong = xmpp::CheckStanza(stanza, rules.max_bytes);
  if (!wrong) return result;
  xmpp::StripRefused(stanza);
  if (*wrong == ErrorCondition::kPolicyViolation && IsAnswer(stanza)) {
    stanza.set_type("error");
    xmpp::SetPayload(stanza, xmpp::MakeErrorElement(*wrong));
  } else if (!result.refused) {
    result.refused = wrong;
  }
  return result;
}

}  // namespace rookery::gateway
