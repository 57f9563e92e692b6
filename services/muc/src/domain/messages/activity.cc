#include "domain/messages/activity.h"

#include <algorithm>

#include "domain/room/occupant_message.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr int kHours = 24;

}  // namespace

void CountMessage(Turn& turn) {
  if (!xmpp::Has(turn.stanza, common::v1::STANZA_TRAIT_BODY) || MayHold(turn.stanza, xmpp::ns::kCorrection))
    return;
  const std::int64_t hour = turn.now_ms / kHourMs;
  v1::ActivityCount& activity = *turn.room.ChangeState().mutable_activity();
  auto& counts = *activity.mutable_messages();
  if (counts.empty() || hour - activity.hour() >= kHours) {
    counts.Clear();
    counts.Add(0);
    activity.set_hour(hour);
  }
  for (; activity.hour() < hour; activity.set_hour(activity.hour() + 1)) counts.Add(0);
  if (counts.size() > kHours) counts.erase(counts.begin(), counts.end() - kHours);
  // It may have been received an hour earlier than one that is applied before it.
  const std::int64_t index = counts.size() - 1 - (activity.hour() - hour);
  if (index >= 0) counts[static_cast<int>(index)] += 1;
}

double MessagesPerHour(const Room& room, std::int64_t now_ms) {
  const v1::ActivityCount& activity = room.state().activity();
  const std::int64_t hour = now_ms / kHourMs;
  double sum = 0;
  for (int i = 0; i < activity.messages_size(); ++i) {
    const std::int64_t counted = activity.hour() - (activity.messages_size() - 1 - i);
    if (counted > hour - kHours) sum += activity.messages(i);
  }
  const double of_this_hour = static_cast<double>(now_ms % kHourMs) / kHourMs;
  return sum / (kHours - 1 + of_this_hour);
}

}  // namespace rookery::muc
