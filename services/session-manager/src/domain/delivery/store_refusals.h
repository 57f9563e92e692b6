#pragma once

#include "domain/state/shard.h"

namespace rookery::session_manager {

class Consequences;
class OfflineMarks;
class WaitingStanzas;
struct PendingRecord;
struct SessionManagerMetrics;

/// Messages that owners have refused, since too much waits for the store: a decision on record, which takes
/// effect where it is read (README.md, S8). I/O thread only.
class StoreRefusals {
 public:
  StoreRefusals(SessionManagerMetrics& metrics, Consequences& consequences, WaitingStanzas& waiting,
                OfflineMarks& marks)
      : metrics_(metrics), consequences_(consequences), waiting_(waiting), marks_(marks) {}

  /// One is read: the sender is told. A new owner takes the message back first. The record is held until all
  /// of that is done.
  void OnRead(Shard& shard, const PendingRecord& pending);

 private:
  SessionManagerMetrics& metrics_;
  Consequences& consequences_;
  WaitingStanzas& waiting_;
  OfflineMarks& marks_;
};

}  // namespace rookery::session_manager
