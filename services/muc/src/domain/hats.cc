#include "domain/hats.h"

namespace rookery::muc {

void OnCommand(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
bool IsHats(const xmpp::Element&) { return false; }
std::string HatsOf(const Room&, std::string_view) { return {}; }

}  // namespace rookery::muc
