#include "slots.h"

#include <array>
#include <charconv>

namespace rookery::redis {
namespace {

// CRC-16/XMODEM: polynomial 0x1021, starting at 0.
constexpr std::array<std::uint16_t, 256> MakeTable() {
  std::array<std::uint16_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}

constexpr std::array<std::uint16_t, 256> kTable = MakeTable();

template <typename T>
bool ParseNumber(std::string_view text, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::uint32_t SlotOf(std::string_view key) {
  if (const std::size_t open = key.find('{'); open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  std::uint16_t crc = 0;
  for (const char c : key) {
    crc =
        static_cast<std::uint16_t>((crc << 8) ^ kTable[((crc >> 8) ^ static_cast<unsigned char>(c)) & 0xff]);
  }
  return crc % kSlots;
}

Redirect ParseRedirect(std::string_view text, std::string_view asked_host) {
  const std::size_t first = text.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : text.find(' ', first + 1);
  if (second == std::string_view::npos) return {};
  Redirect redirect;
  if (!ParseNumber(text.substr(first + 1, second - first - 1), &redirect.slot) || redirect.slot >= kSlots)
    return {};
  const std::string_view address = text.substr(second + 1);
  // An empty host: the same that was asked.
  redirect.address =
      address.starts_with(':') ? std::string(asked_host) + std::string(address) : std::string(address);
  std::string host;
  std::uint16_t port = 0;
  if (!SplitAddress(redirect.address, &host, &port)) return {};
  return redirect;
}

bool SplitAddress(std::string_view address, std::string* host, std::uint16_t* port) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view name = address.substr(0, colon);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
  *host = std::string(name);
  return ParseNumber(address.substr(colon + 1), port) && *port != 0;
}

}  // namespace rookery::redis
