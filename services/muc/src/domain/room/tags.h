#pragma once

#include <string>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// 16 bytes that only this service can make: of a purpose, the room and some data. Whoever owns the room
/// makes the same of the same.
std::string TagOf(const Turn& turn, std::string_view purpose, std::string_view data);

}  // namespace rookery::muc
