#include "domain/occupants/nicks.h"

#include <string>

#include "rookery/xmpp/confusables.h"

namespace rookery::muc {

std::optional<xmpp::ErrorCondition> RefusalOfNick(const Turn& turn, std::string_view nick,
                                                  std::string_view bare) {
  const Settings& settings = turn.settings;
  const bool has_its_scripts = settings.admits_mixed_scripts || xmpp::IsOfScriptsWrittenTogether(nick);
  if (nick.size() > static_cast<std::size_t>(settings.max_nick_bytes) || !has_its_scripts ||
      Room::LookOf(nick).empty())
    return xmpp::ErrorCondition::kNotAcceptable;
  if (turn.room.IsOfAnother(nick, bare)) return xmpp::ErrorCondition::kConflict;
  return std::nullopt;
}

}  // namespace rookery::muc
