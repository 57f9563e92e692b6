#include "domain/administration.h"

namespace rookery::muc {

void OnAdminGet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void OnAdminSet(Turn& turn) { turn.Refuse(xmpp::ErrorCondition::kFeatureNotImplemented); }
void SetAffiliation(Turn&, std::string_view, v1::Affiliation, const std::string&, const std::string&) {}
void SetRole(Turn&, std::string_view, v1::Role, const std::string&, const std::string&) {}
void SendAffiliationChanges(Turn&, std::string_view, const xmpp::Element&) {}

}  // namespace rookery::muc
