#include "domain/entering.h"

namespace rookery::muc {

void OnAvailable(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnUnavailable(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnOccupantError(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }

}  // namespace rookery::muc
