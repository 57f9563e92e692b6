#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// Which session is where: for operators to read, and for the next owner of a shard, who learns from
/// it of sessions whose gateway has died together with their owner. Rebuilt by its owners whenever it
/// is lost, and nobody waits for it.
class SessionDirectory {
 public:
  virtual ~SessionDirectory() = default;

  struct Entry {
    std::string full_jid;
    /// Empty while the client is away.
    std::string gateway;
    std::int64_t since_ms = 0;
    /// 16 bytes; empty where it is not known.
    std::string session_id = {};
    /// How often the session has been resumed.
    std::uint64_t resumptions = 0;
    /// Whether contacts see it, or have still to be told that they do not.
    bool is_available = false;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  struct Changes {
    std::uint32_t shard = 0;
    std::int64_t epoch = 0;
    /// Forget everything about the shard first.
    bool afresh = false;
    std::vector<std::string> gone;
    /// After `gone`.
    std::vector<Entry> here;
  };
  enum class Written {
    kDone,
    /// Done, but what was written earlier under this epoch is not there: write all again.
    kWasEmpty,
    /// Nothing was done: a newer owner of the shard has written.
    kRefused,
  };
  /// UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED: the store is away or too busy.
  virtual Task<absl::StatusOr<Written>> Write(Changes changes) = 0;
  /// All sessions of the shard that its last owner has written. Errors as of Write.
  virtual Task<absl::StatusOr<std::vector<Entry>>> Read(std::uint32_t shard) = 0;
};

}  // namespace rookery::session_manager
