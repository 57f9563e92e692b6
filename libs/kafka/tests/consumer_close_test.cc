// The end of a consumer whose broker is away: nothing that was asked is left without an answer, and the
// I/O thread goes on meanwhile.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <memory>
#include <optional>

#include "rookery/kafka/consumer.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::kafka {
namespace {

class NoHandler final : public ConsumerHandler {
 public:
  void OnAssigned(std::int32_t) override {}
  void OnRevoking(std::int32_t) override {}
  void OnLost(std::int32_t) override {}
  void OnRecord(const Record&) override {}
  void OnBatchEnd() override {}
};

class ConsumerCloseTest : public ::testing::Test {
 protected:
  ConsumerCloseTest() {
    Options options;
    options.brokers = {"127.0.0.1:1"};  // nobody listens there
    auto made = Consumer::Create(io_, options, "users", "group", handler_, metrics_);
    EXPECT_TRUE(made.ok());
    consumer_ = *std::move(made);
  }
  void Ask() {
    asio::co_spawn(
        io_,
        [](std::shared_ptr<Consumer> asked, std::vector<absl::StatusCode>* answers) -> Task<void> {
          const auto marks = co_await asked->Watermarks(0);
          answers->push_back(marks.status().code());
          const auto committed = co_await asked->Committed(0);
          answers->push_back(committed.status().code());
          std::vector<Consumer::Position> position{{0, 1}};
          const absl::Status commit = co_await asked->Commit(std::move(position));
          answers->push_back(commit.code());
        }(consumer_, &answers_),
        asio::detached);
  }
  /// How often the loop has turned until it was closed.
  int Close() {
    bool is_closed = false;
    asio::co_spawn(io_, consumer_->Close(std::chrono::milliseconds(0)),
                   [&](std::exception_ptr) { is_closed = true; });
    int turns = 0;
    while (!is_closed) {
      io_.restart();
      turns += static_cast<int>(io_.run_one_for(std::chrono::milliseconds(1)) == 0);
    }
    return turns;
  }

  asio::io_context io_;
  telemetry::Metrics metrics_{"test"};
  NoHandler handler_;
  std::shared_ptr<Consumer> consumer_;
  std::vector<absl::StatusCode> answers_;
};

TEST_F(ConsumerCloseTest, WhatIsAskedThenIsAnsweredCancelled_AndTheLoopTurnsMeanwhile) {
  Ask();
  io_.restart();
  io_.poll();
  ASSERT_TRUE(answers_.empty()) << "nobody can answer yet";
  EXPECT_GT(Close(), 0) << "the I/O thread was blocked";
  io_.restart();
  io_.poll();
  const std::vector<absl::StatusCode> all(3, absl::StatusCode::kCancelled);
  EXPECT_EQ(answers_, all);
  answers_.clear();
  Ask();
  io_.restart();
  io_.poll();
  EXPECT_EQ(answers_, all);
  consumer_->Seek(0, 1);
  consumer_->Pause(0);
  consumer_->Resume(0);
  consumer_->ReleaseDone(0);
  Close();
}

TEST_F(ConsumerCloseTest, DestroyedWithoutIt_WhatWasAskedIsAnswered) {
  const std::weak_ptr<Consumer> gone = consumer_;
  asio::co_spawn(
      io_,
      [](Consumer* asked, std::vector<absl::StatusCode>* answers) -> Task<void> {
        const auto marks = co_await asked->Watermarks(0);
        answers->push_back(marks.status().code());
      }(consumer_.get(), &answers_),
      asio::detached);
  io_.restart();
  io_.poll();
  consumer_.reset();
  ASSERT_TRUE(gone.expired());
  io_.restart();
  io_.poll();
  EXPECT_EQ(answers_, std::vector<absl::StatusCode>{absl::StatusCode::kCancelled});
}

}  // namespace
}  // namespace rookery::kafka
