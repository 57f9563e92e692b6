#include "service/service_desk.h"

namespace rookery::muc {

Task<xmpp::Stanza> ServiceDesk::Answer(xmpp::Stanza request) {
  co_return xmpp::MakeError(request, xmpp::ErrorCondition::kServiceUnavailable);
}

}  // namespace rookery::muc
