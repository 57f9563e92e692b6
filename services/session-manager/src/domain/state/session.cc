#include "domain/state/session.h"

#include <algorithm>
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

void ParkedRow::Succeed(const ParkedRow& before) {
  written_at = before.written_at;
  told_at = before.told_at;
  told_resumptions = before.told_resumptions;
  held = before.held;
  if (!before.is_busy && before.content == Content::kNone) return;
  content = Content::kOutdated;
  is_fresh = before.is_fresh || before.misleads;
}

void ParkedRow::OnResumed(std::uint64_t resumptions) {
  told_resumptions = std::max(told_resumptions, resumptions);
}

void ParkedRow::OnGatewayNewer() {
  if (content == Content::kCurrent) content = Content::kOutdated;
}

void ParkedRow::OnBrought() { is_source = false; }

void ParkedRow::OnHeard(SessionPhase phase) {
  if (phase != SessionPhase::kParked) misleads = true;
}

void ParkedRow::NoteGap(std::uint64_t resumptions) {
  if (is_source) told_resumptions = resumptions + 1;
}

const std::shared_ptr<EndWrites>& Session::EndWritesOf() {
  std::shared_ptr<EndWrites>& writes = MakeRare().end_writes;
  if (!writes) {
    writes = std::make_shared<EndWrites>();
    writes->record = end_record;
  }
  return writes;
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
