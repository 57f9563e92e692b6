#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "domain/ring.h"
#include "rookery/base/clock.h"

namespace rookery::gateway {

/// The stanzas that a client has sent on its session: counted from 1, 64 bits wide, and kept until the
/// cluster confirms that they are in the log. Only what is confirmed may be acknowledged to the client
/// (XEP-0198 section 4).
class InboundWindow {
 public:
  struct Entry {
    std::string bytes;  // the serialised action, to send it again
    SteadyTime received;
    bool is_logged = false;  // it is confirmed when the log has it, and not before
  };

  /// A resumed session goes on counting where it was.
  void Restore(std::uint64_t count) { received_ = confirmed_ = count; }

  /// The number of the stanza that comes next.
  std::uint64_t next_count() const { return received_ + 1; }
  /// Returns what it adds to unconfirmed_bytes().
  std::size_t Add(std::string bytes, SteadyTime now, bool is_logged = false);
  /// Returns roughly how many bytes of memory an entry takes.
  static std::size_t SizeOf(const Entry& entry) { return entry.bytes.size() + sizeof(Entry); }

  /// Forgets entries up to `count`, which a confirmation may repeat, and calls
  /// `forget` with each. A count that was never reached is cut down to what was.
  template <typename Forget>
  void Confirm(std::uint64_t count, Forget forget) {
    if (count > received_) count = received_;
    for (; confirmed_ < count; ++confirmed_) {
      forget(unconfirmed_.front());
      bytes_ -= SizeOf(unconfirmed_.front());
      unconfirmed_.PopFront();
    }
  }

  /// Unconfirmed entries in order.
  const Ring<Entry>& unconfirmed() const { return unconfirmed_; }
  std::size_t unconfirmed_bytes() const { return bytes_; }
  std::uint64_t received() const { return received_; }
  std::uint64_t confirmed() const { return confirmed_; }

 private:
  Ring<Entry> unconfirmed_;
  std::uint64_t received_ = 0;
  std::uint64_t confirmed_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace rookery::gateway
