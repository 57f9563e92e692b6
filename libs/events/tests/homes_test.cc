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

TEST_F(HomesTest, ComponentsOfADomain) {
  const std::vector<Component> components = homes_.ComponentsOf("example.org");
  ASSERT_EQ(components.size(), 2u);
  EXPECT_EQ(components[0].address, "conference.example.org");
  EXPECT_EQ(components[1].address, "search.example.org");
  for (const Component& component : components)
    EXPECT_EQ(homes_.ServiceOf(component.address), component.service);
}

TEST_F(HomesTest, AServiceAndItsCallersFindTheSameHome) {
  for (const char* address : {"conference.localhost", "hall@conference.localhost/nick"}) {
    const auto home = homes_.HomeOf(address);
    const Home own = HomeWith(Service::kMuc, homes_.topology(), address);
    ASSERT_TRUE(home) << address;
    EXPECT_EQ(own.service, home->service) << address;
    EXPECT_EQ(own.topic, home->topic) << address;
    EXPECT_EQ(own.partition, home->partition) << address;
  }
  EXPECT_EQ(ShardOfAccount("ann@localhost", 8), homes_.ShardOfAccount("ann@localhost"));
}

}  // namespace
}  // namespace rookery::events
