#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "domain/ring.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// The packets that the cluster has given to a client on its session, numbered from 1, and what the next
/// owner of the shard must know of those that the client may not have.
///
/// Without stream management a packet is done with when it is in the kernel, with it
/// when the client acknowledges it. The client's `h` counts modulo 2^32 from the
/// packet after base_seq(); inside, counts are 64 bits wide and never wrap.
class OutboundWindow {
 public:
  struct Entry {
    std::int64_t offset;
    std::uint64_t stored_id;
    /// Only where the packet is in neither the log nor the store.
    std::unique_ptr<xmpp::Stanza> stanza;
  };

  enum class Arrival { kNext, kDuplicate, kGap };
  /// Tells what a packet numbered `seq` is to this session.
  Arrival Classify(std::uint64_t seq) const {
    if (seq == last_seq_ + 1) return Arrival::kNext;
    return seq <= last_seq_ ? Arrival::kDuplicate : Arrival::kGap;
  }
  /// Records the packet last_seq()+1. `dispensable`: nobody else is given it, should the session end.
  void Add(std::int64_t offset, std::uint64_t stored_id, const xmpp::Stanza& stanza,
           bool dispensable = false);

  /// XEP-0198 <enable/>: what is given from now on is counted from 1.
  void EnableStreamManagement(bool resume);
  /// A session that has been resumed: packets after `acked_seq` come again. What its client has
  /// goes up to `acked_offset` of the log.
  void Restore(std::uint64_t base_seq, std::uint64_t acked_seq, std::int64_t acked_offset);

  enum class Ack { kAdvanced, kUnchanged, kTooHigh };
  /// The client says that it has handled `h` packets. A lower one than the last is
  /// an old one (kUnchanged); one that was never sent is kTooHigh.
  Ack Acknowledge(std::uint32_t h);
  /// Everything given so far is in the kernel. True when that settles packets.
  bool Drained();

  /// Returns what the client's h would be had it handled everything.
  std::uint32_t sent_h() const { return static_cast<std::uint32_t>(last_seq_ - base_seq_); }
  bool stream_management() const { return stream_management_; }
  bool resumable() const { return resumable_; }
  std::uint64_t last_seq() const { return last_seq_; }
  std::uint64_t acked_seq() const { return acked_seq_; }
  std::uint64_t base_seq() const { return base_seq_; }
  /// The offsets of the newest packet that came from a record, and of the newest of those that are not
  /// dispensable.
  std::int64_t last_offset() const { return last_offset_; }
  std::int64_t last_primary() const { return last_primary_; }
  /// Packets acked_seq()+1 … last_seq(), in order.
  const Ring<Entry>& unacked() const { return unacked_; }
  /// Bytes of stanzas kept in unacked().
  std::size_t kept_bytes() const { return kept_bytes_; }

 private:
  bool SettleUpTo(std::uint64_t seq);

  Ring<Entry> unacked_;
  std::uint64_t last_seq_ = 0;
  std::uint64_t acked_seq_ = 0;
  std::uint64_t base_seq_ = 0;
  std::int64_t last_offset_ = -1;
  std::int64_t last_primary_ = -1;
  std::size_t kept_bytes_ = 0;
  bool stream_management_ = false;
  bool resumable_ = false;
};

}  // namespace rookery::gateway
