#pragma once

#include <cstdint>

#include "domain/room/turn.h"

namespace rookery::muc {

/// XEP-0502: counts a message to all that has a body and corrects no other one.
void CountMessage(Turn& turn);
/// Messages in each hour of the last day, about.
double MessagesPerHour(const Room& room, std::int64_t now_ms);

}  // namespace rookery::muc
