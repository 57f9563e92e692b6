#include "domain/delivery/ghosts.h"

#include "domain/addresses.h"
#include "domain/delivery/deliverer.h"
#include "domain/metrics.h"
#include "domain/records/consequences.h"

namespace rookery::session_manager {

namespace {

/// Tells an occupant that they are out of the room (XEP-0045 section 7.14).
bool IsFarewell(const xmpp::Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type() == "unavailable" &&
         stanza.payload().find("<status code=\"110\"/>") != std::string::npos;
}

}  // namespace

std::optional<xmpp::ErrorCondition> Ghosts::ConditionFor(const xmpp::Stanza& stanza) const {
  const bool is_message = stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() == "groupchat";
  const bool is_presence = stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type().empty();
  if ((!is_message && !is_presence) || !addresses_.IsOfRooms(stanza.from())) return std::nullopt;
  return is_message ? xmpp::ErrorCondition::kServiceUnavailable : xmpp::ErrorCondition::kRecipientUnavailable;
}

void Ghosts::Tell(Shard& shard, Cause cause, const xmpp::Stanza& stanza, std::string_view ghost,
                  xmpp::ErrorCondition condition) {
  metrics_.bounced.Increment();
  xmpp::Stanza said;
  said.set_kind(stanza.kind());
  said.set_type(stanza.type());
  said.set_id(stanza.id());
  said.set_from(stanza.from());
  said.set_to(ghost.data(), ghost.size());
  consequences_.AppendDelivery(shard, cause, xmpp::MakeError(said, condition));
}

bool Ghosts::IsSpared(Session& session, const xmpp::Stanza& stanza, std::int64_t offset) {
  if (!addresses_.IsOfRooms(stanza.from())) return deliverer_.IsSpared(session, stanza, offset);
  return !IsFarewell(stanza) && deliverer_.HasTooMuch(session, offset);
}

}  // namespace rookery::session_manager
