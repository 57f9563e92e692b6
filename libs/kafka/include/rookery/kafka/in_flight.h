#pragma once

#include <algorithm>
#include <cstddef>

namespace rookery::kafka {

/// What a producer has been given and the log has not confirmed, in records and bytes. A partition
/// that stands still for long, for want of a leader, must not stop what goes to the others: it counts up
/// to its share only.
class InFlight {
 public:
  static constexpr std::size_t kHighWater = 100'000;
  static constexpr std::size_t kHighWaterBytes = std::size_t{128} << 20;
  static constexpr std::size_t kShares = 4;

  /// Of one partition.
  struct Lane {
    std::size_t records = 0;
    std::size_t bytes = 0;
  };

  void Add(Lane& lane, std::size_t bytes) { Change(lane, lane.records + 1, lane.bytes + bytes); }
  void Remove(Lane& lane, std::size_t bytes) { Change(lane, lane.records - 1, lane.bytes - bytes); }

  std::size_t records() const { return records_; }
  std::size_t bytes() const { return bytes_; }
  /// Beyond the high water: callers must stop taking work.
  bool is_congested() const { return counted_records_ > kHighWater || counted_bytes_ > kHighWaterBytes; }

 private:
  void Change(Lane& lane, std::size_t records, std::size_t bytes) {
    const auto replace = [](std::size_t& sum, std::size_t old_part, std::size_t new_part) {
      sum = sum - old_part + new_part;
    };
    replace(records_, lane.records, records);
    replace(bytes_, lane.bytes, bytes);
    replace(counted_records_, std::min(lane.records, kHighWater / kShares),
            std::min(records, kHighWater / kShares));
    replace(counted_bytes_, std::min(lane.bytes, kHighWaterBytes / kShares),
            std::min(bytes, kHighWaterBytes / kShares));
    lane = {records, bytes};
  }

  std::size_t records_ = 0;
  std::size_t bytes_ = 0;
  std::size_t counted_records_ = 0;
  std::size_t counted_bytes_ = 0;
};

}  // namespace rookery::kafka
