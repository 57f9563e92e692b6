#include "instance_table.h"

#include <charconv>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "scripts.h"

namespace rookery::routing {
namespace {

std::int64_t ToInt(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string ToText(const Incarnation& incarnation) {
  return absl::StrCat(incarnation.started_at_ms, "-", RandomPart(incarnation));
}

std::string RandomPart(const Incarnation& incarnation) {
  return absl::StrCat(absl::Hex(incarnation.random, absl::kZeroPad16));
}

std::optional<Incarnation> ParseIncarnation(std::string_view started_at_ms, std::string_view random) {
  Incarnation incarnation;
  const auto is_number = [](std::string_view text, auto* value, int base) {
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, *value, base);
    return error == std::errc() && stopped == end;
  };
  if (!is_number(started_at_ms, &incarnation.started_at_ms, 10) || incarnation.started_at_ms <= 0 ||
      random.size() != 16 || !is_number(random, &incarnation.random, 16)) {
    return std::nullopt;
  }
  return incarnation;
}

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
  std::map<std::string, Incarnation, std::less<>> incarnations;
  for (std::size_t i = 1; i + 1 < reply.array.size(); i += 2) {
    const std::string& member = reply.array[i].text;
    const std::int64_t score = ToInt(reply.array[i + 1].text);
    if (member.starts_with('-')) {
      entries_.erase(member.substr(1));
      continue;
    }
    const std::size_t space = member.find(' ');
    if (const std::size_t at = member.find('@'); at < space) {
      const std::string_view life = std::string_view(member).substr(at + 1);
      const std::size_t dash = life.find('-');
      if (dash == std::string_view::npos) continue;
      const auto incarnation = ParseIncarnation(life.substr(0, dash), life.substr(dash + 1));
      if (incarnation) incarnations[member.substr(0, at)] = *incarnation;
      continue;
    }
    if (space == std::string::npos || space == 0) continue;
    std::string id = member.substr(0, space);
    std::string address = member.substr(space + 1);
    const auto known = entries_.find(id);
    if (known == entries_.end()) {
      if (score > redis_now) entries_.emplace(std::move(id), Entry{std::move(address), {}, score, now});
    } else if (score != known->second.score && score > redis_now) {
      // Lower too: Redis may have come back with another clock.
      known->second = {std::move(address), known->second.incarnation, score, now};
    }
  }
  for (const auto& [id, incarnation] : incarnations) {
    if (const auto entry = entries_.find(id); entry != entries_.end())
      entry->second.incarnation = incarnation;
  }
  std::erase_if(entries_, [now](const auto& entry) {
    return now - entry.second.moved >= std::chrono::milliseconds(kTimeToLiveMs);
  });

  std::vector<Instance> instances;
  instances.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) instances.push_back({id, entry.address, entry.incarnation});
  const bool is_changed = !is_known_ || instances != instances_;
  if (!is_known_) known_since_ = now;
  is_known_ = true;
  instances_ = std::move(instances);
  return is_changed;
}

}  // namespace rookery::routing
