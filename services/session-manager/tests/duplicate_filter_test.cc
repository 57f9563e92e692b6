#include "domain/duplicate_filter.h"

#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

using Verdict = DuplicateFilter::Verdict;

events::v1::Origin Client(const std::string& session, std::uint64_t count, std::uint32_t part = 1,
                          std::int64_t epoch = 1) {
  events::v1::Origin origin;
  origin.set_epoch(epoch);
  origin.mutable_client()->set_session_id(session);
  origin.mutable_client()->set_count(count);
  origin.mutable_client()->set_part(part);
  return origin;
}

events::v1::Origin FromLog(std::uint32_t shard, std::int64_t offset, std::uint32_t part,
                           std::int64_t epoch = 1) {
  events::v1::Origin origin;
  origin.set_shard(shard);
  origin.set_epoch(epoch);
  origin.mutable_log()->set_offset(offset);
  origin.mutable_log()->set_part(part);
  return origin;
}

events::v1::Origin Own(std::uint32_t shard, std::int64_t epoch) {
  events::v1::Origin origin;
  origin.set_shard(shard);
  origin.set_epoch(epoch);
  return origin;
}

class DuplicateFilterTest : public ::testing::Test {
 protected:
  Verdict Check(const events::v1::Origin& origin) { return filter_.Check(origin, now_); }
  DuplicateFilter filter_;
  SteadyTime now_{};
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

TEST_F(DuplicateFilterTest, PartsBeyondTheirBitsDoNotReachTheNextStanza) {
  EXPECT_EQ(Check(Client("a", 1, 1'000'000)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 2, 1)), Verdict::kApply);
}

TEST_F(DuplicateFilterTest, AClientsStanzaCountsUnderAnyEpoch) {
  filter_.SawEpoch(0, 50);
  EXPECT_EQ(Check(Client("a", 1, 1, 10)), Verdict::kApply);
  EXPECT_EQ(Check(Client("a", 1, 1, 50)), Verdict::kDuplicate);
}

TEST_F(DuplicateFilterTest, WhatFollowsFromARecordOnceInAnyOrder) {
  EXPECT_EQ(Check(FromLog(1, 20, 1)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(1, 10, 1)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(1, 20, 2)), Verdict::kApply);
  EXPECT_EQ(Check(FromLog(1, 20, 1, 99)), Verdict::kDuplicate);
  EXPECT_EQ(Check(FromLog(2, 20, 1)), Verdict::kApply);
}

TEST_F(DuplicateFilterTest, AnOwnersOwnDecisionOnlyUnderTheNewestEpoch) {
  EXPECT_EQ(Check(Own(1, 10)), Verdict::kApply);
  EXPECT_EQ(Check(Own(1, 10)), Verdict::kApply);
  filter_.SawEpoch(1, 30);
  EXPECT_EQ(Check(Own(1, 10)), Verdict::kStaleEpoch);
  EXPECT_EQ(Check(Own(1, 30)), Verdict::kApply);
  EXPECT_EQ(Check(Own(2, 5)), Verdict::kApply);
  filter_.SawEpoch(1, 20);
  EXPECT_EQ(Check(Own(1, 20)), Verdict::kStaleEpoch);
}

TEST_F(DuplicateFilterTest, ExpireForgetsTheSilentOnly) {
  Check(Client("old", 5));
  Check(FromLog(1, 1, 1));
  filter_.SawEpoch(1, 30);
  now_ += std::chrono::minutes(10);
  Check(Client("new", 5));
  Check(FromLog(1, 2, 1));
  EXPECT_EQ(filter_.size(), 2u);
  filter_.Expire(now_ - std::chrono::minutes(5));
  EXPECT_EQ(filter_.size(), 1u);
  EXPECT_EQ(Check(Client("new", 5)), Verdict::kDuplicate);
  EXPECT_EQ(Check(FromLog(1, 2, 1)), Verdict::kDuplicate);
  EXPECT_EQ(Check(Own(1, 29)), Verdict::kStaleEpoch);
}

}  // namespace
}  // namespace rookery::session_manager
