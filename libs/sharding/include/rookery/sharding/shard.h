#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/duplicate_filter.h"
#include "rookery/sharding/failed_steps.h"
#include "rookery/sharding/follow_ups.h"
#include "rookery/sharding/unfinished_records.h"

namespace rookery::sharding {

/// A partition that the consumer group has given to this process, as far as every sharded service
/// is concerned. Services derive from it for what is their own. I/O thread only.
///
/// Whatever waits for something in the shard's name is a coroutine of the shard (Spawn), and does not look
/// whether it is still ours: at the release it is cancelled where it waits, and none is started any more.
/// Whatever must be done then all the same is done by destructors, or by a coroutine of somebody else. That
/// has to look (`released`), and so has a callback.
struct Shard : std::enable_shared_from_this<Shard> {
  enum class Phase {
    kAcquiring,   // fence and stores: nothing is read yet
    kRecovering,  // reading up to our own fence
    kLive,
    kReleased,  // somebody else's
  };

  Shard(std::uint32_t shard_number, std::chrono::milliseconds horizon)
      : number(shard_number), duplicates(horizon) {}
  virtual ~Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  const std::uint32_t number;
  Phase phase = Phase::kAcquiring;
  /// Rises from owner to owner; -1 before the fence is in the log.
  std::int64_t epoch = -1;
  /// The epoch of the newest owner before us that we know of, or -1.
  std::int64_t former_epoch = -1;
  /// The epoch of the newest fence that has been read, or -1: anything that an older owner says behind it
  /// came late.
  std::int64_t read_epoch = -1;
  /// The epoch of the first owner since the log was cut, as far as what was read of it tells, or -1: offsets
  /// that earlier owners have kept in a store are of another log.
  std::int64_t log_since = -1;
  /// The epoch of an owner whom a store knows of, or -1: the next epoch is above it.
  std::int64_t stored_epoch = -1;
  /// Where our fence is. Older records may have been applied by an earlier owner.
  std::int64_t fence_offset = -1;
  /// Where the last owner stopped: older records only feed the duplicate filter.
  std::int64_t committed = 0;
  /// The cursor that this owner knows to be committed; -1: nothing yet.
  std::int64_t last_commit = -1;
  /// The newest cursor that a store was given (KeptCursors), and when.
  std::int64_t kept_cursor = -1;
  SteadyTime kept_at = SteadyTime::min();
  /// Nobody knows where the last owner stopped: it is not read until somebody says so.
  bool is_cursor_lost = false;
  /// Since when this owner has read, or reads, all that was said in the shard; never before its log was
  /// looked at.
  SteadyTime read_since = SteadyTime::max();
  /// Nothing is read or applied: we were frozen and do not know yet whether we still own it, or it has
  /// failed.
  bool suspended = false;
  /// A step of it ended half-way: what the service has of it is not to be trusted. It stays suspended until
  /// it is forgotten, which is soon.
  bool has_failed = false;
  /// Nothing is read at present: too much is unfinished, or the shard is suspended or settling.
  bool paused = false;
  /// The offset after the newest record that was read.
  std::int64_t next_read = 0;
  /// A record of its log, as far as that tells it from another one that is there later.
  struct RecordMark {
    std::int64_t offset = -1;
    std::size_t hash = 0;  // of its value
  };
  /// The newest record that was read.
  std::optional<RecordMark> newest_read;
  /// The newest one that was read before the shard was acquired afresh, until it has been read again: if it
  /// is another one by then, the log was cut and has grown again.
  std::optional<RecordMark> expected;
  /// The end of the log before the shard was acquired afresh, as far as this process knows it.
  std::int64_t former_end = 0;
  /// Its log was cut, and the group has no cursor of the new one yet.
  bool is_cut_log = false;
  /// Its fence has been read, and the service has not done with what came before: nothing newer is read.
  bool settling = false;
  /// The group wants it back, and it is being handed over.
  bool leaving = false;
  /// Records that the service has failed to apply (ShardOwner::NoteFailed), and how often.
  std::map<std::int64_t, int> failures;
  /// What it was acquired afresh for, besides records.
  FailedSteps failed_steps;
  /// The first record that came while it was suspended or settling, or -1.
  std::int64_t unread = -1;

  UnfinishedRecords window;
  DuplicateFilter duplicates;
  FollowUps follow_ups;

  /// Records that follow from this shard and are not in the log yet.
  std::size_t appends_in_flight = 0;
  /// Called when the last of them is.
  std::function<void()> on_appended_all;
  /// Bytes of memory, about, of those that the log has refused and that are to be said again.
  std::size_t refused_bytes = 0;

  /// An earlier owner may have applied the record at `offset`.
  bool IsBeforeFence(std::int64_t offset) const { return offset < fence_offset; }
  bool live() const { return phase == Phase::kLive && !suspended; }
  bool released() const { return phase == Phase::kReleased; }

  /// Starts a coroutine of the shard. `task_name` must live forever (a literal). Does nothing once it is
  /// released.
  void Spawn(const char* task_name, Task<void> task) { tasks->Spawn(task_name, std::move(task)); }
  /// As Spawn, for what the shard does not get on without: whenever it fails, the shard is acquired afresh.
  void SpawnVital(const char* task_name, Task<void> task) {
    vital_tasks.insert(task_name);
    Spawn(task_name, std::move(task));
  }
  std::set<std::string_view> vital_tasks;
  /// A part of its owner's; cancelled at the release. Null before the owner has the shard.
  std::unique_ptr<runtime::TaskGroup> tasks;
};

/// A record of a shard as its service has parsed it.
struct Record {
  virtual ~Record() = default;
  std::int64_t offset = -1;
  /// When it was appended: ms since 1970.
  std::int64_t timestamp_ms = 0;
  /// It is from before our fence: it may have been applied by an earlier owner.
  bool recovering = false;
};

}  // namespace rookery::sharding
