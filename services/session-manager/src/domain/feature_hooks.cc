#include "domain/feature_hooks.h"

#include "rookery/base/check.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

xmpp::Stanza MakeRefusal(const xmpp::Stanza& stanza, const Refusal& refusal) {
  ROOKERY_CHECK(refusal.condition.has_value());
  // No change of the stanza would help (RFC 6120 section 8.3.2).
  xmpp::Stanza error = xmpp::MakeError(stanza, *refusal.condition, {}, xmpp::ErrorType::kCancel);
  if (!refusal.detail) return error;
  auto children = xmpp::ParsePayload(error.payload());
  if (!children.ok()) return error;
  xmpp::ClearPayload(error);
  for (xmpp::Element& child : *children) {
    if (child.Is("error", xmpp::ns::kClient)) child.Add(*refusal.detail);
    xmpp::AddPayload(error, child);
  }
  return error;
}

}  // namespace rookery::session_manager
