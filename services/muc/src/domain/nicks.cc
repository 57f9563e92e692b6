#include "domain/nicks.h"

#include <string>

#include "rookery/xmpp/confusables.h"

namespace rookery::muc {

std::optional<xmpp::ErrorCondition> RefusalOfNick(const Turn& turn, std::string_view nick,
                                                  std::string_view bare) {
  if (nick.size() > static_cast<std::size_t>(turn.settings.max_nick_bytes) ||
      !xmpp::IsOfScriptsWrittenTogether(nick) || Room::LookOf(nick).empty())
    return xmpp::ErrorCondition::kNotAcceptable;
  if (turn.room.IsOfAnother(nick, bare)) return xmpp::ErrorCondition::kConflict;
  return std::nullopt;
}

}  // namespace rookery::muc
