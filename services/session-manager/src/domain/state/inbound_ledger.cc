#include "domain/state/inbound_ledger.h"

#include "rookery/base/check.h"

namespace rookery::session_manager {

void InboundLedger::Reset(std::uint64_t count) {
  confirmed_ = count;
  newest_recorded_ = 0;
  open_ = {};
  head_ = 0;
}

std::uint64_t InboundLedger::Receive() {
  open_.push_back(1);
  return received();
}

void InboundLedger::Open(std::uint64_t count) {
  if (count <= confirmed_) return;
  const std::size_t index = head_ + (count - confirmed_ - 1);
  ROOKERY_CHECK(index < open_.size());
  ++open_[index];
}

bool InboundLedger::NoteRecord(std::uint64_t count) {
  if (count < newest_recorded_) return false;
  newest_recorded_ = count;
  return true;
}

bool InboundLedger::Close(std::uint64_t count) {
  if (count <= confirmed_) return false;
  const std::size_t index = head_ + (count - confirmed_ - 1);
  ROOKERY_CHECK(index < open_.size() && open_[index] > 0);
  --open_[index];
  const std::uint64_t before = confirmed_;
  while (head_ < open_.size() && open_[head_] == 0) {
    ++head_;
    ++confirmed_;
  }
  if (head_ == open_.size()) {
    open_ = {};
    head_ = 0;
  } else if (head_ > 64) {
    open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  return confirmed_ != before;
}

}  // namespace rookery::session_manager
