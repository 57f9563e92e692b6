#include "domain/state/session.h"

#include <utility>

#include "rookery/base/check.h"

namespace rookery::session_manager {

void EndWrites::Finish() {
  if (--open > 0) return;
  if (remove) {
    std::exchange(remove, nullptr)();
    return;
  }
  for (const std::function<void()>& done : std::exchange(then, {})) done();
}

const std::shared_ptr<EndWrites>& Session::EndWritesOf() {
  if (!end_writes) {
    end_writes = std::make_shared<EndWrites>();
    end_writes->record = end_record;
  }
  return end_writes;
}

void Session::Move(SessionPhase to, SteadyTime now) {
  ROOKERY_CHECK(MayFollow(phase_, to));
  Enter(to, now);
}

void Session::BeginAs(SessionPhase phase, SteadyTime now) {
  ROOKERY_CHECK(phase_ == SessionPhase::kConnected && away_ == nullptr);
  Enter(phase, now);
}

void Session::Enter(SessionPhase to, SteadyTime now) {
  const bool was_detached = detached();
  phase_ = to;
  if (detached() && !was_detached) detached_since = now;
  if (away_ != nullptr) *away_ += static_cast<int>(detached()) - static_cast<int>(was_detached);
}

void Session::CountIn(std::int64_t& away) {
  away_ = &away;
  away += static_cast<int>(detached());
}

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
