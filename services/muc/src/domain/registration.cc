#include "domain/registration.h"

namespace rookery::muc {

void OnRegisterGet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnRegisterSet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
bool OnApproval(Turn&, const xmpp::Element&) { return false; }

}  // namespace rookery::muc
