#pragma once

#include <cstddef>

#include "domain/room/turn.h"

namespace rookery::muc {

/// Changes that concern many occupants at once, each of whom others hear of: as many of them are made with
/// one record as it may lead to, and the rest with records of the room's own (events.v1.RoomPrompt).

/// Stanzas to single recipients that one record leads to, about.
inline constexpr std::size_t kMaxDeliveries = 50'000;

/// Begins it, and makes as much of it as this record may lead to. One of its kind, domain and account that
/// has not ended begins anew.
void Begin(Turn& turn, v1::Unfinished unfinished);
/// The next part of what has not ended.
void GoOn(Turn& turn);

}  // namespace rookery::muc
