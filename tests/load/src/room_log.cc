#include "room_log.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace rookery::load {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;

}  // namespace

std::uint32_t RoomLog::Sent(std::uint32_t sender, Time due) {
  messages_.push_back({due, sender, static_cast<std::uint32_t>(occupants_)});
  return static_cast<std::uint32_t>(messages_.size() - 1);
}

RoomLog::Hearing RoomLog::Heard(std::size_t occupant, std::uint32_t number) {
  if (number >= messages_.size()) return Hearing::kUnknown;
  std::vector<bool>& has = has_[occupant];
  if (number >= has.size()) has.resize(std::max<std::size_t>(number + 1, has.size() * 2));
  if (has[number]) {
    ++twice_;
    if (first_twice_.empty()) first_twice_ = absl::StrCat("occupant ", occupant, " heard ", number, " twice");
    return Hearing::kTwice;
  }
  has[number] = true;
  heard_[occupant].push_back(number);
  return --messages_[number].left == 0 ? Hearing::kLast : Hearing::kNew;
}

bool RoomLog::Refused(std::uint32_t number) {
  if (number >= messages_.size()) return false;
  Message& message = messages_[number];
  if (message.refused || message.left != occupants_) return false;
  message.refused = true;
  return true;
}

RoomLog::Verdict RoomLog::Check() const {
  Verdict verdict;
  CheckOrder(verdict);
  CheckLosses(verdict);
  verdict.twice = twice_;
  if (verdict.example.empty()) verdict.example = first_twice_;
  return verdict;
}

void RoomLog::CheckLosses(Verdict& verdict) const {
  for (std::size_t occupant = 0; occupant < occupants_; ++occupant) {
    const std::vector<bool>& has = has_[occupant];
    for (std::size_t number = 0; number < messages_.size(); ++number) {
      if (messages_[number].refused || (number < has.size() && has[number])) continue;
      ++verdict.lost;
      if (verdict.example.empty())
        verdict.example = absl::StrCat("occupant ", occupant, " never heard ", number);
    }
  }
}

void RoomLog::CheckOrder(Verdict& verdict) const {
  const auto most = std::max_element(heard_.begin(), heard_.end(),
                                     [](const auto& a, const auto& b) { return a.size() < b.size(); });
  if (most == heard_.end()) return;
  const auto reference = static_cast<std::size_t>(most - heard_.begin());
  std::vector<std::uint32_t> place(messages_.size(), kNone);
  std::vector<std::uint32_t> latest;  // of each sender, number + 1
  for (std::uint32_t i = 0; i < most->size(); ++i) {
    const std::uint32_t number = (*most)[i];
    place[number] = i;
    const std::uint32_t from = sender(number);
    if (from >= latest.size()) latest.resize(from + 1, 0);
    if (number < latest[from]) {
      ++verdict.sender_order;
      if (verdict.example.empty()) {
        verdict.example = absl::StrCat("occupant ", reference, " heard ", number, " of sender ", from,
                                       " after its ", latest[from] - 1);
      }
    }
    latest[from] = std::max(latest[from], number + 1);
  }
  for (std::size_t occupant = 0; occupant < occupants_; ++occupant) {
    std::uint32_t furthest = kNone;  // the number whose place is the highest so far
    for (const std::uint32_t number : heard_[occupant]) {
      if (place[number] == kNone) continue;  // the reference lost it
      if (furthest == kNone || place[number] > place[furthest]) {
        furthest = number;
        continue;
      }
      ++verdict.disordered;
      if (verdict.example.empty()) {
        verdict.example = absl::StrCat("occupant ", occupant, " heard ", number, " after ", furthest,
                                       ", occupant ", reference, " before it");
      }
    }
  }
}

}  // namespace rookery::load
