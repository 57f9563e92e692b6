#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace rookery::session_manager {

/// The client's stanzas that were received on a session and whose effects are not all in
/// the log yet. Stanzas are numbered from 1 without gaps.
class InboundLedger {
 public:
  /// Begins after `count`, all of which is confirmed.
  void Reset(std::uint64_t count);
  /// The next stanza was received; it has one effect open. Returns its number.
  std::uint64_t Receive();
  void Open(std::uint64_t count);
  /// A record of stanza `count` goes into the log. False: one of a later stanza went before it (README.md,
  /// O3).
  bool NoteRecord(std::uint64_t count);
  /// One effect of stanza `count` is done. Returns true if confirmed() has risen.
  bool Close(std::uint64_t count);

  /// The gateway says that it has seen stanzas up to `count` confirmed, and sends none of them again.
  void NoteSeenConfirmed(std::uint64_t count) { seen_confirmed_ = std::max(seen_confirmed_, count); }
  /// Below confirmed() while the gateway has not said that it knows, as after a confirmation that was lost.
  std::uint64_t seen_confirmed() const { return seen_confirmed_; }

  std::uint64_t received() const { return confirmed_ + (open_.size() - head_); }
  std::uint64_t confirmed() const { return confirmed_; }
  /// Returns what confirmed() would be if the stanzas of which `is_moot` says so were done.
  template <typename IsMoot>
  std::uint64_t ConfirmedBut(const IsMoot& is_moot) const {
    std::uint64_t count = confirmed_;
    for (std::size_t i = head_; i < open_.size() && (open_[i] == 0 || is_moot(count + 1)); ++i) ++count;
    return count;
  }
  bool is_all_confirmed() const { return head_ == open_.size(); }

 private:
  std::uint64_t confirmed_ = 0;
  std::uint64_t seen_confirmed_ = 0;
  // The newest stanza that has led to a record.
  std::uint64_t newest_recorded_ = 0;
  // Open effects of confirmed_+1 and on, from head_. Freed when empty: most sessions are idle.
  std::vector<std::uint16_t> open_;
  std::size_t head_ = 0;
};

}  // namespace rookery::session_manager
