#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/base/clock.h"
#include "rookery/redis/client.h"
#include "rookery/routing/registry.h"

namespace rookery::routing {

/// `<start in ms>-<random part>`, the random part as 16 hex digits.
std::string ToText(const Incarnation& incarnation);
std::string RandomPart(const Incarnation& incarnation);
std::optional<Incarnation> ParseIncarnation(std::string_view started_at_ms, std::string_view random);

/// The instances of one service, from one reading of Redis after the other. One that
/// Redis no longer shows, or shows with a score that no longer moves, is kept for its
/// time to live, counted on our own clock and only over readings that worked: an
/// emptied Redis, or one that was away, makes nobody vanish.
class InstanceTable {
 public:
  /// `reply` is kReadScript's. True when instances() changed, or with the first reading.
  bool Apply(const redis::Reply& reply, SteadyTime now);
  /// Redis could not be read.
  void Miss() { has_gap_ = true; }

  bool is_known() const { return is_known_; }
  /// When the first reading was.
  SteadyTime known_since() const { return known_since_; }
  const std::vector<Instance>& instances() const { return instances_; }

 private:
  struct Entry {
    std::string address;
    Incarnation incarnation;
    std::int64_t score = 0;
    SteadyTime moved;  // when the score last rose
  };
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<Instance> instances_;
  bool is_known_ = false;
  SteadyTime known_since_;
  bool has_gap_ = false;
};

}  // namespace rookery::routing
