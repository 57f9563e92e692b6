#include "domain/ownership.h"

namespace rookery::muc {

void OnOwnerGet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnOwnerSet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
v1::RoomConfig DefaultConfig(const Settings&) { return {}; }

}  // namespace rookery::muc
