#include "rookery/sharding/duplicate_filter.h"

#include <gtest/gtest.h>

namespace rookery::sharding {
namespace {

using Verdict = DuplicateFilter::Verdict;
using events::v1::Origin;

Origin From(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor = 0,
            events::v1::Topic topic = events::v1::TOPIC_USERS) {
  Origin origin;
  origin.set_topic(topic);
  origin.set_shard(shard);
  origin.set_epoch(epoch);
  origin.set_cursor(cursor);
  return origin;
}

Origin Client(const std::string& session, std::uint64_t count, std::uint32_t part = 1,
              std::int64_t epoch = 1) {
  Origin origin = From(0, epoch);
  origin.mutable_client()->set_session_id(session);
  origin.mutable_client()->set_count(count);
  origin.mutable_client()->set_part(part);
  return origin;
}

/// Sent when the gateway had seen `confirmed` confirmed.
Origin ClientAfter(std::uint64_t confirmed, const std::string& session, std::uint64_t count,
                   std::uint32_t part = 1) {
  Origin origin = Client(session, count, part);
  origin.mutable_client()->set_confirmed_count(confirmed);
  return origin;
}

Origin FromLog(std::uint32_t shard, std::int64_t offset, std::uint32_t part, std::int64_t epoch = 1,
               std::int64_t cursor = 0, events::v1::Topic topic = events::v1::TOPIC_USERS) {
  Origin origin = From(shard, epoch, cursor, topic);
  origin.mutable_log()->set_offset(offset);
  origin.mutable_log()->set_part(part);
  return origin;
}

class DuplicateFilterTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::minutes kHorizon{2};
  Verdict Check(const Origin& origin) { return filter_.Check(origin, now_ms_); }
  void SawFence(std::uint32_t shard, std::int64_t epoch) {
    filter_.SawFence(events::v1::TOPIC_USERS, shard, epoch, now_ms_);
  }
  /// Nobody says anything meanwhile.
  void Pass(std::chrono::milliseconds time) { now_ms_ += time.count(); }
  /// Somebody says something all the time.
  void PassBusily(std::chrono::milliseconds time) {
    constexpr std::chrono::milliseconds kStep = std::chrono::milliseconds(kHorizon) / 4;
    for (; time > std::chrono::milliseconds::zero(); time -= kStep) {
      Pass(kStep);
      Origin origin = From(9, 1);
      origin.mutable_client()->set_session_id("busy");
      origin.mutable_client()->set_count(++busy_);
      origin.mutable_client()->set_part(1);
      Check(origin);
    }
  }
  DuplicateFilter filter_{kHorizon};
  std::int64_t now_ms_ = 1'700'000'000'000;
  std::uint64_t busy_ = 0;
};

TEST_F(DuplicateFilterTest, AClientsStanzaOnce) {
  EXPECT_EQ(Check(Client("a", 1)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 1)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", 2)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 1)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("b", 1)), Verdict::kApply);
}

TEST_F(DuplicateFilterTest, EachPartOfOneStanzaOnce) {
  EXPECT_EQ(Check(Client("a", 3, 1)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 3, 2)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 3, 1)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", 3, 2)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", 4, 1)), Verdict::kApply);
}

// The log refused it, and took it from the next owner, to which the gateway sent it again.
TEST_F(DuplicateFilterTest, AClientsStanzaBehindLaterOnes_IsNoRepetition) {
  EXPECT_EQ(Check(ClientAfter(1, "a", 3)), Verdict::kApply);
  EXPECT_EQ(Check(ClientAfter(2, "a", 5)), Verdict::kApply);
  EXPECT_EQ(Check(ClientAfter(1, "a", 4)), Verdict::kApply);
  EXPECT_EQ(Check(ClientAfter(1, "a", 3)), Verdict::kDuplicate);
  EXPECT_EQ(Check(ClientAfter(1, "a", 4)), Verdict::kDuplicate);
  EXPECT_EQ(Check(ClientAfter(1, "a", 5)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, APartOfAStanzaBehindLaterOnes_IsNoRepetition) {
  EXPECT_EQ(Check(Client("a", 1, 3)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 1, 2)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 1, 3)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", 1, 2)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, WhatTheGatewayHasSeenConfirmed_IsARepetition) {
  EXPECT_EQ(Check(ClientAfter(0, "a", 1)), Verdict::kApply);
  EXPECT_EQ(Check(ClientAfter(7, "a", 8)), Verdict::kApply);
  EXPECT_EQ(Check(ClientAfter(0, "a", 7, 65'000)), Verdict::kDuplicate);
  EXPECT_EQ(Check(ClientAfter(0, "a", 8, 2)), Verdict::kApply);
}

// A gateway of before it says what it has seen confirmed.
TEST_F(DuplicateFilterTest, OfAClientNoMoreIsRememberedThanItMayHaveUnderWay) {
  const std::uint64_t most = DuplicateFilter::kMostOfAClient;
  for (std::uint64_t count = 2; count < 2 * most; ++count)
    ASSERT_EQ(Check(Client("a", count)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", most - 1)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", 1)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", most + 1)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, WhatAFormerOwnerSaysLate_MakesNothingARepetitionButItself) {
  EXPECT_EQ(Check(Client("a", 1)), Verdict::kApply);
  SawFence(0, /*epoch=*/2);
  EXPECT_EQ(Check(Client("a", 4)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 4)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", 2, 1, /*epoch=*/2)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 4, 1, /*epoch=*/2)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Client("a", 5, 1, /*epoch=*/2)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 2)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, WhatWasSaidLateIsRememberedAsLongAsItsSession) {
  SawFence(0, /*epoch=*/2);
  EXPECT_EQ(Check(Client("a", 4)), Verdict::kApply);
  Pass(kHorizon * 4);
  EXPECT_EQ(Check(Client("b", 1, 1, /*epoch=*/2)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 4, 1, /*epoch=*/2)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, PartsBeyondTheirBitsDoNotReachTheNextStanza) {
  EXPECT_EQ(Check(Client("a", 1, 1'000'000)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 2, 1)), Verdict::kApply);
}

TEST_F(DuplicateFilterTest, WhatFollowsFromARecordOnceInAnyOrder) {
  EXPECT_EQ(Check(FromLog(1, 20, 1)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(1, 10, 1)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(1, 20, 2)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(1, 20, 1, 99)), Verdict::kDuplicate);
  EXPECT_EQ(Check(FromLog(2, 20, 1)), Verdict::kApply);
}

TEST_F(DuplicateFilterTest, ShardsOfTwoTopicsAreTwoSources) {
  EXPECT_EQ(Check(FromLog(3, 7, 1)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(3, 7, 1, 1, 0, events::v1::TOPIC_ROOMS)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(3, 7, 1, 1, 0, events::v1::TOPIC_ROOMS)), Verdict::kDuplicate);
  // Records of before topics were named are of users.
  EXPECT_EQ(Check(FromLog(3, 7, 1, 1, 0, events::v1::TOPIC_UNSPECIFIED)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, RemembersWhatIsUnderWay_NotWhatWasSaid) {
  for (std::int64_t offset = 0; offset < 100'000; ++offset)
    ASSERT_EQ(Check(FromLog(1, offset, 1, 1, /*cursor=*/offset > 50 ? offset - 50 : 0)), Verdict::kApply);
  EXPECT_LE(filter_.remembered(), 51u);
  // At or after the cursor: known one by one. Before it: nothing of it is said again.
  EXPECT_EQ(Check(FromLog(1, 99'990, 1, 1, 99'949)), Verdict::kDuplicate);
  EXPECT_EQ(Check(FromLog(1, 10, 1, 1, 99'949)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, ACursorThatStandsStill_ManyRecordsAreRememberedInLittleRoom) {
  // One record in four of the source leads to one here.
  for (std::int64_t i = 0; i < 200'000; ++i) ASSERT_EQ(Check(FromLog(1, 4 * i, 1, 1, 0)), Verdict::kApply);
  EXPECT_EQ(filter_.remembered(), 200'000u);
  EXPECT_LT(filter_.remembered_bytes(), 200'000u);
  for (std::int64_t i = 0; i < 200'000; ++i)
    ASSERT_EQ(Check(FromLog(1, 4 * i, 1, 2, 0)), Verdict::kDuplicate);
  // It has moved.
  EXPECT_EQ(Check(FromLog(1, 800'001, 1, 2, 800'000)), Verdict::kApply);
  EXPECT_EQ(filter_.remembered(), 1u);
  EXPECT_LT(filter_.remembered_bytes(), 200u);
}

TEST_F(DuplicateFilterTest, ASourceWhoseLogWasCut_BeginsAnew) {
  const auto since_cut = [](std::int64_t offset, std::int64_t cursor) {
    Origin origin = FromLog(1, offset, 1, 5'001, cursor);
    origin.set_log_since(5'001);
    return origin;
  };
  EXPECT_EQ(Check(FromLog(1, 5'000, 1, 4'000, 4'990)), Verdict::kApply);
  EXPECT_EQ(Check(since_cut(10, 0)), Verdict::kApply);
  EXPECT_EQ(Check(since_cut(10, 0)), Verdict::kDuplicate);
  EXPECT_EQ(Check(since_cut(11, 5)), Verdict::kApply);
  EXPECT_EQ(Check(since_cut(4, 5)), Verdict::kDuplicate);
}

// The offsets of its group were lost: the next owner goes on from an older one.
TEST_F(DuplicateFilterTest, ASourceWhoseCursorIsAnOlderOne_SaysAgainWhatItHasSaid) {
  EXPECT_EQ(Check(FromLog(1, 100, 1, 50, 90)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(1, 100, 1, 120, 60)), Verdict::kDuplicate);
  EXPECT_EQ(Check(FromLog(1, 70, 1, 120, 60)), Verdict::kDuplicate);
  EXPECT_EQ(Check(FromLog(1, 101, 1, 120, 60)), Verdict::kApply);
}

TEST_F(DuplicateFilterTest, AnOwnersOwnDecisionOnlyUnderTheNewestEpoch) {
  EXPECT_EQ(Check(From(1, 10)), Verdict::kApply);
  EXPECT_EQ(Check(From(1, 10)), Verdict::kApply);
  SawFence(1, 30);
  EXPECT_EQ(Check(From(1, 10)), Verdict::kStaleEpoch);
  EXPECT_EQ(Check(From(1, 30)), Verdict::kApply);
  EXPECT_EQ(Check(From(2, 5)), Verdict::kApply);
  SawFence(1, 20);
  EXPECT_EQ(Check(From(1, 20)), Verdict::kStaleEpoch);
}

TEST_F(DuplicateFilterTest, ALateWordOfAnOlderOwner_IsTakenWhileItMayBeTheOnlyOne_AndRefusedLater) {
  // Its successor speaks; what the older one had appended just before may be acknowledged already.
  EXPECT_EQ(Check(Client("other", 1, 1, /*epoch=*/50)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 1, 1, /*epoch=*/10)), Verdict::kApply);
  // It was frozen, and wakes up.
  PassBusily(kHorizon);
  EXPECT_EQ(Check(Client("a", 2, 1, 10)), Verdict::kStaleEpoch);
  EXPECT_EQ(Check(FromLog(0, 77, 1, 10)), Verdict::kStaleEpoch);
  EXPECT_EQ(Check(Client("a", 2, 1, 50)), Verdict::kApply);
}

TEST_F(DuplicateFilterTest, ASessionIsRememberedForFourHorizonsAfterItsLastWord_AndForgottenInTheEnd) {
  EXPECT_EQ(Check(Client("a", 5)), Verdict::kApply);
  PassBusily(4 * kHorizon);
  EXPECT_EQ(Check(Client("a", 5)), Verdict::kDuplicate);
  PassBusily(4 * kHorizon);
  EXPECT_EQ(Check(Client("a", 5)), Verdict::kDuplicate);
  PassBusily(8 * kHorizon);
  EXPECT_EQ(filter_.clients(), 1u);
}

// Kafka was away: what somebody had said, and not heard the end of, is said again.
TEST_F(DuplicateFilterTest, WhileTheLogStandsStill_NothingIsForgotten) {
  EXPECT_EQ(Check(Client("a", 5)), Verdict::kApply);
  std::int64_t epoch = 1;
  for (int i = 0; i < 3; ++i) {
    for (int outage = 0; outage < 2; ++outage) {
      Pass(std::chrono::hours(1));
      SawFence(0, ++epoch);
    }
    EXPECT_EQ(Check(Client("a", 5, 1, epoch)), Verdict::kDuplicate);
  }
}

}  // namespace
}  // namespace rookery::sharding
