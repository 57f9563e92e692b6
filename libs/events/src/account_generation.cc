#include "rookery/events/account_generation.h"

#include "rookery/base/random.h"

namespace rookery::events {

namespace {

constexpr int kTimeShift = 32, kTagShift = 20;
constexpr std::uint64_t kTag = 0xA6E, kTagMask = 0xFFF;
constexpr std::uint64_t kRandomMask = (std::uint64_t{1} << kTagShift) - 1;

}  // namespace

std::uint64_t MakeAccountGeneration(std::int64_t now_ms) {
  return static_cast<std::uint64_t>(now_ms / 1'000) << kTimeShift | kTag << kTagShift |
         (RandomU64() & kRandomMask);
}

std::optional<std::int64_t> AccountMadeAtMs(std::uint64_t account_generation) {
  if ((account_generation >> kTagShift & kTagMask) != kTag) return std::nullopt;
  return static_cast<std::int64_t>(account_generation >> kTimeShift) * 1'000;
}

}  // namespace rookery::events
