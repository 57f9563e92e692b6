#pragma once

namespace rookery::session_manager {

struct Shard;
class DeliveryStates;
class HandOuts;
class OfflineMarks;
class Outbox;
class PacketRows;
class SessionCloser;
class WaitingStanzas;

/// What delivery does at each step in the life of a shard, from when its log is about to be read, and as time
/// passes. I/O thread only.
class DeliverySteps {
 public:
  DeliverySteps(Outbox& outbox, DeliveryStates& states, SessionCloser& closer, WaitingStanzas& waiting,
                OfflineMarks& marks, HandOuts& hand_outs, PacketRows& packet_rows)
      : outbox_(outbox),
        states_(states),
        closer_(closer),
        waiting_(waiting),
        marks_(marks),
        hand_outs_(hand_outs),
        packet_rows_(packet_rows) {}

  /// The shard is loaded, and its log is about to be read. `was_cut`: the log has lost records.
  void OnReading(Shard& shard, bool was_cut);
  /// The records before the fence are applied: sessions are told, or will be, what they may lack.
  void GoLive(Shard& shard);
  /// Ownership is certain again.
  void OnCertain(Shard& shard);
  void OnCommitted(Shard& shard);
  /// While as much waits for the store as may.
  bool IsFull(Shard& shard) const;
  /// Stores the packets that have waited for their clients for long enough.
  void StoreOldPackets(Shard& shard);
  /// Does what else is due by now.
  void Sweep(Shard& shard);
  /// The shard is released.
  void Forget(Shard& shard);

 private:
  Outbox& outbox_;
  DeliveryStates& states_;
  SessionCloser& closer_;
  WaitingStanzas& waiting_;
  OfflineMarks& marks_;
  HandOuts& hand_outs_;
  PacketRows& packet_rows_;
};

}  // namespace rookery::session_manager
