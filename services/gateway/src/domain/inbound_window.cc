#include "domain/inbound_window.h"

#include <utility>

namespace rookery::gateway {

std::size_t InboundWindow::Add(std::string bytes, SteadyTime now) {
  Entry entry{std::move(bytes), now};
  const std::size_t size = SizeOf(entry);
  ++received_;
  bytes_ += size;
  unconfirmed_.PushBack(std::move(entry));
  return size;
}

}  // namespace rookery::gateway
