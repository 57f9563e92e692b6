#include "domain/delivery/stamps.h"

#include <algorithm>
#include <string>

#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

void AddDelay(xmpp::Stanza& message, std::string_view domain, std::int64_t received_at_ms) {
  if (xmpp::Has(message, common::v1::STANZA_TRAIT_DELAY)) {
    const auto children = xmpp::ParsePayload(message.payload());
    if (children.ok() && std::any_of(children->begin(), children->end(), [&](const xmpp::Element& child) {
          return child.Is("delay", xmpp::ns::kDelay) && child.Attr("from") == domain;
        }))
      return;
  }
  xmpp::AddPayload(message, xmpp::MakeDelay(domain, received_at_ms));
}

void RemoveForgedStamps(xmpp::Stanza& stanza, std::string_view sender,
                        const std::function<bool(std::string_view domain)>& is_ours) {
  using common::v1::STANZA_TRAIT_DELAY;
  using common::v1::STANZA_TRAIT_STANZA_ID;
  if ((stanza.traits() & (STANZA_TRAIT_DELAY | STANZA_TRAIT_STANZA_ID)) == 0) return;
  const auto children = xmpp::ParsePayload(stanza.payload());
  if (!children.ok()) return;
  const auto is_forged = [&](const xmpp::Element& child) {
    const bool is_delay = child.Is("delay", xmpp::ns::kDelay) || child.Is("x", xmpp::ns::kLegacyDelay);
    if (!is_delay && !child.Is("stanza-id", xmpp::ns::kStanzaId)) return false;
    const std::string_view name = child.Attr(is_delay ? "from" : "by");
    if (is_delay && name.empty()) return false;
    // Prepared: no spelling of our name passes for somebody else's. Whoever reads what is no address may take
    // it for ours.
    const auto address = xmpp::Jid::Parse(name);
    if (!address.ok()) return true;
    return is_ours(address->domain()) && (!is_delay || address->bare() != sender);
  };
  if (std::none_of(children->begin(), children->end(), is_forged)) return;
  xmpp::ClearPayload(stanza);
  for (const xmpp::Element& child : *children)
    if (!is_forged(child)) xmpp::AddPayload(stanza, child);
}

}  // namespace rookery::session_manager
