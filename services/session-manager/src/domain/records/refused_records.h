#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "domain/core.h"

namespace rookery::session_manager {

/// Records that this service has to say by itself (presence, answers, errors, the archive's events) and that
/// the log has refused: they are said again until it takes them, with pauses that grow. What a client has
/// sent is not among them: the client is told. Owned by Core. I/O thread only.
class RefusedRecords {
 public:
  explicit RefusedRecords(Core& core) : core_(core) {}

  /// `why`: the log's answer, which carries the record. `done` is called when the log has it, or when that
  /// cannot be: it is larger than the log takes, or too much waits already. It is not called when the shard
  /// goes to another owner. It may be empty.
  void SayAgain(Shard& from, Topic topic, std::uint32_t partition, const absl::Status& why,
                std::function<void()> done);

  std::size_t waiting() const { return waiting_; }

 private:
  using Record = std::unique_ptr<google::protobuf::MessageLite>;
  Task<void> Repeat(std::shared_ptr<Shard> from, Topic topic, std::uint32_t partition, Record record,
                    std::function<void()> done);

  Core& core_;
  std::size_t waiting_ = 0;
};

}  // namespace rookery::session_manager
