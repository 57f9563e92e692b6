#include "domain/inbound_window.h"

#include <gtest/gtest.h>

#include <vector>

namespace rookery::gateway {
namespace {

std::vector<std::string> Confirmed(InboundWindow& window, std::uint64_t count) {
  std::vector<std::string> forgotten;
  window.Confirm(count, [&](const InboundWindow::Entry& entry) { forgotten.push_back(entry.bytes); });
  return forgotten;
}

TEST(InboundWindow, CountsFromOne) {
  InboundWindow window;
  EXPECT_EQ(window.next_count(), 1u);
  window.Add("a", {});
  EXPECT_EQ(window.received(), 1u);
  EXPECT_EQ(window.next_count(), 2u);
}

TEST(InboundWindow, KeepsUntilConfirmed) {
  InboundWindow window;
  for (const char* text : {"a", "bb", "ccc"}) window.Add(text, {});
  EXPECT_EQ(window.unconfirmed_bytes(), 6 + 3 * sizeof(InboundWindow::Entry));
  EXPECT_EQ(Confirmed(window, 2), (std::vector<std::string>{"a", "bb"}));
  EXPECT_EQ(window.confirmed(), 2u);
  EXPECT_EQ(window.unconfirmed_bytes(), 3 + sizeof(InboundWindow::Entry));
  ASSERT_EQ(window.unconfirmed().size(), 1u);
  EXPECT_EQ(window.unconfirmed()[0].bytes, "ccc");
}

TEST(InboundWindow, ConfirmationsMayRepeatAndComeLate) {
  InboundWindow window;
  for (const char* text : {"a", "b", "c"}) window.Add(text, {});
  Confirmed(window, 3);
  EXPECT_TRUE(Confirmed(window, 3).empty());
  EXPECT_TRUE(Confirmed(window, 1).empty());
  EXPECT_EQ(window.confirmed(), 3u);
}

TEST(InboundWindow, ACountThatWasNeverReachedConfirmsNoMoreThanThereIs) {
  InboundWindow window;
  window.Add("a", {});
  Confirmed(window, 1000);
  EXPECT_EQ(window.confirmed(), 1u);
  EXPECT_EQ(window.next_count(), 2u);
}

TEST(InboundWindow, GoesOnWhereAResumedSessionWas) {
  InboundWindow window;
  window.Restore(41);
  EXPECT_EQ(window.next_count(), 42u);
  EXPECT_EQ(window.confirmed(), 41u);
}

TEST(Ring, KeepsOrderOverManyTurns) {
  Ring<int> ring;
  int next = 0;
  int first = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 7; ++i) ring.PushBack(next++);
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(ring.front(), first++);
      ring.PopFront();
    }
  }
  for (std::size_t i = 0; i < ring.size(); ++i) EXPECT_EQ(ring[i], first + static_cast<int>(i));
}

}  // namespace
}  // namespace rookery::gateway
