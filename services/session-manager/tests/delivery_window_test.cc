#include "domain/delivery_window.h"

#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

TEST(DeliveryWindow, EmptyCursorIsTheNextOffset) {
  DeliveryWindow window;
  window.Start(7);
  EXPECT_EQ(window.cursor(), 7);
  EXPECT_EQ(window.next_offset(), 7);
  EXPECT_EQ(window.size(), 0u);
}

TEST(DeliveryWindow, CursorStaysAtTheOldestUnfinishedRecord) {
  DeliveryWindow window;
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

TEST(DeliveryWindow, EachHoldKeepsTheRecord) {
  DeliveryWindow window;
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

TEST(DeliveryWindow, GapsInOffsetsAreFound) {
  // Transactions and compaction leave holes in a partition.
  DeliveryWindow window;
  window.Start(10);
  for (const int offset : {12, 13, 20, 40}) window.Add(offset);
  EXPECT_EQ(window.cursor(), 12);
  window.Release(20);
  window.Release(13);
  window.Release(12);
  EXPECT_EQ(window.cursor(), 40);
  EXPECT_EQ(window.next_offset(), 41);
}

TEST(DeliveryWindow, WhatIsNotThereIsIgnored) {
  DeliveryWindow window;
  window.Start(10);
  window.Add(10);
  window.Hold(3);
  window.Release(3);
  window.Release(99);
  EXPECT_EQ(window.cursor(), 10);
}

TEST(DeliveryWindow, StartForgets) {
  DeliveryWindow window;
  window.Start(0);
  window.Add(0);
  window.Start(100);
  EXPECT_EQ(window.cursor(), 100);
}

}  // namespace
}  // namespace rookery::session_manager
