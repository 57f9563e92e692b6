#include "domain/inbound_window.h"

#include <utility>

namespace rookery::gateway {

std::size_t InboundWindow::Add(std::string bytes, SteadyTime now, bool is_logged) {
  Entry entry{std::move(bytes), now, is_logged};
  const std::size_t size = SizeOf(entry);
  ++received_;
  bytes_ += size;
  unconfirmed_.PushBack(std::move(entry));
  return size;
}

}  // namespace rookery::gateway
