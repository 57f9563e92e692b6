#include "address.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace rookery::net {
namespace {

asio::ip::address Address(const char* text) { return NormalAddress(asio::ip::make_address(text)); }

// A host has all addresses of its /64, and its neighbour none of them.
TEST(NetworkOf, OfIpv6IsTheSlash64) {
  const NetworkKey key = NetworkOf(Address("2001:db8:1:2::1"));
  EXPECT_EQ(NetworkOf(Address("2001:db8:1:2:ffff:ffff:ffff:ffff")), key);
  for (const char* other : {"2001:db8:1:3::1", "2001:db8:2:2::1", "2001:db9:1:2::1"})
    EXPECT_NE(NetworkOf(Address(other)), key) << other;
}

TEST(NetworkOf, OfIpv4IsTheAddress_HoweverItIsWritten) {
  const NetworkKey key = NetworkOf(Address("192.0.2.1"));
  EXPECT_EQ(NetworkOf(Address("::ffff:192.0.2.1")), key);
  EXPECT_NE(NetworkOf(Address("192.0.2.2")), key);
  EXPECT_NE(NetworkOf(Address("c000:201::1")), key) << "the same first bytes";
}

TEST(NetworkText, SaysTheSame) {
  for (const auto& [address, text] :
       {std::pair("192.0.2.1", "192.0.2.1"), std::pair("::ffff:192.0.2.1", "192.0.2.1"),
        std::pair("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")})
    EXPECT_EQ(NetworkText(Address(address)), text);
}

}  // namespace
}  // namespace rookery::net
