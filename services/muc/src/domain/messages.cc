#include "domain/messages.h"

namespace rookery::muc {

void OnGroupchat(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnPrivateMessage(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnMessageToRoom(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnModerate(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void BroadcastStatuses(Turn&, const std::vector<int>&) {}
void SendHistoryAndSubject(Turn&, std::string_view, const xmpp::Element*) {}

}  // namespace rookery::muc
