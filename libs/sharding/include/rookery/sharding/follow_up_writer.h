#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "rookery/events/log.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::sharding {

/// The fate of a record that the log has refused.
enum class AfterRefusal : std::uint8_t {
  /// It is said until the log takes it. One that is too large for the log (INVALID_ARGUMENT) is lost all the
  /// same.
  kSayAgain,
  /// Nobody will hear it.
  kLost,
  /// The service has seen to it.
  kHandled,
};

/// Puts into the log what follows from a shard: its records, its clients' stanzas, its owner's decisions. The
/// record that it follows from is unfinished until the log has it, or will never have it. After the release
/// of the shard nothing is appended, and nobody is told of what was: the next owner says it.
///
/// A record that the log refuses is said again, unless the service decides otherwise: 200 ms later, then with
/// pauses that grow to 10 s. Each of those that one shard says again to one partition waits for the one
/// before it, so that they keep their order among themselves. What was appended behind them is not held back:
/// it overtakes them. Whoever must not hear old news after new says so (`IsWanted`). What waits counts
/// against the memory that the shard may take: beyond that it is read no further (ShardOwner).
///
/// The log client keeps a record's bytes until they are in the log, and gives them back with a refusal: here
/// nothing is kept of what it takes. Owned by the service; outlives the owner's shards (ShardOwner::End). I/O
/// thread only.
class FollowUpWriter {
 public:
  /// The cause that a record follows from.
  struct Cause {
    /// The record of the shard that is unfinished until then; -1: none.
    std::int64_t offset = -1;
    /// Its number among what follows from that record: part of its origin, by which its readers tell a
    /// repetition (events.v1.LogOrigin.part). Nothing: it is not known by that record, but by a client's
    /// count that the caller has set, or is a decision of the owner's.
    std::optional<std::uint32_t> part = std::nullopt;
  };
  struct Place {
    events::Topic topic;
    std::uint32_t partition = 0;
    /// The key of the record; used within the call only.
    std::string_view key;
  };

  explicit FollowUpWriter(ShardOwner& owner) : owner_(owner) {}
  FollowUpWriter(const FollowUpWriter&) = delete;
  FollowUpWriter& operator=(const FollowUpWriter&) = delete;

  /// Sets whose word the record is, and by which number it is known, in its origin (if its type has one), and
  /// appends it.
  ///
  /// `then(shard, offset)` is called once, and then the cause does not wait for it any more: with the
  /// record's offset, or -1 where the log does not have it. An exception of it is one of applying the cause
  /// (ShardOwner::NoteFailed). It may have these methods, too:
  /// - `AfterRefusal OnRefused(ServiceShard&, const absl::Status& why, Record&)`: called at most once, when
  ///   the log refuses the record for the first time. It may change the record, which is said again as it is
  ///   then. Without it: kSayAgain.
  /// - `bool IsWanted(ServiceShard&, Record&)`: before the record is said again, each time. It may change the
  ///   record. False: it is not said any more. An exception counts as one of `then`.
  template <typename ServiceShard, typename Record, typename Then>
  void Append(ServiceShard& from, const Cause& cause, const Place& place, Record& record, Then then);

  /// A record was refused that somebody says again by himself.
  void NoteRefusal(events::Topic topic, std::uint32_t partition, const absl::Status& why) const;
  /// How many records wait to be said again.
  std::size_t waiting() const { return waiting_; }

 private:
  /// A record that the log has refused.
  class Waiting {
   public:
    Waiting(std::string key, std::int64_t offset, std::size_t bytes)
        : key_(std::move(key)), offset_(offset), bytes_(bytes) {}
    virtual ~Waiting() = default;
    const std::string& key() const { return key_; }
    /// The offset of its cause.
    std::int64_t offset() const { return offset_; }
    /// In memory, about.
    std::size_t bytes() const { return bytes_; }
    /// Null: it is not wanted any more.
    virtual const google::protobuf::MessageLite* Next(Shard& from) = 0;
    virtual void Done(Shard& from, std::int64_t offset) = 0;

   private:
    const std::string key_;
    const std::int64_t offset_;
    const std::size_t bytes_;
  };
  template <typename ServiceShard, typename Record, typename Then>
  class WaitingRecord;
  /// So much more than serialised is a record in memory, about.
  static constexpr std::size_t kBytesInMemory = 3;
  using LaneId = std::tuple<const Shard*, events::Topic, std::uint32_t>;
  /// The records that one shard says again to one partition, in the order in which they were refused.
  struct Lane {
    ~Lane();
    FollowUpWriter& writer;
    const LaneId id;
    std::deque<std::unique_ptr<Waiting>> records = {};
  };

  void FillOrigin(Shard& from, const Cause& cause, events::v1::Origin& origin) const;
  template <typename Record, typename ServiceShard, typename Then>
  void OnRefused(ServiceShard& from, std::int64_t offset, events::Topic topic, std::uint32_t partition,
                 const absl::Status& why, Then& then);
  /// Tells who waits that the log has the record, or never will.
  template <typename ServiceShard, typename Then>
  void Finish(ServiceShard& from, std::int64_t cause, std::int64_t appended, Then& then);
  void OnFailure(Shard& from, std::int64_t cause, const std::exception& failure);
  void NoteLoss(events::Topic topic, std::uint32_t partition) const;
  void SayAgain(Shard& from, events::Topic topic, std::uint32_t partition, std::unique_ptr<Waiting> record);
  /// A coroutine of the shard.
  Task<void> SayAllAgain(std::shared_ptr<Shard> from, std::unique_ptr<Lane> lane);

  ShardOwner& owner_;
  /// Each is its coroutine's.
  std::map<LaneId, Lane*> lanes_;
  std::size_t waiting_ = 0;
};

// ---- templates ------------------------------------------------------------------

namespace internal {

struct NamesOfHooks {
  int OnRefused;
  int IsWanted;
};
/// A name that both have is ambiguous.
template <typename Then>
struct WithNamesOfHooks : Then, NamesOfHooks {};

// Whether there is a member of that name at all: one that cannot be called as it must be does not compile,
// rather than never being called.
template <typename Then>
concept HasOnRefused = !requires { &WithNamesOfHooks<Then>::OnRefused; };
template <typename Then>
concept HasIsWanted = !requires { &WithNamesOfHooks<Then>::IsWanted; };

}  // namespace internal

template <typename ServiceShard, typename Record, typename Then>
class FollowUpWriter::WaitingRecord final : public Waiting {
 public:
  WaitingRecord(std::string key, std::int64_t offset, std::size_t bytes, Record record, Then then)
      : Waiting(std::move(key), offset, bytes), record_(std::move(record)), then_(std::move(then)) {}
  const google::protobuf::MessageLite* Next(Shard& from) override {
    if constexpr (internal::HasIsWanted<Then>)
      if (!then_.IsWanted(static_cast<ServiceShard&>(from), record_)) return nullptr;
    return &record_;
  }
  void Done(Shard& from, std::int64_t offset) override { then_(static_cast<ServiceShard&>(from), offset); }

 private:
  Record record_;
  Then then_;
};

template <typename ServiceShard, typename Record, typename Then>
void FollowUpWriter::Append(ServiceShard& from, const Cause& cause, const Place& place, Record& record,
                            Then then) {
  if (from.released()) return;
  if constexpr (requires { record.mutable_origin(); }) FillOrigin(from, cause, *record.mutable_origin());
  from.window.Hold(cause.offset);
  owner_.Append(
      from, place.topic, place.partition, place.key, record,
      [this, offset = cause.offset, topic = place.topic, partition = place.partition, then = std::move(then)](
          ServiceShard& shard, const absl::StatusOr<std::int64_t>& appended) mutable {
        // ABORTED: given up with the shard.
        if (shard.released() || absl::IsAborted(appended.status())) return;
        if (!appended.ok())
          return OnRefused<Record>(shard, offset, topic, partition, appended.status(), then);
        Finish(shard, offset, *appended, then);
      });
}

template <typename ServiceShard, typename Then>
void FollowUpWriter::Finish(ServiceShard& from, std::int64_t cause, std::int64_t appended, Then& then) {
  try {
    then(from, appended);
  } catch (const std::exception& failure) {
    // The cause stays unfinished: the next life of the shard applies it again.
    return OnFailure(from, cause, failure);
  }
  from.window.Release(cause);
}

template <typename Record, typename ServiceShard, typename Then>
void FollowUpWriter::OnRefused(ServiceShard& from, std::int64_t offset, events::Topic topic,
                               std::uint32_t partition, const absl::Status& why, Then& then) {
  NoteRefusal(topic, partition, why);
  std::optional<events::ReturnedRecord> returned = events::RefusedRecord(why);
  Record record;
  AfterRefusal refusal = AfterRefusal::kLost;
  if (returned && record.ParseFromString(returned->value)) {
    refusal = AfterRefusal::kSayAgain;
    if constexpr (internal::HasOnRefused<Then>) {
      try {
        refusal = then.OnRefused(from, why, record);
      } catch (const std::exception& failure) {
        return OnFailure(from, offset, failure);
      }
    }
    if (refusal == AfterRefusal::kSayAgain && absl::IsInvalidArgument(why)) refusal = AfterRefusal::kLost;
  }
  if (refusal == AfterRefusal::kSayAgain)
    return SayAgain(from, topic, partition,
                    std::make_unique<WaitingRecord<ServiceShard, Record, Then>>(
                        std::move(returned->key), offset, kBytesInMemory * returned->value.size(),
                        std::move(record), std::move(then)));
  if (refusal == AfterRefusal::kLost) NoteLoss(topic, partition);
  Finish(from, offset, -1, then);
}

}  // namespace rookery::sharding
