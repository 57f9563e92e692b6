#include "domain/occupant_iqs.h"

namespace rookery::muc {

void OnRequestToOccupant(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnAnswerToOccupant(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnPing(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }

}  // namespace rookery::muc
