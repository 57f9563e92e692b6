#include "instance_table.h"

#include <charconv>
#include <chrono>
#include <utility>

#include "scripts.h"

namespace rookery::routing {
namespace {

std::int64_t ToInt(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

bool InstanceTable::Apply(const redis::Reply& reply, SteadyTime now) {
  if (reply.array.empty()) {
    Miss();
    return false;
  }
  // Nobody could announce anything to us in between.
  if (has_gap_) {
    for (auto& [id, entry] : entries_) entry.moved = now;
  }
  has_gap_ = false;

  const std::int64_t redis_now = ToInt(reply.array[0].text);
  for (std::size_t i = 1; i + 1 < reply.array.size(); i += 2) {
    const std::string& member = reply.array[i].text;
    const std::int64_t score = ToInt(reply.array[i + 1].text);
    if (member.starts_with('-')) {
      entries_.erase(member.substr(1));
      continue;
    }
    const std::size_t space = member.find(' ');
    if (space == std::string::npos || space == 0) continue;
    std::string id = member.substr(0, space);
    std::string address = member.substr(space + 1);
    const auto known = entries_.find(id);
    if (known == entries_.end()) {
      if (score > redis_now) entries_.emplace(std::move(id), Entry{std::move(address), score, now});
    } else if (score != known->second.score && score > redis_now) {
      // Lower too: Redis may have come back with another clock.
      known->second = {std::move(address), score, now};
    }
  }
  std::erase_if(entries_, [now](const auto& entry) {
    return now - entry.second.moved >= std::chrono::milliseconds(kTimeToLiveMs);
  });

  std::vector<Instance> instances;
  instances.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) instances.push_back({id, entry.address});
  const bool is_changed = !is_known_ || instances != instances_;
  if (!is_known_) known_since_ = now;
  is_known_ = true;
  instances_ = std::move(instances);
  return is_changed;
}

}  // namespace rookery::routing
