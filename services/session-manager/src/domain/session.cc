#include "domain/session.h"

namespace rookery::session_manager {

void UnackedQueue::pop_front() {
  packets_[head_] = {};
  ++head_;
  if (head_ == packets_.size()) {
    packets_ = {};
    head_ = 0;
  } else if (head_ >= 64 && head_ * 2 >= packets_.size()) {
    packets_.erase(packets_.begin(), packets_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace rookery::session_manager
