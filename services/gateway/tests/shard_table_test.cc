#include "domain/shard_table.h"

#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

TEST(ShardTable, NobodyOwnsAnythingAtFirst) {
  ShardTable table;
  EXPECT_EQ(table.OwnerOf(0), 0u);
  table.Resize(4);
  EXPECT_EQ(table.OwnerOf(3), 0u);
  EXPECT_EQ(table.owned(), 0u);
  EXPECT_FALSE(table.Claim(4, 1, 1));
}

TEST(ShardTable, TheHigherEpochWins) {
  ShardTable table;
  table.Resize(1);
  EXPECT_TRUE(table.Claim(0, 10, 1));
  EXPECT_FALSE(table.Claim(0, 10, 1));  // said twice: no news
  EXPECT_TRUE(table.Claim(0, 20, 2));
  EXPECT_FALSE(table.Claim(0, 10, 1));  // a frozen owner wakes up
  EXPECT_EQ(table.OwnerOf(0), 2u);
  EXPECT_TRUE(table.IsStale(0, 10));
  EXPECT_FALSE(table.IsStale(0, 20));
}

TEST(ShardTable, ALinkThatBreaksOwnsNothingUntilItSaysSoAgain) {
  ShardTable table;
  table.Resize(2);
  table.Claim(0, 5, 1);
  table.Claim(1, 6, 2);
  table.DropLink(1);
  EXPECT_EQ(table.OwnerOf(0), 0u);
  EXPECT_EQ(table.OwnerOf(1), 2u);
  EXPECT_EQ(table.EpochOf(0), 5);
  EXPECT_FALSE(table.Claim(0, 4, 3));
  EXPECT_TRUE(table.Claim(0, 5, 3));  // the same owner on a new link
}

TEST(ShardTable, DisownCountsOnlyFromTheOwner) {
  ShardTable table;
  table.Resize(1);
  table.Claim(0, 5, 2);
  table.Disown(0, 1);
  EXPECT_EQ(table.OwnerOf(0), 2u);
  table.Disown(0, 2);
  EXPECT_EQ(table.OwnerOf(0), 0u);
}

}  // namespace
}  // namespace rookery::gateway
