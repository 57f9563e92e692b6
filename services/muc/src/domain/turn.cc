#include "domain/turn.h"

#include <algorithm>

namespace rookery::muc {

v1::Affiliation Turn::AffiliationOf(std::string_view bare) const {
  const auto& administrators = settings.administrators;
  if (std::find(administrators.begin(), administrators.end(), bare) != administrators.end())
    return v1::AFFILIATION_OWNER;
  return room.AffiliationOf(bare);
}

void Turn::Refuse(xmpp::ErrorCondition condition, std::string_view text,
                  std::optional<xmpp::ErrorType> type) const {
  if (stanza.type() == "error" || stanza.type() == "result") return;
  outcome.Send(xmpp::MakeError(stanza, condition, text, type));
}

}  // namespace rookery::muc
