#include "rookery/kafka/producer.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

// Answers that a real broker can hardly be made to give, from librdkafka's mock broker.
namespace rookery::kafka {
namespace {

constexpr std::int16_t kProduce = 0;

class ProducerTest : public ::testing::Test {
 protected:
  ProducerTest() {
    char text[256];
    host_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    brokers_ = rd_kafka_mock_cluster_new(host_, 1);
    rd_kafka_mock_topic_create(brokers_, "t.users", 2, 1);
    options_.brokers = {rd_kafka_mock_cluster_bootstraps(brokers_)};
    options_.topic_prefix = "t.";
  }
  ~ProducerTest() override {
    producer_.reset();
    rd_kafka_mock_cluster_destroy(brokers_);
    rd_kafka_destroy(host_);
  }

  void Make() {
    auto made = Producer::Create(io_, options_, metrics_);
    ASSERT_TRUE(made.ok()) << made.status();
    producer_ = *std::move(made);
  }
  void Append(int partition) {
    producer_->Append("users", partition, "k", "v",
                      [this](const auto& offset) { answers_.push_back(offset.status().code()); });
  }
  /// A partition has lost what it had confirmed: the producer's next records follow on nothing.
  void LoseTheEndOfTheLog() {
    rd_kafka_mock_push_request_errors(brokers_, kProduce, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  }
  bool Until(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      if (std::chrono::steady_clock::now() >= limit) return false;
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }

  rd_kafka_t* host_ = nullptr;
  rd_kafka_mock_cluster_t* brokers_ = nullptr;
  Options options_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  telemetry::Metrics metrics_{"test"};
  std::unique_ptr<Producer> producer_;
  std::vector<absl::StatusCode> answers_;
  std::size_t known_ = 0;
};

TEST_F(ProducerTest, AFatalErrorIsTold_WhatIsUnderWayIsAborted_WhatComesLaterIsAppended) {
  Make();
  int told = 0;
  producer_->OnBroken([&] {
    ++told;
    EXPECT_EQ(answers_.size(), known_) << "what is under way is not answered with what the client says of it";
    producer_->Purge();
  });
  Append(0);
  ASSERT_TRUE(Until([&] { return answers_.size() == 1; }));
  EXPECT_EQ(answers_[0], absl::StatusCode::kOk);

  known_ = answers_.size();
  LoseTheEndOfTheLog();
  Append(0);
  Append(1);
  ASSERT_TRUE(Until([&] { return told == 1; }));
  Append(0);
  ASSERT_TRUE(Until([&] { return answers_.size() == 4; })) << answers_.size();
  EXPECT_EQ(answers_[1], absl::StatusCode::kAborted);
  EXPECT_EQ(answers_[2], absl::StatusCode::kAborted);
  EXPECT_EQ(answers_[3], absl::StatusCode::kOk);
  EXPECT_EQ(producer_->in_flight().records(), 0u);
  EXPECT_EQ(told, 1);

  // And once more.
  known_ = answers_.size();
  LoseTheEndOfTheLog();
  Append(1);
  ASSERT_TRUE(Until([&] { return answers_.size() == 5; }));
  EXPECT_EQ(answers_[4], absl::StatusCode::kAborted);
  Append(1);
  ASSERT_TRUE(Until([&] { return answers_.size() == 6; }));
  EXPECT_EQ(answers_[5], absl::StatusCode::kOk);
  EXPECT_EQ(told, 2);
}

TEST_F(ProducerTest, PurgedTwiceBeforeTheLoopTurns_EveryRecordIsAnswered) {
  Make();
  Append(0);
  producer_->Purge();
  Append(0);
  producer_->Purge();
  ASSERT_TRUE(Until([&] { return answers_.size() == 2; }));
  for (const absl::StatusCode code : answers_) EXPECT_EQ(code, absl::StatusCode::kAborted);
  EXPECT_EQ(producer_->in_flight().records(), 0u);
}

using ProducerDeathTest = ProducerTest;

TEST_F(ProducerDeathTest, AClientThatHasAppendedNothingWouldFailAgain_SoTheProcessEnds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto fail = [&] {
    Make();
    producer_->OnBroken([] {});
    LoseTheEndOfTheLog();
    Append(0);
    Until([] { return false; });
  };
  EXPECT_EXIT(fail(), ::testing::KilledBySignal(SIGABRT), "");
}

TEST_F(ProducerDeathTest, WhoIsToldAnAnswerAndThrows_EndsTheProcess_SinceNobodyElseWouldBeTold) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto fail = [&] {
    Make();
    producer_->Append("users", 0, "k", "v", [](const auto&) { throw std::runtime_error("half-way"); });
    Until([] { return false; });
  };
  EXPECT_EXIT(fail(), ::testing::KilledBySignal(SIGABRT), "");
}

}  // namespace
}  // namespace rookery::kafka
