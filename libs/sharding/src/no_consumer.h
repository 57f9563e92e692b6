#pragma once

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/kafka/consumer.h"
#include "rookery/runtime/task.h"

namespace rookery::sharding {

/// The consumer that is asked while this process is in no group.
class NoConsumer final : public kafka::Consumer {
 public:
  void Seek(std::int32_t, std::int64_t) override {}
  void Pause(std::int32_t) override {}
  void Resume(std::int32_t) override {}
  Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t) override { co_return Gone(); }
  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t, std::int64_t) override { co_return Gone(); }
  Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t) override {
    co_return Gone();
  }
  Task<absl::Status> Commit(std::vector<Position>) override { co_return Gone(); }
  void ReleaseDone(std::int32_t) override {}
  Task<void> Close(std::chrono::milliseconds) override { co_return; }

 private:
  static absl::Status Gone() { return absl::CancelledError("not a member of the group"); }
};

}  // namespace rookery::sharding
