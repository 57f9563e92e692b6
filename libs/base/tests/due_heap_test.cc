#include "rookery/base/due_heap.h"

#include <gtest/gtest.h>

#include <memory>

namespace rookery {
namespace {

SteadyTime At(int seconds) { return SteadyTime{} + std::chrono::seconds(seconds); }

TEST(DueHeap, GivesTheSoonestFirstAndNothingBeforeItsTime) {
  DueHeap<int> heap;
  for (const int second : {30, 10, 20}) heap.Push(At(second), second);
  EXPECT_EQ(heap.Pop(At(9)), std::nullopt);
  EXPECT_EQ(heap.Pop(At(20)), 10);
  EXPECT_EQ(heap.Pop(At(20)), 20);
  EXPECT_EQ(heap.Pop(At(20)), std::nullopt);
  EXPECT_EQ(heap.size(), 1u);
}

TEST(DueHeap, GivesWhatIsNotDueToWhoDoesNotAskForTheTime) {
  DueHeap<std::unique_ptr<int>> heap;
  heap.Push(At(10), std::make_unique<int>(10));
  EXPECT_EQ(**heap.Pop(SteadyTime::max()), 10);
  EXPECT_TRUE(heap.empty());
}

}  // namespace
}  // namespace rookery
