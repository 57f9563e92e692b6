#include "domain/room/turn.h"

#include <algorithm>

namespace rookery::muc {

v1::Affiliation Turn::AffiliationOf(std::string_view bare) const {
  const auto& administrators = settings.administrators;
  if (std::find(administrators.begin(), administrators.end(), bare) != administrators.end())
    return v1::AFFILIATION_OWNER;
  return room.AffiliationOf(bare);
}

std::size_t Turn::max_bytes() const {
  const auto most = static_cast<std::size_t>(settings.max_room_bytes);
  return AffiliationOf(sender()) >= v1::AFFILIATION_ADMIN ? most + most / 8 : most;
}

void Turn::Refuse(xmpp::ErrorCondition condition, std::string_view text,
                  std::optional<xmpp::ErrorType> type) const {
  Refuse(xmpp::MakeErrorElement(condition, text, type));
}

void Turn::Refuse(xmpp::Element error) const {
  if (stanza.type() == "error" || stanza.type() == "result") return;
  error.SetAttr("by", room.jid());
  outcome.Send(xmpp::MakeError(stanza, error));
}

}  // namespace rookery::muc
