#include "rookery/events/homes.h"

#include <gtest/gtest.h>

namespace rookery::events {
namespace {

class HomesTest : public ::testing::Test {
 protected:
  const Homes homes_{{"localhost", "example.org"}, Topology({8, 4, 16, 2})};
};

TEST_F(HomesTest, AccountsAreInUsers_WhateverTheResource) {
  const auto bare = homes_.HomeOf("ann@localhost");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->service, Service::kAccounts);
  EXPECT_EQ(bare->topic, Topic::kUsers);
  EXPECT_EQ(bare->partition, homes_.ShardOfAccount("ann@localhost"));
  EXPECT_LT(bare->partition, 8u);
  EXPECT_EQ(homes_.HomeOf("ann@localhost/a/b@c")->partition, bare->partition);
}

TEST_F(HomesTest, RoomsAreInRooms) {
  const auto room = homes_.HomeOf("hall@conference.example.org/nick");
  ASSERT_TRUE(room);
  EXPECT_EQ(room->service, Service::kMuc);
  EXPECT_EQ(room->topic, Topic::kRooms);
  EXPECT_LT(room->partition, 4u);
}

TEST_F(HomesTest, AServicesOwnAddressHasAHome) {
  EXPECT_EQ(homes_.HomeOf("conference.localhost")->topic, Topic::kRooms);
  EXPECT_EQ(homes_.HomeOf("search.localhost")->topic, Topic::kMessages);
}

TEST_F(HomesTest, OtherDomainsHaveNone_NorHasAVirtualHost) {
  EXPECT_FALSE(homes_.HomeOf("ann@elsewhere.org"));
  EXPECT_FALSE(homes_.HomeOf("conference.elsewhere.org"));
  EXPECT_FALSE(homes_.HomeOf("localhost"));
  EXPECT_FALSE(homes_.HomeOf(""));
  EXPECT_FALSE(homes_.ServiceOf("a.b.localhost"));
  EXPECT_FALSE(homes_.ServiceOf("other.localhost"));
}

TEST_F(HomesTest, ServicesOfADomain) {
  EXPECT_EQ(homes_.ServiceOf("example.org"), Service::kAccounts);
  EXPECT_EQ(homes_.ServiceOf("conference.example.org"), Service::kMuc);
  EXPECT_EQ(homes_.ServiceOf("search.example.org"), Service::kSearch);
}

}  // namespace
}  // namespace rookery::events
