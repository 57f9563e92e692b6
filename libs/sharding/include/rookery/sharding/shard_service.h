#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "rookery/base/clock.h"
#include "rookery/base/status.h"
#include "rookery/events/v1/origin.pb.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard.h"

namespace rookery::sharding {

/// The part that a sharded service brings to the machinery: the steps in the life of one of its shards, in
/// this order. Called on the I/O thread by the ShardOwner.
///
///   MakeShard, OnFenced, Load, OnReading, OnFinishedRecord*, Apply*, Settle (if it is not settled),
///   GoLive, Apply*, then HandOver (in order, of one that is live) and Forget. A shard may be lost, and so be
///   forgotten, at any of them.
class ShardService {
 public:
  virtual ~ShardService() = default;

  /// `horizon`: the owner's, for the shard's duplicate filter.
  virtual std::shared_ptr<Shard> MakeShard(std::uint32_t number, std::chrono::milliseconds horizon) = 0;

  /// The record of the service's topic that carries the fence.
  virtual std::unique_ptr<google::protobuf::MessageLite> MakeFence(const events::v1::Fence& fence) = 0;
  struct Parsed {
    /// Null: not readable.
    std::shared_ptr<Record> record;
    /// Null where there is none; both live as long as the record.
    const events::v1::Origin* origin = nullptr;
    const events::v1::Fence* fence = nullptr;
  };
  virtual Parsed Parse(std::string_view value) = 0;

  /// The shard has its epoch.
  virtual void OnFenced(Shard&) {}
  /// Whatever must be known before the first record is applied. An error is tried again, until the
  /// shard is released. FAILED_PRECONDITION: a store knows of a newer owner (ShardOwner::Doubt),
  /// whose epoch is in shard.stored_epoch.
  virtual Task<absl::Status> Load(std::shared_ptr<Shard>) { co_return absl::OkStatus(); }
  /// Records are about to come. `was_cut`: the log is shorter than it had been, so that offsets
  /// above the fence's, remembered from earlier, mean nothing any more.
  virtual void OnReading(Shard&, bool was_cut) { (void)was_cut; }
  /// A record that an earlier owner has finished, read for what it tells of the past.
  virtual void OnFinishedRecord(Shard&, Record&) {}
  /// Once for each record. The record has one hold in shard.window, which the service releases.
  virtual void Apply(Shard& shard, std::shared_ptr<Record> record) = 0;
  /// One whose application has failed too often (ShardOwner::NoteFailed): whoever may be told that it is lost
  /// is told so. It is finished.
  virtual void OnGivenUp(Shard&, Record&) {}
  /// One that is not applied: it was before, or who says it is no owner any more. It is finished.
  virtual void OnNotApplied(Shard&, Record&) {}
  /// Whether all that must be applied before the shard goes live is applied, once every record before our
  /// fence has been given to Apply. If it is not, Settle waits for it; nothing newer comes meanwhile.
  virtual bool is_settled(Shard&) const { return true; }
  virtual Task<void> Settle(std::shared_ptr<Shard>) { co_return; }
  virtual void GoLive(Shard&) {}
  /// Ownership was in doubt after a freeze, and is certain again. While it was in doubt
  /// (`shard.suspended`) nothing was applied, and nothing may be written in the shard's name.
  virtual void OnCertain(Shard&) {}
  /// shard.last_commit has risen.
  virtual void OnCommitted(Shard&) {}
  /// The group wants the shard back: what must be in a store before the next owner begins, until
  /// `limit` at most.
  virtual Task<void> HandOver(std::shared_ptr<Shard>, SteadyTime limit) {
    (void)limit;
    co_return;
  }
  /// A shard's cursor as a store has it (KeptCursors).
  struct KeptCursor {
    /// The epoch of the newest owner that it knows of, or -1.
    std::int64_t epoch = -1;
    /// -1: it has none.
    std::int64_t cursor = -1;
  };
  /// Asked where the group has lost the cursor. Nothing: the service keeps none, and applies the whole log
  /// again. An error is tried again.
  virtual Task<absl::StatusOr<std::optional<KeptCursor>>> FindCursor(std::uint32_t number) {
    (void)number;
    co_return std::nullopt;
  }
  /// Has the store know the cursor, unless it knows one of a newer epoch. Every minute, and when the shard is
  /// handed over: it may not be ours any more when this is done.
  virtual Task<absl::Status> KeepCursor(std::uint32_t number, std::int64_t epoch, std::int64_t cursor) {
    (void)number, (void)epoch, (void)cursor;
    co_return absl::OkStatus();
  }
  /// The shard is no longer ours. Nobody is told anything.
  virtual void Forget(Shard&) {}

  /// Whether the service has all that it can take of the shard: nothing more is read until it has not.
  virtual bool is_full(Shard&) const { return false; }
  /// Whether this process can do the work of an owner at all.
  virtual bool is_able() const { return true; }
};

/// ShardService::FindCursor of a service whose store has claims and cursors.
template <typename Store>
Task<absl::StatusOr<std::optional<ShardService::KeptCursor>>> FindCursorIn(Store& store,
                                                                           std::uint32_t number) {
  const absl::StatusOr<std::int64_t> epoch = co_await store.ClaimedBy(number);
  ROOKERY_CO_RETURN_IF_ERROR(epoch.status());
  const absl::StatusOr<std::int64_t> cursor = co_await store.FindCursor(number);
  ROOKERY_CO_RETURN_IF_ERROR(cursor.status());
  co_return ShardService::KeptCursor{*epoch, *cursor};
}

}  // namespace rookery::sharding
