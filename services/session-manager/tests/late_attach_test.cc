// A session whose gateway comes late is given what it has missed, once (README.md, SL12).
#include "late_attach.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(LateAttachTest, SL12_WhatItsClientHasAcknowledged_IsNotGivenAgain) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  ASSERT_EQ(database_.Waiting(bob_), 2u) << "as for somebody who is away";
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, SL12_OnlyAnOwnerInBetweenDidNotSeeIt_NothingIsGivenAgain) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  MoveOn();
  late_.Send(*bob, Presence());
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, SL12_AnOwnerInBetweenDidNotSeeIt_TheNextIsNotDone_TheOneAfterThatIs) {
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 2u);
  bool is_open = false;
  database_.on_slow = [&is_open](std::string_view call) -> Task<void> {
    while (call == "LoadOffline" && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  MoveOn();
  const std::int64_t known = bob->known_epoch;
  late_.Link(node(2));
  Settle();
  Kill(0);
  is_open = true;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ASSERT_EQ(node(2).domain.shards().Find(1)->former_epoch, known) << "it was not missed by the last one";
  Elapse(std::chrono::seconds(2));
  late_.Send(*bob, Presence());
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_TRUE(RunUntil([&] {
    session::v1::SessionManagerState state;
    return state.ParseFromString(bob->state) && !state.has_late_offset();
  }));
}

TEST_F(LateAttachTest, SL12_AnOwnerInBetweenDidNotSeeIt_ItIsParked_TheOneAfterThatKnows) {
  Say("m1", bob_);
  MoveWithoutIt();
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  database_.on_slow = [](std::string_view call) -> Task<void> {
    while (call == "LoadOffline") co_await runtime::Sleep(std::chrono::hours(1));
  };
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  MoveOn();
  ASSERT_TRUE(RunUntil([&] { return bob->parked; }));
  database_.on_slow = {};
  Kill(0);
  late_.Link(node(2));
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1) && database_.Waiting(bob_) == 0; }));
  Client& again = late_.Resume(*bob, static_cast<std::uint32_t>(bob->last_seq - bob->base_seq));
  Settle();
  ASSERT_TRUE(again.started);
  late_.Send(again, Presence());
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, W9_ItsEndIsInTheLog_WhatItHadIsNotHandedOutToItBefore) {
  node(1).shard_log.member = true;
  bob->acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  node(1).shard_log.member = false;
  // Its gateway stands still, and knows that its client has the message.
  late_.Unlink(node(1));
  bob->acked_seq = bob->last_seq;
  bob->unacked.clear();
  Elapse(settings_.resume_timeout + settings_.link_grace + std::chrono::seconds(5));
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_TRUE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, SL12_WhatIsUnacknowledged_IsKeptForItAndReplayed) {
  bob->acks = false;
  Say("m1", bob_);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_THAT(NextSession(), IsEmpty()) << "it may have them";
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = gateway_.Resume(*bob, 1);
  resumed.inbox.clear();
  resumed.acks = true;
  Settle();
  ASSERT_TRUE(resumed.started);
  EXPECT_FALSE(resumed.ended);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m2"));
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(LateAttachTest, SL12_APacketThatTheStoreHadAndItsClientHasAcknowledged_IsNotGivenAgain) {
  node(1).shard_log.member = true;
  bob->acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 1u);
  MoveWithoutIt();
  ASSERT_EQ(database_.Waiting(bob_), 1u) << "as of a session that nobody has";
  late_.Deliver(*bob, bob->last_seq);
  ItComes();
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(LateAttachTest, SL12_APacketThatTheStoreHadAndItsClientHasNotAcknowledged_IsReplayed) {
  node(1).shard_log.member = true;
  bob->acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob->id), 1u);
  MoveWithoutIt();
  ItComes();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = gateway_.Resume(*bob, 0);
  resumed.inbox.clear();
  Settle();
  ASSERT_TRUE(resumed.started);
  EXPECT_FALSE(resumed.ended);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, SL12_WhatIsUnacknowledged_IsNotLostWhenTheSessionEnds) {
  bob->acks = false;
  Say("m1", bob_);
  MoveWithoutIt();
  ItComes();
  late_.End(*bob, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
}

TEST_F(LateAttachTest, SL12_WhatIsUnacknowledged_LookedForTwice_IsNotTakenForAcknowledged) {
  bob->acks = false;
  Say("m1", bob_);
  MoveWithoutIt();
  int calls = 0;
  bool is_open = false;
  bool is_passed = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    const bool is_first = call == "LoadOffline" && calls++ == 0;
    while (is_first && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
    is_passed = is_passed || is_first;
  };
  late_.Link(node(2));
  ASSERT_TRUE(RunUntil([&] { return calls >= 3; }));
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return is_passed; }));
  Settle();
  late_.End(*bob, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
  database_.on_slow = {};
}

TEST_F(LateAttachTest, SL12_WhatCameMeanwhile_IsGivenOnce) {
  Say("m1", bob_);
  MoveWithoutIt();
  Say("m2", bob_);
  Say("m3", bob_ + "/b");
  ItComes();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2", "m3"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  Say("m4", bob_);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
}

TEST_F(LateAttachTest, SL12_WhatWasStoredBeforeNewerOnesWereGiven_IsNotTakenForGiven) {
  late_.End(*bob, END_REASON_CLOSED);
  Settle();
  Client& quiet = SignIn(late_, bob_, "q", std::nullopt);
  late_.EnableStreamManagement(quiet);
  node(1).shard_log.member = true;
  Say("m1", bob_);
  Say("m2", bob_ + "/q");
  Elapse(std::chrono::seconds(2));
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  MoveWithoutIt();
  ItComes();
  late_.Send(quiet, Presence());
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(quiet.MessageIds(), ElementsAre("m2", "m1"));
}

TEST_F(LateAttachTest, SL12_WhatWasStoredBefore_IsGivenAsToAnybody) {
  // It was not available when m1 came.
  late_.Send(*bob, Presence("unavailable"));
  Settle();
  Say("m1", bob_);
  ASSERT_EQ(database_.Waiting(bob_), 1u);
  Say("m2", bob_ + "/b");
  MoveWithoutIt();
  ItComes();
  late_.Send(*bob, Presence());
  Settle();
  Elapse(std::chrono::seconds(1));
  const std::vector<std::string> ids = bob->MessageIds();
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "m1"), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "m2"), 1);
}

TEST_F(LateAttachTest, SL12_TheNextOwnerAfterThat_GivesNothingAgain) {
  bob->acks = false;
  Say("m1", bob_);
  MoveWithoutIt();
  ItComes();
  Kill(2);
  const int third = AddNode().number;
  Assign(1, third);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  late_.Deliver(*bob, bob->last_seq);
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

}  // namespace
}  // namespace rookery::session_manager
