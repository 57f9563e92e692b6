#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::muc {

/// Under what this process changes the rooms of its shards. A change that was not answered may still be done:
/// before the next one the shard is claimed again, for another turn, in which it changes nothing any more.
/// I/O thread only.
class ShardClaims {
 public:
  /// The statement that claims: gives the turn, or nothing where a newer owner has claimed the shard.
  using Statement = std::function<Task<absl::StatusOr<std::optional<std::int64_t>>>(std::uint32_t shard,
                                                                                    std::int64_t epoch)>;
  explicit ShardClaims(Statement statement) : statement_(std::move(statement)) {}

  /// As RoomStore::Claim.
  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch);
  /// A statement that changes rooms where shard, epoch and turn are those of the last claim: gives whether
  /// they were. Errors are those of RoomStore::Save.
  using Change = absl::AnyInvocable<Task<absl::StatusOr<bool>>(std::int64_t turn)>;
  Task<absl::Status> Under(std::uint32_t shard, std::int64_t epoch, Change change);
  /// In which turn the owner is; nothing: it has not claimed the shard, or a newer one of this process has.
  std::optional<std::int64_t> TurnOf(std::uint32_t shard, std::int64_t epoch) const;

 private:
  struct Held {
    std::int64_t epoch = -1;
    std::int64_t turn = -1;
    bool is_in_doubt = false;
    /// While it is claimed again.
    std::shared_ptr<runtime::Event> renewal;
  };
  Task<absl::Status> MakeSure(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch);
  Task<absl::Status> Renew(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch);

  const Statement statement_;
  std::map<std::uint32_t, std::shared_ptr<Held>> held_;
};

}  // namespace rookery::muc
