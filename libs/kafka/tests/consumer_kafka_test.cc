#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "kafka_fixture.h"
#include "rookery/base/clock.h"

namespace rookery::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPartitions = 6;

class ConsumerTest : public KafkaTest {
 protected:
  void AppendTo(Producer& producer, int records) {
    int appended = 0;
    for (int i = 0; i < records; ++i) {
      producer.Append("users", (sent_ + i) % kPartitions, "key", std::to_string(sent_ + i),
                      [&](const auto& offset) { appended += offset.ok() ? 1 : 0; });
    }
    sent_ += records;
    ASSERT_TRUE(Until([&] { return appended == records; }));
  }

  bool Share(const std::vector<Member*>& members, milliseconds time = seconds(30)) {
    return Until(
        [&] {
          std::set<std::int32_t> all;
          for (const Member* member : members) {
            if (member->owned.empty()) return false;
            all.insert(member->owned.begin(), member->owned.end());
          }
          return all.size() == kPartitions;
        },
        time);
  }

  // Every record of the topic, once, and in order, whoever read it.
  void ExpectAllReadOnce(const std::vector<Member*>& members) {
    for (int partition = 0; partition < kPartitions; ++partition) {
      std::vector<std::int64_t> offsets;
      for (const Member* member : members) {
        if (const auto found = member->offsets.find(partition); found != member->offsets.end()) {
          offsets.insert(offsets.end(), found->second.begin(), found->second.end());
        }
      }
      std::sort(offsets.begin(), offsets.end());
      std::vector<std::int64_t> expected(static_cast<std::size_t>(sent_ / kPartitions));
      std::iota(expected.begin(), expected.end(), 0);
      EXPECT_EQ(offsets, expected) << "partition " << partition;
    }
  }

  std::size_t TotalOf(const std::vector<Member*>& members) {
    std::size_t sum = 0;
    for (const Member* member : members) sum += member->total();
    return sum;
  }

  int sent_ = 0;
};

TEST_F(ConsumerTest, MembersShareJoinAndLeave) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  Member first(io, options, "users", "sm");
  Member second(io, options, "users", "sm");
  ASSERT_TRUE(Share({&first, &second}));
  ASSERT_TRUE(Until([&] { return first.owned.size() == 3 && second.owned.size() == 3; }));
  AppendTo(*producer, 6'000);
  ASSERT_TRUE(Until([&] { return TotalOf({&first, &second}) == 6'000; }));

  Member third(io, options, "users", "sm");
  ASSERT_TRUE(
      Until([&] { return first.owned.size() == 2 && second.owned.size() == 2 && third.owned.size() == 2; }));
  EXPECT_TRUE(first.lost.empty() && second.lost.empty());
  AppendTo(*producer, 6'000);
  ASSERT_TRUE(Until([&] { return TotalOf({&first, &second, &third}) == 12'000; }));

  // In order: nobody waits for a session time-out.
  const auto begin = std::chrono::steady_clock::now();
  AwaitDone(second.consumer->Close(seconds(5)));
  EXPECT_TRUE(second.owned.empty());
  EXPECT_TRUE(second.lost.empty());
  ASSERT_TRUE(Share({&first, &third}));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(3));
  AppendTo(*producer, 6'000);
  ASSERT_TRUE(Until([&] { return TotalOf({&first, &second, &third}) == 18'000; }));
  ExpectAllReadOnce({&first, &second, &third});

  AwaitDone(first.consumer->Close(seconds(5)));
  AwaitDone(third.consumer->Close(seconds(5)));
}

TEST_F(ConsumerTest, CommittingAllTheTimeCostsNobodyItsPartitions) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  Member first(io, options, "users", "sm");
  ASSERT_TRUE(Share({&first}));
  AppendTo(*producer, 600);
  ASSERT_TRUE(Until([&] { return first.total() == 600; }));

  bool is_done = false;
  int committed = 0;
  int put_off = 0;
  const auto commit = [&]() -> Task<void> {
    asio::steady_timer pause(io);
    while (!is_done) {
      std::vector<Consumer::Position> positions;
      for (const auto& [partition, offset] : first.next)
        if (first.owned.contains(partition)) positions.push_back({partition, offset});
      const absl::Status status = co_await first.consumer->Commit(std::move(positions));
      EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
      ++(status.ok() ? committed : put_off);
      pause.expires_after(milliseconds(2));
      co_await pause.async_wait(asio::use_awaitable);
    }
  };
  bool has_ended = false;
  asio::co_spawn(io, commit(), [&](std::exception_ptr) { has_ended = true; });

  // One joins, another one does and is killed, one leaves.
  auto second = std::make_unique<Member>(io, options, "users", "sm");
  ASSERT_TRUE(Until([&] { return first.owned.size() == 3 && second->owned.size() == 3; }));
  auto third = std::make_unique<Member>(io, options, "users", "sm");
  ASSERT_TRUE(Until(
      [&] { return first.owned.size() == 2 && second->owned.size() == 2 && third->owned.size() == 2; }));
  ASSERT_TRUE(Until([&] { return third->next.size() == 2; }));  // nothing of it is under way
  third.reset();
  ASSERT_TRUE(Share({&first, second.get()}));
  AwaitDone(second->consumer->Close(seconds(5)));
  ASSERT_TRUE(Share({&first}));
  EXPECT_TRUE(first.lost.empty());
  EXPECT_GT(committed, 100);
  EXPECT_GT(put_off, 0);
  is_done = true;
  ASSERT_TRUE(Until([&] { return has_ended; }));
  AwaitDone(first.consumer->Close(seconds(5)));
}

TEST_F(ConsumerTest, PartitionsOfAKilledMemberMoveAfterItsSession) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  Member first(io, options, "users", "sm");
  auto second = std::make_unique<Member>(io, options, "users", "sm");
  ASSERT_TRUE(Share({&first, second.get()}));
  AppendTo(*producer, 600);
  ASSERT_TRUE(Until([&] { return TotalOf({&first, second.get()}) == 600; }));
  // No word to the group: what it read and did not commit is read again.
  second.reset();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(Share({&first}));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
  ASSERT_TRUE(Until([&] { return first.total() == 600; }));
  ExpectAllReadOnce({&first});
  EXPECT_TRUE(first.lost.empty());
  AwaitDone(first.consumer->Close(seconds(5)));
}

TEST_F(ConsumerTest, FrozenMemberLosesItsPartitionsAndItsCommitIsRefused) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  asio::io_context frozen_io{1};
  Member frozen(frozen_io, options, "users", "sm");
  ASSERT_TRUE(Until(frozen_io, [&] { return frozen.owned.size() == kPartitions; }, seconds(30)));

  // Its I/O thread stands still; the other gets everything.
  Member other(io, options, "users", "sm");
  ASSERT_TRUE(Until([&] { return other.owned.size() == kPartitions; }, seconds(40)));
  AppendTo(*producer, 600);
  ASSERT_TRUE(Until([&] { return other.total() == 600; }));

  // It wakes: first of all it would commit, believing that it still owns.
  std::optional<absl::Status> commit;
  std::vector<Consumer::Position> positions = {{0, 50}};
  asio::co_spawn(frozen_io, frozen.consumer->Commit(std::move(positions)),
                 [&](std::exception_ptr, absl::Status status) { commit = status; });
  const auto both = [&](const std::function<bool()>& done) {
    return Until([&] {
      frozen_io.restart();
      frozen_io.poll();
      return done();
    });
  };
  ASSERT_TRUE(both([&] { return commit.has_value() && frozen.lost.size() == kPartitions; }));
  EXPECT_EQ(commit->code(), absl::StatusCode::kFailedPrecondition) << *commit;
  EXPECT_TRUE(frozen.revoking.empty());
  EXPECT_EQ(frozen.total(), 0u);

  // Both go on as members, and every partition has one owner.
  ASSERT_TRUE(both([&] { return frozen.owned.size() == 3 && other.owned.size() == 3; }));
  EXPECT_TRUE(other.lost.empty());
  std::set<std::int32_t> all = frozen.owned;
  all.insert(other.owned.begin(), other.owned.end());
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kPartitions));
  AppendTo(*producer, 600);
  ASSERT_TRUE(both([&] { return frozen.total() + other.total() == 1'200; }));
}

TEST_F(ConsumerTest, OwnerThatDoesNotReleaseLosesAfterFiveSeconds) {
  MakeTopic("users", kPartitions);
  Member slow(io, options, "users", "sm");
  ASSERT_TRUE(Share({&slow}));
  slow.release_at_once = false;
  Member other(io, options, "users", "sm");
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(Until([&] { return other.owned.size() == 3; }));
  EXPECT_GT(std::chrono::steady_clock::now() - begin, seconds(4));
  EXPECT_EQ(slow.revoking.size(), 3u);
  EXPECT_EQ(slow.lost.size(), 3u);
  EXPECT_EQ(slow.owned.size(), 3u);
  // A partition that it lost is not its to commit.
  std::vector<Consumer::Position> positions = {{slow.lost[0], 0}};
  EXPECT_EQ(Await(slow.consumer->Commit(std::move(positions)))->code(),
            absl::StatusCode::kFailedPrecondition);
}

// librdkafka would wait for ever for the answer to an assignment that is on its way.
TEST_F(ConsumerTest, EndsAtAnyMomentOfARebalance) {
  MakeTopic("users", kPartitions);
  {
    const Member lone(io, options, "users", "lone");
  }
  for (int round = 0; round < 3; ++round) {
    const std::string group = "pair" + std::to_string(round);
    Member first(io, options, "users", group);
    first.seek_at_once = false;  // nothing of theirs is under way when they end
    ASSERT_TRUE(Share({&first}));
    Member second(io, options, "users", group);
    second.seek_at_once = false;
    ASSERT_TRUE(Until([&] { return second.owned.size() == 3; }));
    if (round == 1) AwaitDone(second.consumer->Close(seconds(5)));
    if (round == 2) AwaitDone(first.consumer->Close(seconds(5)));
    EXPECT_TRUE(first.lost.empty() && second.lost.empty());
  }
}

TEST_F(ConsumerTest, RetainedPartitionsGoOnWhileOthersMove) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  Member first(io, options, "users", "sm");
  ASSERT_TRUE(Share({&first}));
  std::set<std::int32_t> kept;
  int read_meanwhile = 0;
  first.on_record = [&](const Record& record) { read_meanwhile += kept.contains(record.partition) ? 1 : 0; };
  auto second = std::make_unique<Member>(io, options, "users", "sm");
  int sent = 0;
  const auto send = [&] {
    for (int i = 0; i < kPartitions; ++i) producer->Append("users", i, "", "x", nullptr);
    sent += kPartitions;
  };
  ASSERT_TRUE(Until([&] {
    send();
    return first.owned.size() == 3 && second->owned.size() == 3;
  }));
  kept = first.owned;
  read_meanwhile = 0;
  Member third(io, options, "users", "sm");
  ASSERT_TRUE(Until([&] {
    send();
    return third.owned.size() == 2;
  }));
  EXPECT_GT(read_meanwhile, 0);
  ASSERT_TRUE(Await(producer->Flush(seconds(10)))->ok());
  ASSERT_TRUE(
      Until([&] { return TotalOf({&first, second.get(), &third}) == static_cast<std::size_t>(sent); }));
  EXPECT_TRUE(first.lost.empty());
  EXPECT_TRUE(second->lost.empty());
  sent_ = sent;
  ExpectAllReadOnce({&first, second.get(), &third});
}

TEST_F(ConsumerTest, NothingBeforeSeekAndNothingOlderAfterIt) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  AppendTo(*producer, 6'000);
  Member member(io, options, "users", "sm");
  member.seek_at_once = false;
  ASSERT_TRUE(Share({&member}));
  // Records that come while nobody has said where to read.
  AppendTo(*producer, 6'000);
  io.restart();
  io.run_for(milliseconds(300));
  EXPECT_EQ(member.total(), 0u);

  for (int i = 0; i < kPartitions; ++i) member.consumer->Seek(i, 700);
  ASSERT_TRUE(Until([&] { return member.total() == kPartitions * 1'300; })) << member.total();
  for (int i = 0; i < kPartitions; ++i) EXPECT_EQ(member.offsets[i].front(), 700);

  // Back, in the middle of reading: no record of the old place follows.
  for (int round = 0; round < 50; ++round) {
    member.offsets.clear();
    member.next.clear();
    member.consumer->Seek(0, 1'500);
    member.consumer->Seek(0, 3);
    ASSERT_TRUE(Until([&] { return member.total() == 1'997; })) << member.total() << " in round " << round;
    EXPECT_EQ(member.offsets[0].front(), 3);
  }
}

TEST_F(ConsumerTest, PauseHoldsAndResumeLosesNothing) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  Member member(io, options, "users", "sm");
  ASSERT_TRUE(Share({&member}));
  AppendTo(*producer, 600);
  ASSERT_TRUE(Until([&] { return member.total() == 600; }));
  member.consumer->Pause(0);
  AppendTo(*producer, 6'000);
  ASSERT_TRUE(Until([&] { return member.total() == 5'600; }));
  io.restart();
  io.run_for(milliseconds(200));
  EXPECT_EQ(member.offsets[0].size(), 100u);
  // From within the handler, too.
  member.on_record = [&](const Record& record) {
    if (record.partition == 0 && record.offset == 500) member.consumer->Pause(0);
  };
  member.consumer->Resume(0);
  ASSERT_TRUE(Until([&] { return member.offsets[0].size() == 501; }));
  io.restart();
  io.run_for(milliseconds(200));
  EXPECT_EQ(member.offsets[0].size(), 501u);
  member.consumer->Resume(0);
  ASSERT_TRUE(Until([&] { return member.total() == 6'600; }));
  ExpectAllReadOnce({&member});
}

TEST_F(ConsumerTest, CommittedIsWhatTheNextMemberReadsFrom) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  AppendTo(*producer, 6'000);
  {
    Member member(io, options, "users", "sm");
    ASSERT_TRUE(Share({&member}));
    ASSERT_TRUE(Until([&] { return member.total() == 6'000; }));
    EXPECT_EQ(Await(member.consumer->Committed(1))->value(), -1);
    absl::Status committed = absl::AbortedError("not yet");
    while (absl::IsAborted(committed)) committed = *Await(member.consumer->Commit({{1, 400}, {2, 1'000}}));
    EXPECT_TRUE(committed.ok()) << committed;
    EXPECT_EQ(Await(member.consumer->Committed(1))->value(), 400);
    member.next.clear();  // nothing to commit when asked for them
    AwaitDone(member.consumer->Close(seconds(5)));
    EXPECT_TRUE(member.lost.empty());
  }
  Member member(io, options, "users", "sm");
  ASSERT_TRUE(Share({&member}));
  ASSERT_TRUE(Until([&] { return member.total() == 4'600; }));
  EXPECT_EQ(member.offsets[1].front(), 400);
  EXPECT_FALSE(member.offsets.contains(2));
  EXPECT_EQ(member.offsets[0].front(), 0);
}

TEST_F(ConsumerTest, OffsetForTimeAndWatermarks) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  AppendTo(*producer, 60);
  // The broker stamps what comes with the same clock, in milliseconds.
  const std::int64_t written = UnixMillis();
  ASSERT_TRUE(Until([&] { return UnixMillis() > written; }));
  const std::int64_t between = UnixMillis();
  AppendTo(*producer, 60);
  Member member(io, options, "users", "");
  member.seek_at_once = false;
  EXPECT_EQ(Await(member.consumer->OffsetForTime(0, between))->value(), 10);
  EXPECT_EQ(Await(member.consumer->OffsetForTime(0, 0))->value(), 0);
  EXPECT_EQ(Await(member.consumer->OffsetForTime(0, between + 3'600'000))->value(), 20);
  EXPECT_EQ(Await(member.consumer->Watermarks(0))->value(), (std::pair<std::int64_t, std::int64_t>(0, 20)));
  EXPECT_FALSE(Await(member.consumer->Watermarks(99))->ok());
}

TEST_F(ConsumerTest, OffsetThatTheLogDoesNotHaveMovesIntoIt_AndTheHandlerIsTold) {
  MakeTopic("users", kPartitions);
  const auto producer = MakeProducer();
  AppendTo(*producer, 60);
  Member member(io, options, "users", "sm");
  member.seek_at_once = false;
  ASSERT_TRUE(Share({&member}));
  member.consumer->Seek(0, 1'000);
  io.restart();
  io.run_for(milliseconds(1'500));
  AppendTo(*producer, 60);
  ASSERT_TRUE(Until([&] { return member.total() == 10; }));
  EXPECT_EQ(member.offsets[0].front(), 10);
  EXPECT_EQ(member.missing, (std::vector<std::array<std::int64_t, 3>>{{1'000, 0, 10}}));
}

TEST_F(ConsumerTest, IdleMemberStaysAMember) {
  MakeTopic("users", kPartitions);
  Member member(io, options, "users", "sm");
  ASSERT_TRUE(Share({&member}));
  io.restart();
  io.run_for(seconds(10));
  EXPECT_EQ(member.owned.size(), kPartitions);
  EXPECT_TRUE(member.lost.empty());
  EXPECT_EQ(member.rebalances, kPartitions);
}

}  // namespace
}  // namespace rookery::kafka
