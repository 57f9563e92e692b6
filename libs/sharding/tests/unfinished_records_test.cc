#include "rookery/sharding/unfinished_records.h"

#include <gtest/gtest.h>

namespace rookery::sharding {
namespace {

TEST(UnfinishedRecords, EmptyCursorIsTheNextOffset) {
  UnfinishedRecords window;
  window.Start(7);
  EXPECT_EQ(window.cursor(), 7);
  EXPECT_EQ(window.next_offset(), 7);
  EXPECT_EQ(window.size(), 0u);
}

TEST(UnfinishedRecords, CursorStaysAtTheOldestUnfinishedRecord) {
  UnfinishedRecords window;
  window.Start(0);
  for (int offset = 0; offset < 4; ++offset) window.Add(offset);
  window.Release(1);
  window.Release(2);
  EXPECT_EQ(window.cursor(), 0);
  window.Release(0);
  EXPECT_EQ(window.cursor(), 3);
  window.Release(3);
  EXPECT_EQ(window.cursor(), 4);
}

TEST(UnfinishedRecords, EachHoldKeepsTheRecord) {
  UnfinishedRecords window;
  window.Start(5);
  window.Add(5);
  window.Hold(5);
  window.Hold(5);
  window.Release(5);
  window.Release(5);
  EXPECT_EQ(window.cursor(), 5);
  window.Release(5);
  EXPECT_EQ(window.cursor(), 6);
}

TEST(UnfinishedRecords, GapsInOffsetsAreFound) {
  // Transactions and compaction leave holes in a partition.
  UnfinishedRecords window;
  window.Start(10);
  for (const int offset : {12, 13, 20, 40}) window.Add(offset);
  EXPECT_EQ(window.cursor(), 12);
  window.Release(20);
  window.Release(13);
  window.Release(12);
  EXPECT_EQ(window.cursor(), 40);
  EXPECT_EQ(window.next_offset(), 41);
}

TEST(UnfinishedRecords, WhatIsNotThereIsIgnored) {
  UnfinishedRecords window;
  window.Start(10);
  window.Add(10);
  window.Hold(3);
  window.Release(3);
  window.Release(99);
  EXPECT_EQ(window.cursor(), 10);
}

TEST(UnfinishedRecords, CountsAndWeighsTheUnfinishedOnly) {
  UnfinishedRecords window;
  window.Start(0);
  for (int offset = 0; offset < 3; ++offset) window.Add(offset, 100);
  window.Release(1);
  EXPECT_EQ(window.size(), 2u);
  EXPECT_EQ(window.bytes(), 200u);
  window.Release(0);
  window.Release(2);
  EXPECT_EQ(window.size(), 0u);
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(UnfinishedRecords, AFinishedRecordStaysFinished) {
  UnfinishedRecords window;
  window.Start(0);
  window.Add(0);
  window.Add(1);
  window.Release(1);
  // Whoever holds it so late releases it too.
  window.Hold(1);
  window.Release(1);
  EXPECT_EQ(window.cursor(), 0);
  EXPECT_EQ(window.size(), 1u);
  window.Release(0);
  EXPECT_EQ(window.cursor(), 2);
}

TEST(UnfinishedRecords, OneStuckRecordKeepsNoRoomForMillionsBehindIt) {
  UnfinishedRecords window;
  window.Start(0);
  window.Add(0);
  for (std::int64_t offset = 1; offset < 1'000'000; ++offset) {
    window.Add(offset);
    window.Release(offset);
  }
  EXPECT_EQ(window.cursor(), 0);
  EXPECT_EQ(window.size(), 1u);
  EXPECT_LT(window.kept(), 2'000u);
  window.Hold(0);
  window.Release(0);
  EXPECT_EQ(window.cursor(), 0);
  window.Release(0);
  EXPECT_EQ(window.cursor(), 1'000'000);
}

TEST(UnfinishedRecords, ManyStuckAmongManyFinished_EachIsFound) {
  UnfinishedRecords window;
  window.Start(0);
  for (std::int64_t offset = 0; offset < 10'000; ++offset) {
    window.Add(offset, 1);
    if (offset % 10 != 0) window.Release(offset);
  }
  EXPECT_EQ(window.size(), 1'000u);
  EXPECT_EQ(window.bytes(), 1'000u);
  for (std::int64_t offset = 9'990; offset > 0; offset -= 10) {
    window.Release(offset);
    EXPECT_EQ(window.cursor(), 0);
  }
  window.Release(0);
  EXPECT_EQ(window.cursor(), 10'000);
}

TEST(UnfinishedRecords, StartForgets) {
  UnfinishedRecords window;
  window.Start(0);
  window.Add(0);
  window.Start(100);
  EXPECT_EQ(window.cursor(), 100);
}

}  // namespace
}  // namespace rookery::sharding
