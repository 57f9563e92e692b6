#include "domain/outbound_window.h"

#include <algorithm>
#include <utility>

namespace rookery::gateway {

void OutboundWindow::Add(std::int64_t offset, std::uint64_t stored_id, const xmpp::Stanza& stanza,
                         bool dispensable) {
  Entry entry{offset, stored_id, nullptr};
  if (offset < 0 && stored_id == 0) {
    entry.stanza = std::make_unique<xmpp::Stanza>(stanza);
    kept_bytes_ += stanza.payload().size() + sizeof(xmpp::Stanza);
  }
  unacked_.PushBack(std::move(entry));
  ++last_seq_;
  last_offset_ = std::max(last_offset_, offset);
  if (!dispensable) last_primary_ = std::max(last_primary_, offset);
}

void OutboundWindow::EnableStreamManagement(bool resume) {
  stream_management_ = true;
  resumable_ = resume;
  base_seq_ = last_seq_;
}

void OutboundWindow::Restore(std::uint64_t base_seq, std::uint64_t acked_seq, std::int64_t acked_offset) {
  stream_management_ = true;
  resumable_ = true;
  base_seq_ = base_seq;
  acked_seq_ = acked_seq;
  last_seq_ = acked_seq;
  last_offset_ = acked_offset;
  last_primary_ = acked_offset;  // nobody has told better
}

OutboundWindow::Ack OutboundWindow::Acknowledge(std::uint32_t h) {
  const std::uint64_t handled = std::max(acked_seq_, base_seq_) - base_seq_;
  const std::uint64_t sent = last_seq_ - base_seq_;
  const std::uint32_t forward = h - static_cast<std::uint32_t>(handled);
  if (handled + forward <= sent) {
    return SettleUpTo(base_seq_ + handled + forward) ? Ack::kAdvanced : Ack::kUnchanged;
  }
  // Behind the last one: acknowledgements may cross. More than what has been handled
  // in all, or half the range away, is no earlier h but nonsense.
  const std::uint32_t back = static_cast<std::uint32_t>(handled) - h;
  return back <= handled && back < (1U << 31) ? Ack::kUnchanged : Ack::kTooHigh;
}

bool OutboundWindow::Drained() { return SettleUpTo(stream_management_ ? base_seq_ : last_seq_); }

bool OutboundWindow::SettleUpTo(std::uint64_t seq) {
  if (seq <= acked_seq_) return false;
  for (; acked_seq_ < seq; ++acked_seq_) {
    const auto& stanza = unacked_.front().stanza;
    if (stanza != nullptr) kept_bytes_ -= stanza->payload().size() + sizeof(xmpp::Stanza);
    unacked_.PopFront();
  }
  return true;
}

}  // namespace rookery::gateway
