#include "domain/room_disco.h"

namespace rookery::muc {

void OnDiscoInfo(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnDiscoItems(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }

}  // namespace rookery::muc
