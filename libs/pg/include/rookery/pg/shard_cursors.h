#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/pg/pool.h"
#include "rookery/runtime/task.h"

namespace rookery::pg {

/// The statements of one table of cursors, with the columns shard (integer, the key), epoch and cursor
/// (bigint). Must live as long as any pool that it is used with (Pool).
///
/// Cursors have no column in the table of claims: whoever changes the row of a claim waits for what is being
/// written under it, and in a busy shard something always is.
class CursorTable {
 public:
  explicit CursorTable(const std::string& name);

 private:
  friend class ShardCursors;
  const std::string keep_;
  const std::string find_;
};

/// Up to which record of the log the shards are finished, as their owners have last said: for when the
/// consumer group has forgotten it. Errors are those of Pool. I/O thread only.
class ShardCursors {
 public:
  ShardCursors(Pool& pool, const CursorTable& table) : pool_(pool), table_(table) {}

  /// Changes nothing where a newer owner has said it. A statement that is done late may put an older cursor
  /// in the place of a newer one.
  Task<absl::Status> Keep(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor);
  /// -1: nobody has said it.
  Task<absl::StatusOr<std::int64_t>> Find(std::uint32_t shard);

 private:
  Pool& pool_;
  const CursorTable& table_;
};

}  // namespace rookery::pg
