#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>

namespace rookery::kafka {

/// Counts what a producer has been given and the log has not confirmed, in records and bytes. Partitions that
/// stand still for long, for want of a leader, must not stop what goes to the others: one counts up to its
/// share only, and all that have stood still while others went on count for half of the high water together.
/// Where nothing goes on, everything counts.
class InFlight {
 public:
  static constexpr std::size_t kHighWater = 100'000;
  static constexpr std::size_t kHighWaterBytes = std::size_t{128} << 20;
  static constexpr std::size_t kShares = 4;
  /// However it is spread: memory ends somewhere.
  static constexpr std::size_t kMost = 4;
  /// A partition that has waited for so many records of others stands still, and does until nearly nothing is
  /// left of it.
  static constexpr std::uint64_t kPatience = kHighWater / 8;
  static constexpr std::size_t kNearlyNothing = 32;

  struct Amount {
    std::size_t records = 0;
    std::size_t bytes = 0;
  };
  /// The amount of one partition. Stays where it is.
  struct Lane : Amount {
   private:
    friend class InFlight;
    bool is_still = false;
    /// How many records had been confirmed when it went on last.
    std::uint64_t went_on_at = 0;
    /// Its place in the order, while it is not there.
    std::list<Lane*> place{this};
    std::list<Lane*>::iterator at;
  };

  InFlight() = default;
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  void Add(Lane& lane, std::size_t bytes) {
    if (lane.records == 0) Enter(lane);
    Change(lane, {lane.records + 1, lane.bytes + bytes});
  }
  void Remove(Lane& lane, std::size_t bytes) {
    ++confirmed_;
    Change(lane, {lane.records - 1, lane.bytes - bytes});
    if (!lane.is_still) {
      lane.went_on_at = confirmed_;
      order_.splice(order_.end(), order_, lane.at);
    } else if (lane.records <= kHighWater / kNearlyNothing &&
               lane.bytes <= kHighWaterBytes / kNearlyNothing) {
      Move(lane, still_, moving_);
      lane.is_still = false;
      Enter(lane);
    }
    if (lane.records == 0) lane.place.splice(lane.place.end(), order_, lane.at);
    while (!order_.empty() && confirmed_ - order_.front()->went_on_at > kPatience) {
      Lane& behind = *order_.front();
      behind.place.splice(behind.place.end(), order_, behind.at);
      Move(behind, moving_, still_);
      behind.is_still = true;
    }
  }

  std::size_t records() const { return all_.records; }
  std::size_t bytes() const { return all_.bytes; }
  /// Beyond the high water: callers must stop taking work.
  bool is_congested() const {
    return moving_.records + std::min(still_.records, kHighWater / 2) > kHighWater ||
           moving_.bytes + std::min(still_.bytes, kHighWaterBytes / 2) > kHighWaterBytes ||
           all_.records > kMost * kHighWater || all_.bytes > kMost * kHighWaterBytes;
  }

 private:
  static Amount Counted(const Amount& amount) {
    return {std::min(amount.records, kHighWater / kShares),
            std::min(amount.bytes, kHighWaterBytes / kShares)};
  }
  static void Replace(Amount& sum, const Amount& old_part, const Amount& new_part) {
    sum.records = sum.records - old_part.records + new_part.records;
    sum.bytes = sum.bytes - old_part.bytes + new_part.bytes;
  }
  void Change(Lane& lane, const Amount& amount) {
    Replace(all_, lane, amount);
    Replace(lane.is_still ? still_ : moving_, Counted(lane), Counted(amount));
    static_cast<Amount&>(lane) = amount;
  }
  static void Move(const Lane& lane, Amount& from, Amount& to) {
    Replace(from, Counted(lane), {});
    Replace(to, {}, Counted(lane));
  }
  void Enter(Lane& lane) {
    lane.went_on_at = confirmed_;
    lane.at = lane.place.begin();
    order_.splice(order_.end(), lane.place, lane.at);
  }

  Amount all_;
  // As they count.
  Amount moving_;
  Amount still_;
  std::uint64_t confirmed_ = 0;
  /// Those that have something and do not stand still, who went on longest ago first.
  std::list<Lane*> order_;
};

}  // namespace rookery::kafka
