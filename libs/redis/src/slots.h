#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rookery::redis {

inline constexpr std::uint32_t kSlots = 16384;

/// The slot of a key: CRC16 of the part between the first `{` and the next `}`, if
/// there is anything between them, else of the whole key.
std::uint32_t SlotOf(std::string_view key);

/// The content of a MOVED or ASK error; slot is kSlots when the text is not of that form.
struct Redirect {
  std::uint32_t slot = kSlots;
  std::string address;
};
Redirect ParseRedirect(std::string_view text, std::string_view asked_host);

/// `host:port`, `[v6]:port` or, as Redis writes it, `v6:port`. An empty host or a
/// wrong port gives false.
bool SplitAddress(std::string_view address, std::string* host, std::uint16_t* port);

}  // namespace rookery::redis
