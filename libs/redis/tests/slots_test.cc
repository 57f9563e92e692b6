#include "slots.h"

#include <gtest/gtest.h>

namespace rookery::redis {
namespace {

// As `redis-cli CLUSTER KEYSLOT` says.
TEST(Slots, OfKeys) {
  EXPECT_EQ(SlotOf("123456789"), 12739u);  // CRC16 0x31c3
  EXPECT_EQ(SlotOf("foo"), 12182u);
  EXPECT_EQ(SlotOf(""), 0u);
}

TEST(Slots, HashTags) {
  EXPECT_EQ(SlotOf("{user1000}.following"), SlotOf("user1000"));
  EXPECT_EQ(SlotOf("a{foo}b{bar}"), SlotOf("foo"));
  EXPECT_EQ(SlotOf("foo{}{bar}"), SlotOf("foo{}{bar}"));
  EXPECT_NE(SlotOf("foo{}{bar}"), SlotOf("bar"));
  EXPECT_EQ(SlotOf("foo{{bar}}zap"), SlotOf("{bar"));
  EXPECT_NE(SlotOf("{open"), SlotOf("open"));
}

TEST(Slots, Redirects) {
  const Redirect moved = ParseRedirect("MOVED 3999 127.0.0.1:6381", "asked");
  EXPECT_EQ(moved.slot, 3999u);
  EXPECT_EQ(moved.address, "127.0.0.1:6381");
  EXPECT_EQ(ParseRedirect("ASK 1 :6381", "asked").address, "asked:6381");
  for (const char* bad : {"MOVED", "MOVED 1", "MOVED x 1.2.3.4:5", "MOVED 16384 1.2.3.4:5", "MOVED 1 nowhere",
                          "MOVED 1 host:0", "MOVED 1 host:65536", "MOVED 1 host:12x"}) {
    EXPECT_EQ(ParseRedirect(bad, "asked").slot, kSlots) << bad;
  }
}

TEST(Slots, Addresses) {
  std::string host;
  std::uint16_t port = 0;
  EXPECT_TRUE(SplitAddress("redis.example:6379", &host, &port));
  EXPECT_EQ(host, "redis.example");
  EXPECT_EQ(port, 6379);
  EXPECT_TRUE(SplitAddress("[::1]:1", &host, &port));
  EXPECT_EQ(host, "::1");
  EXPECT_TRUE(SplitAddress("::1:7000", &host, &port));
  EXPECT_EQ(host, "::1");
  EXPECT_FALSE(SplitAddress("redis", &host, &port));
  EXPECT_FALSE(SplitAddress(":1", &host, &port));
}

}  // namespace
}  // namespace rookery::redis
