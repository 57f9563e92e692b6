#include "domain/inbound_window.h"

#include <utility>

namespace rookery::gateway {

void InboundWindow::Add(std::string bytes, SteadyTime now) {
  ++received_;
  bytes_ += bytes.size();
  unconfirmed_.PushBack({std::move(bytes), now});
}

}  // namespace rookery::gateway
