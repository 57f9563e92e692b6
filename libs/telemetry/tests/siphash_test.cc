#include "siphash.h"

#include <gtest/gtest.h>

#include <string>

namespace rookery::telemetry {
namespace {

// Key 00..0f, messages 00..n-1: from the table of the reference implementation.
TEST(SipHash, AgreesWithTheReference) {
  const std::array<std::uint64_t, 2> key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  std::string text;
  EXPECT_EQ(SipHash(key, text), 0x726fdb47dd0e0e31ULL);
  text.push_back('\0');
  EXPECT_EQ(SipHash(key, text), 0x74f839c593dc67fdULL);
  for (char c = 1; c < 15; ++c) text.push_back(c);
  // The example in the paper's appendix: 15 bytes.
  EXPECT_EQ(SipHash(key, text), 0xa129ca6149be45e5ULL);
}

}  // namespace
}  // namespace rookery::telemetry
