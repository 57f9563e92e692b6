#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "kafka_fixture.h"

namespace rookery::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(KafkaTest, EnsureTopicsCreatesOnceAndTellsWhatIsThere) {
  const std::vector<TopicSpec> wanted = {{"users", 4, {{"retention.ms", "86400000"}}}, {"rooms", 2, {}}};
  const auto first = EnsureTopics(options, wanted, seconds(20));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(*first, (std::vector<int>{4, 2}));
  // A topic that exists keeps its partitions, whatever is asked for.
  const auto second = EnsureTopics(options, {{"rooms", 16, {}}, {"users", 1, {}}}, seconds(20));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(*second, (std::vector<int>{2, 4}));
}

TEST_F(KafkaTest, EnsureTopicsSaysWhatIsWrong) {
  const auto config = EnsureTopics(options, {{"x", 1, {{"no.such.setting", "1"}}}}, seconds(20));
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << config.status();
  Options nobody = options;
  nobody.brokers = {"127.0.0.1:1"};
  nobody.properties = {"log_level=0"};
  EXPECT_EQ(EnsureTopics(nobody, {{"x", 1, {}}}, milliseconds(500)).status().code(),
            absl::StatusCode::kUnavailable);
  Options wrong = options;
  wrong.properties = {"no.such.property=1"};
  EXPECT_EQ(EnsureTopics(wrong, {{"x", 1, {}}}, seconds(1)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(KafkaTest, EnsureTopicsRefusesOneThatTakesTooSmallRecords_AndSaysWhichSettings) {
  const auto small = EnsureTopics(options, {{"users", 1, {{"max.message.bytes", "200000"}}}}, seconds(20));
  EXPECT_EQ(small.status().code(), absl::StatusCode::kFailedPrecondition) << small.status();
  for (const char* part : {"users", "max.message.bytes", "200000", "kafka.max-record-bytes"})
    EXPECT_NE(small.status().ToString().find(part), std::string::npos) << small.status();
  options.max_record_bytes = 150'000;
  EXPECT_TRUE(EnsureTopics(options, {{"users", 1, {}}}, seconds(20)).ok());
}

TEST_F(KafkaTest, ARecordThatIsTooLargeComesBack_ThoseAroundItAreAppended) {
  options.max_record_bytes = 150'000;
  ASSERT_TRUE(EnsureTopics(options, {{"users", 1, {{"max.message.bytes", "160000"}}}}, seconds(20)).ok());
  const auto producer = MakeProducer();
  const std::string large(200'000, 'x');
  absl::Status refused;
  int appended = 0;
  for (int i = 0; i < 100; ++i)
    producer->Append("users", 0, "k", std::string(10'000, 'a'),
                     [&](const auto& offset) { appended += offset.ok(); });
  producer->Append("users", 0, "its key", large, [&](const auto& offset) { refused = offset.status(); });
  for (int i = 0; i < 100; ++i)
    producer->Append("users", 0, "k", std::string(10'000, 'b'),
                     [&](const auto& offset) { appended += offset.ok(); });
  ASSERT_TRUE(Until([&] { return appended == 200 && !refused.ok(); })) << appended << " " << refused;
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  ASSERT_TRUE(RefusedRecord(refused).has_value());
  EXPECT_EQ(RefusedRecord(refused)->key, "its key");
  EXPECT_EQ(RefusedRecord(refused)->value, large);
  EXPECT_EQ(producer->in_flight().bytes(), 0u);
}

TEST_F(KafkaTest, WhatIsPurgedIsAborted_WhatComesLaterIsAppended) {
  MakeTopic("users", 2);
  const auto producer = MakeProducer();
  int aborted = 0, appended = 0;
  for (int i = 0; i < 1'000; ++i)
    producer->Append("users", i % 2, "k", std::to_string(i), [&](const auto& offset) {
      ++(offset.ok() ? appended : aborted);
      EXPECT_TRUE(offset.ok() || absl::IsAborted(offset.status())) << offset.status();
    });
  producer->Purge();
  EXPECT_EQ(aborted, 0) << "not from within the call";
  int later = 0;
  for (int i = 0; i < 100; ++i)
    producer->Append("users", i % 2, "k", "later", [&](const auto& offset) { later += offset.ok(); });
  ASSERT_TRUE(Until([&] { return aborted + appended == 1'000 && later == 100; }));
  EXPECT_GT(aborted, 0);
  EXPECT_EQ(producer->in_flight().records(), 0u);
  EXPECT_EQ(producer->in_flight().bytes(), 0u);
}

TEST_F(KafkaTest, AppendsInOrderAndTellsOffsets) {
  constexpr int kRecords = 50'000;
  constexpr int kPartitions = 4;
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  std::vector<std::vector<std::int64_t>> offsets(kPartitions);
  int appended = 0;
  int next = 0;
  // As a service does: some at a time, the loop in between.
  const auto begin = std::chrono::steady_clock::now();
  while (next < kRecords) {
    for (int i = 0; i < 500 && next < kRecords; ++i, ++next) {
      const int partition = next % kPartitions;
      producer->Append("users", partition, "key", std::to_string(next),
                       [&, partition](absl::StatusOr<std::int64_t> offset) {
                         ASSERT_TRUE(offset.ok()) << offset.status();
                         offsets[static_cast<std::size_t>(partition)].push_back(*offset);
                         ++appended;
                       });
    }
    io.restart();
    io.poll();
  }
  ASSERT_TRUE(Until([&] { return appended == kRecords; }));
  EXPECT_EQ(producer->in_flight().records(), 0u);
  const auto took = std::chrono::steady_clock::now() - begin;
  RecordProperty("append_milliseconds", static_cast<int>(took / milliseconds(1)));
  for (const auto& list : offsets) {
    std::vector<std::int64_t> expected(kRecords / kPartitions);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(list, expected);
  }

  Member reader(io, options, "users", "");
  reader.seek_at_once = false;
  ASSERT_TRUE(Until([&] { return reader.owned.size() == kPartitions; }));
  for (int i = 0; i < kPartitions; ++i) reader.consumer->Seek(i, 0);
  ASSERT_TRUE(Until([&] { return reader.total() == kRecords; })) << reader.total();
  for (int partition = 0; partition < kPartitions; ++partition) {
    const auto& values = reader.values[partition];
    ASSERT_EQ(values.size(), static_cast<std::size_t>(kRecords / kPartitions));
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(values[i], std::to_string(static_cast<int>(i) * kPartitions + partition));
    }
  }
  AwaitDone(reader.consumer->Close(seconds(5)));
}

TEST_F(KafkaTest, RefusedRecordsAreToldAndLaterOnesGoOn) {
  MakeTopic("users", 1);
  const auto producer = MakeProducer();
  std::vector<absl::StatusCode> codes;
  const auto note = [&](absl::StatusOr<std::int64_t> offset) { codes.push_back(offset.status().code()); };
  producer->Append("users", 0, "", "first", note);
  ASSERT_TRUE(Until([&] { return codes.size() == 1; }));
  producer->Append("users", 0, "", std::string(2 << 20, 'x'), note);
  EXPECT_EQ(codes.size(), 1u) << "answered before the call returned";
  producer->Append("users", 7, "", "no such partition", note);
  producer->Append("users", 0, "", "last", note);
  ASSERT_TRUE(Until([&] { return codes.size() == 4; }));
  std::sort(codes.begin(), codes.end());
  EXPECT_EQ(codes,
            (std::vector<absl::StatusCode>{absl::StatusCode::kOk, absl::StatusCode::kOk,
                                           absl::StatusCode::kInvalidArgument, absl::StatusCode::kNotFound}));
  EXPECT_EQ(producer->in_flight().records(), 0u);
}

TEST_F(KafkaTest, FlushWaitsForEverythingOrTellsThatItCannot) {
  MakeTopic("users", 2);
  const auto producer = MakeProducer();
  EXPECT_TRUE(Await(producer->Flush(milliseconds(0)))->ok());
  int appended = 0;
  for (int i = 0; i < 1'000; ++i) {
    producer->Append("users", i % 2, "", "x", [&](const auto& offset) { appended += offset.ok() ? 1 : 0; });
  }
  EXPECT_TRUE(Await(producer->Flush(seconds(20)))->ok());
  EXPECT_EQ(appended, 1'000);

  int flushed = 0;
  for (int i = 0; i < 100; ++i) producer->Append("users", i % 2, "", "x", nullptr);
  for (int i = 0; i < 2; ++i) {
    asio::co_spawn(io, producer->Flush(seconds(20)), [&](std::exception_ptr, absl::Status status) {
      EXPECT_TRUE(status.ok()) << status;
      ++flushed;
    });
  }
  EXPECT_TRUE(Until([&] { return flushed == 2; }));

  Options nobody = options;
  nobody.brokers = {"127.0.0.1:1"};
  nobody.properties = {"log_level=0"};
  auto lonely = Producer::Create(io, nobody, metrics);
  ASSERT_TRUE(lonely.ok());
  (*lonely)->Append("users", 0, "", "x", nullptr);
  EXPECT_EQ(Await((*lonely)->Flush(milliseconds(300)))->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ((*lonely)->in_flight().records(), 1u);
}

TEST_F(KafkaTest, BrokerKilledInTheMiddleLosesAndDoublesNothing) {
  constexpr int kRecords = 20'000;
  constexpr int kPartitions = 2;
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  std::vector<std::vector<int>> confirmed(kPartitions);
  int appended = 0;
  bool killed = false;
  bool restarted = false;
  for (int next = 0; next < kRecords;) {
    for (int i = 0; i < 50 && next < kRecords; ++i, ++next) {
      producer->Append("users", next % kPartitions, "", std::to_string(next), [&, next](const auto& offset) {
        ASSERT_TRUE(offset.ok()) << offset.status();
        confirmed[next % kPartitions].push_back(next);
        ++appended;
      });
    }
    io.restart();
    io.run_for(milliseconds(5));
    if (next > kRecords / 4 && appended > 0 && !killed) {
      killed = true;
      testing::KafkaServer::Shared().Kill();
    }
    if (killed && !restarted && next > kRecords * 3 / 4) {
      restarted = true;
      testing::KafkaServer::Shared().Launch();
    }
  }
  ASSERT_TRUE(restarted);
  ASSERT_TRUE(Until([&] { return appended == kRecords; }, seconds(60)));
  Member reader(io, options, "users", "");
  reader.seek_at_once = false;
  ASSERT_TRUE(Until([&] { return reader.owned.size() == kPartitions; }));
  for (int i = 0; i < kPartitions; ++i) reader.consumer->Seek(i, 0);
  ASSERT_TRUE(Until([&] { return reader.total() >= kRecords; })) << reader.total();
  for (int partition = 0; partition < kPartitions; ++partition) {
    EXPECT_TRUE(std::is_sorted(confirmed[partition].begin(), confirmed[partition].end()));
    const auto& values = reader.values[partition];
    ASSERT_EQ(values.size(), static_cast<std::size_t>(kRecords / kPartitions));
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(values[i], std::to_string(static_cast<int>(i) * kPartitions + partition));
    }
  }
}

}  // namespace
}  // namespace rookery::kafka
