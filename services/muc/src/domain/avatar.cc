#include "domain/avatar.h"

namespace rookery::muc {

void OnVcardGet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnVcardSet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void SendAvatarHash(Turn&, Recipients) {}

}  // namespace rookery::muc
