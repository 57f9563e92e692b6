#pragma once

#include "domain/settings.h"
#include "ports/room_store.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// What is asked of the service itself (XEP-0045 section 6, XEP-0433). I/O thread only.
class ServiceDesk {
 public:
  ServiceDesk(const Settings& settings, RoomStore& store) : settings_(settings), store_(store) {}

  /// The answer to an IQ request, or the error to a message, to the service's own address.
  Task<xmpp::Stanza> Answer(xmpp::Stanza request);

 private:
  [[maybe_unused]] const Settings& settings_;
  [[maybe_unused]] RoomStore& store_;
};

}  // namespace rookery::muc
