#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"
#include "domain/metrics.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class UserShardsTest : public Cluster {
 protected:
  UserShardsTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    alice_ = UserIn(0);
    bob_ = UserIn(1);
  }
  void Own(std::uint32_t shard, int by) {
    Assign(shard, by);
    ASSERT_TRUE(RunUntil([&] { return IsLive(shard); }));
  }
  Gateway& gateway_;
  std::string alice_, bob_;
};

TEST_F(UserShardsTest, TheFencesOffsetIsTheEpoch_NoOtherPartitionHearsOfIt) {
  Own(1, 0);
  ASSERT_EQ(log_.users[1].size(), 1u);
  EXPECT_TRUE(log_.Record(1, 0).has_fence());
  EXPECT_EQ(node(0).domain.shards().Find(1)->epoch, 0);
  for (const std::uint32_t other : {0u, 2u, 3u}) EXPECT_TRUE(log_.users[other].empty());
  EXPECT_THAT(node(0).published, ElementsAre(Pair(1u, 0)));
  Kill(0);
  Own(1, 1);
  EXPECT_GT(node(1).domain.shards().Find(1)->epoch, 0);
}

TEST_F(UserShardsTest, ActionsWaitUntilTheShardIsLive) {
  log_.held = true;
  Assign(0, 0);
  Settle();
  log_.Flush();
  database_.down = true;  // recovery waits for the store
  Settle();
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  EXPECT_FALSE(alice.started);
  log_.held = false;
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return alice.started; }));
}

TEST_F(UserShardsTest, AGatewayThatNeverAttachesIsNotWaitedForForever) {
  gateway_.attaches = false;
  const auto before = clock_.Now();
  Assign(0, 0);
  Settle();
  EXPECT_FALSE(IsLive(0));
  ASSERT_TRUE(RunUntil([&] {
    clock_.Advance(std::chrono::milliseconds(200));
    node(0).owner.NoteTime();
    return IsLive(0);
  }));
  EXPECT_GE(clock_.Now() - before, settings_.attach_timeout);
}

TEST_F(UserShardsTest, NotLiveBeforeItIsKnownWhichGatewaysThereAre) {
  // It has just started: Redis has not told it of a gateway, and none has found it.
  node(0).membership.is_complete = false;
  Assign(0, 0);
  Settle();
  EXPECT_EQ(node(0).domain.shards().Find(0)->phase, sharding::Shard::Phase::kAcquiring);
  node(0).membership.is_complete = true;
  EXPECT_TRUE(RunUntil([&] { return IsLive(0); }));
}

TEST_F(UserShardsTest, AGatewayThatIsNotLinkedIsRegisteredNoLonger_LiveAtOnce) {
  node(0).membership.gateways.push_back("gw-dead");
  Assign(0, 0);
  Settle();
  EXPECT_FALSE(IsLive(0));
  node(0).membership.gateways.pop_back();
  node(0).domain.sessions().OnGatewaysRegistered();
  Settle();
  EXPECT_TRUE(IsLive(0));
}

TEST_F(UserShardsTest, NobodyKnowsWhichGatewaysThereAre_NoneIsLinked_NotLiveAndNotAble) {
  Node& alone = AddNode();
  gateway_.Unlink(alone);
  alone.membership.is_complete = false;
  Assign(0, alone.number);
  Elapse(2 * settings_.attach_timeout);
  EXPECT_FALSE(IsLive(0));
  EXPECT_FALSE(alone.domain.shard_service().is_able());
  gateway_.Link(alone);
  EXPECT_TRUE(alone.domain.shard_service().is_able());
  EXPECT_TRUE(RunUntil([&] { return IsLive(0); }));
}

TEST_F(UserShardsTest, StaleEpoch_Refused) {
  Own(0, 0);
  Own(1, 0);
  Client& bob = SignIn(gateway_, bob_, "b");
  // A decision of its own by an older owner of shard 0, after the fence of the newer.
  events::v1::UserRecord record;
  record.mutable_origin()->set_shard(0);
  record.mutable_origin()->set_epoch(-5);
  record.mutable_delivery()->mutable_stanza()->Swap(
      std::make_unique<xmpp::Stanza>(Message(bob_, "stale")).get());
  log_.users[1].push_back(record.SerializeAsString());
  record.mutable_origin()->set_epoch(node(0).domain.shards().Find(0)->epoch);
  record.mutable_delivery()->mutable_stanza()->set_id("fresh");
  *record.mutable_delivery()->mutable_stanza() = Message(bob_, "fresh");
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("fresh"));
  EXPECT_EQ(node(0).domain.shards().Find(1)->window.size(), 0u);
}

TEST_F(UserShardsTest, UnreadableAndMisplacedRecordsAreSkipped) {
  Own(1, 0);
  Client& bob = SignIn(gateway_, bob_, "b");
  log_.users[1].push_back("\xff\xff not a record");
  events::v1::UserRecord record;
  *record.mutable_delivery()->mutable_stanza() = Message(alice_, "misplaced");
  log_.users[1].push_back(record.SerializeAsString());
  record.Clear();
  log_.users[1].push_back(record.SerializeAsString());
  *record.mutable_delivery()->mutable_stanza() = Message(bob_, "good");
  record.mutable_delivery()->mutable_stanza()->set_from("x@localhost/y");
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("good"));
  EXPECT_EQ(node(0).domain.shards().Find(1)->window.size(), 0u);
}

TEST_F(UserShardsTest, RecordOfALaterRelease_IsSkippedAndNoted_NotAsMisplaced) {
  Own(1, 0);
  Client& bob = SignIn(gateway_, bob_, "b");
  log_.users[1].push_back("\xc2\x3e\x01x");  // field 1000
  events::v1::UserRecord record;
  *record.mutable_delivery()->mutable_stanza() = Message(bob_, "good");
  record.mutable_delivery()->mutable_stanza()->set_from("x@localhost/y");
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("good"));
  EXPECT_EQ(node(0).domain.shards().Find(1)->window.size(), 0u);
  EXPECT_EQ(node(0).domain.metrics().records_unknown.Value(), 1);
  EXPECT_EQ(node(0).owner.metrics().misplaced.Value(), 0);
  EXPECT_EQ(node(0).owner.metrics().unreadable.Value(), 0);
}

TEST_F(UserShardsTest, CredentialsChangedInAnotherShard_IsMisplaced) {
  Own(1, 0);
  events::v1::UserRecord record;
  record.mutable_credentials_changed()->set_jid(alice_);
  log_.users[1].push_back(record.SerializeAsString());
  Settle();
  EXPECT_EQ(node(0).owner.metrics().misplaced.Value(), 1);
  EXPECT_EQ(node(0).domain.shards().Find(1)->window.size(), 0u);
}

TEST_F(UserShardsTest, CursorIsCommitted_OnlyWhenItMoves) {
  Own(0, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Message(alice_, "m1"));
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(log_.committed[0], static_cast<std::int64_t>(log_.users[0].size()));
  const int commits = node(0).shard_log.commits;
  Elapse(std::chrono::seconds(3));
  EXPECT_EQ(node(0).shard_log.commits, commits);
}

TEST_F(UserShardsTest, TooMuchUnfinished_PausesTheShard) {
  owner_options_.max_unfinished_records = 20;
  AddNode();
  Own(0, 2);
  Own(1, 2);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  for (int i = 0; i < 60; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  EXPECT_TRUE(node(2).shard_log.paused.contains(1));
  EXPECT_LE(node(2).domain.shards().Find(1)->window.size(), 22u);
  bob.acks = true;
  gateway_.Deliver(bob, bob.last_seq);
  ASSERT_TRUE(RunUntil([&] {
    Elapse(std::chrono::milliseconds(500));
    return bob.MessageIds().size() == 60;
  }));
}

TEST_F(UserShardsTest, OneThatCannotFinish_HoldsBackNobodyElse) {
  owner_options_.max_unfinished_records = 20;
  AddNode();
  Own(0, 2);
  Own(1, 2);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  database_.down = true;
  const std::string absent = UserIn(1, 1);
  gateway_.Send(alice, Message(absent, "waits"));
  for (int i = 0; i < 100; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  EXPECT_EQ(bob.MessageIds().size(), 100u);
  EXPECT_FALSE(node(2).shard_log.paused.contains(1));
  EXPECT_EQ(node(2).domain.shards().Find(1)->window.size(), 1u);
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return database_.Waiting(absent) == 1; }));
}

TEST_F(UserShardsTest, LogTooBusy_ReadingStopsUntilItIsCalm) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  node(0).event_log.congested = true;
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  EXPECT_TRUE(node(0).shard_log.paused.contains(0));
  EXPECT_TRUE(node(0).shard_log.paused.contains(1));
  node(0).event_log.congested = false;
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() == 2; }));
  EXPECT_TRUE(node(0).shard_log.paused.empty());
}

// ---- what the log does not take -----------------------------------------------

TEST_F(UserShardsTest, RefusedFence_IsTriedAgain) {
  int refusals = 3;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_fence() && refusals-- > 0 ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  Assign(0, 0);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  EXPECT_LT(refusals, 0);
}

// ---- a log that is shorter than it was --------------------------------------------

TEST_F(UserShardsTest, LogCut_TheShardGoesOn_NewRecordsAreApplied_EpochsRise) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  for (int i = 0; i < 20; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  Elapse(std::chrono::seconds(1));
  const std::int64_t epoch = node(0).domain.shards().Find(1)->epoch;
  ASSERT_GT(log_.committed[1], 20);
  Kill(0);
  log_.users[1].clear();
  Own(0, 1);
  gateway_.Send(alice, Message(bob_, "before"));
  Settle();
  Own(1, 1);
  EXPECT_GT(node(1).domain.shards().Find(1)->epoch, epoch);
  gateway_.Send(alice, Message(bob_, "after"));
  Settle();
  auto ids = bob.MessageIds();
  ASSERT_GE(ids.size(), 2u);
  EXPECT_EQ(ids[ids.size() - 2], "before");
  EXPECT_EQ(ids.back(), "after");
  EXPECT_EQ(node(1).owner.metrics().log_cuts.Value(), 1);
}

TEST_F(UserShardsTest, LogCutUnderItsOwner_TakenAfresh_NewMessagesArrive_NobodyIsSignedOut) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  for (int i = 0; i < 20; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  Elapse(std::chrono::seconds(1));
  const std::int64_t epoch = node(0).domain.shards().Find(1)->epoch;
  bob.inbox.clear();
  log_.users[1].clear();
  gateway_.Send(alice, Message(bob_, "first"));
  ASSERT_TRUE(RunUntil([&] {
    const Shard* shard = node(0).domain.shards().Find(1);
    return shard != nullptr && shard->live() && shard->epoch > epoch;
  }));
  gateway_.Send(alice, Message(bob_, "second"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("first", "second"));
  EXPECT_FALSE(bob.ended);
  EXPECT_EQ(node(0).owner.metrics().log_cuts.Value(), 1);
}

// The topic was made anew, and Redis is empty: only the store knows of earlier owners.
TEST_F(UserShardsTest, LogMadeAnew_EpochsRiseAboveTheOneInTheStore_NothingIsLost) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  for (int i = 0; i < 20; ++i) gateway_.Send(alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  Kill(0);
  bob.inbox.clear();
  log_.users[1].clear();
  log_.committed.erase(1);
  directory_.shards.clear();
  database_.claims.rows[1] = {1'000, 7};
  Own(0, 1);
  gateway_.Send(alice, Message(bob_, "before"));
  Settle();
  Own(1, 1);
  EXPECT_EQ(node(1).domain.shards().Find(1)->epoch, 1'001);
  EXPECT_EQ(node(1).owner.metrics().log_cuts.Value(), 1);
  gateway_.Send(alice, Message(bob_, "after"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("before", "after"));
  EXPECT_FALSE(bob.ended);
  // The rows that this owner writes count.
  gateway_.End(bob, END_REASON_CONNECTION_LOST);
  ASSERT_TRUE(RunUntil([&] { return bob.parked; }));
  EXPECT_EQ(database_.parked.begin()->second.writer, (WaitingStore::Writer{1, 1'001}));
  EXPECT_EQ(database_.claims.rows[1].epoch, 1'001);
}

// ---- a store that knows of a newer owner ------------------------------------------

TEST_F(UserShardsTest, TheStoreKnowsANewerOwnerFromTheBeginning_TheEpochIsAboveIts) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(alice, Message(bob_, "m1"));
  Elapse(std::chrono::seconds(1));
  Kill(0);
  database_.claims.rows[1] = {1'000, 7};
  Own(0, 1);
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  Own(1, 1);
  EXPECT_EQ(node(1).domain.shards().Find(1)->epoch, 1'001);
  EXPECT_EQ(node(1).owner.metrics().superseded.Value(), 1);
  EXPECT_EQ(node(1).owner.metrics().log_cuts.Value(), 0);
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_FALSE(bob.ended);
}

TEST_F(UserShardsTest, TheStoreKnowsANewerOwner_AndDoesNotSayWho_ItIsAskedAgain) {
  database_.claims.rows[1] = {1'000, 7};
  int asked = 0;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    if (call == "ClaimedBy") database_.down = ++asked == 1;
    if (call == "Claim") database_.down = false;
    co_return;
  };
  Own(1, 0);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(node(0).domain.shards().Find(1)->epoch, 1'001);
}

// ---- freeze -----------------------------------------------------------------

TEST_F(UserShardsTest, Frozen_NothingIsDoneBeforeOwnershipIsKnown_StillOurs) {
  Own(0, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  clock_.Advance(std::chrono::seconds(15));
  gateway_.Send(alice, Message(alice_, "m1"));
  EXPECT_TRUE(node(0).domain.shards().Find(0)->suspended);
  EXPECT_EQ(alice.confirmed, 1u);
  Settle();
  EXPECT_FALSE(node(0).domain.shards().Find(0)->suspended);
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(alice.confirmed, 2u);
}

TEST_F(UserShardsTest, Frozen_ShardsMoved_NoHarmDone) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  node(0).frozen = true;
  node(0).assigned.clear();
  node(0).shard_log.member = false;
  clock_.Advance(std::chrono::seconds(15));
  node(1).owner.NoteTime();
  Own(0, 1);
  Own(1, 1);
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  // It wakes up; its timers run before it hears that it is no member any more.
  node(0).frozen = false;
  node(0).Sweep();
  node(0).owner.CommitCursors();
  Settle();
  EXPECT_TRUE(node(0).domain.shards().Find(0)->suspended);
  node(0).owner.OnLost(0);
  node(0).owner.OnLost(1);
  Settle();
  EXPECT_EQ(node(0).domain.shards().Find(0), nullptr);
  EXPECT_TRUE(node(0).domain.table().empty());
  EXPECT_FALSE(alice.ended);
  EXPECT_FALSE(bob.ended);
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(alice.confirmed, alice.sent);
}

TEST_F(UserShardsTest, Frozen_ShardsMoved_WhatTheNewOwnerGaveIsNotStoredByTheOldOne) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  node(0).frozen = true;
  node(0).shard_log.member = false;
  clock_.Advance(std::chrono::seconds(15));
  node(1).owner.NoteTime();
  // Due before the shard is lost, and the next owner's to apply all the same.
  events::v1::UserRecord due;
  *due.mutable_delivery()->mutable_stanza() = Message(bob_, "due");
  due.mutable_delivery()->mutable_stanza()->set_from("x@localhost/y");
  log_.users[1].push_back(due.SerializeAsString());
  Own(0, 1);
  Own(1, 1);
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(alice, Message(bob_, "m"));
  Settle();
  ASSERT_EQ(bob.MessageIds().back(), "m");
  ASSERT_TRUE(RunUntil([&] { return database_.Waiting(bob_) == 0; }));
  const double applied = node(0).owner.metrics().applied.Value();
  // It wakes up, and its records come before it hears that it is no member any more.
  node(0).frozen = false;
  Settle();
  EXPECT_EQ(node(0).owner.metrics().applied.Value(), applied);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  node(0).owner.OnLost(0);
  node(0).owner.OnLost(1);
  node(0).assigned.clear();
  Settle();
  gateway_.End(bob, session::v1::END_REASON_CLOSED);
  Settle();
  Client& again = SignIn(gateway_, bob_, "b");
  EXPECT_THAT(again.MessageIds(), IsEmpty());
}

TEST_F(UserShardsTest, ShardsMovedUnnoticed_WhatTheNewOwnerGaveIsNotStoredByTheOldOne) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  node(0).frozen = true;  // but no clock says so
  node(0).shard_log.member = false;
  Own(0, 1);
  Own(1, 1);
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(alice, Message(bob_, "m"));
  Settle();
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m"));
  node(0).frozen = false;
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_EQ(node(0).owner.metrics().superseded.Value(), 2);
  node(0).owner.OnLost(0);
  node(0).owner.OnLost(1);
  Settle();
  EXPECT_EQ(node(0).domain.shards().Find(1), nullptr);
}

TEST_F(UserShardsTest, Frozen_WhatWaitsForTheStoreIsNotWrittenBeforeOwnershipIsKnown) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  database_.down = true;
  gateway_.Send(alice, Message(bob_, "m"));
  Settle();
  node(0).shard_log.member = false;
  clock_.Advance(std::chrono::seconds(15));
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return node(0).domain.shards().Find(1)->suspended; }));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  node(0).shard_log.member = true;
  ASSERT_TRUE(RunUntil([&] { return database_.Waiting(bob_) == 1; }));
}

TEST_F(UserShardsTest, FrozenForTooLong_GivesUpItsShardsAndWhatItHadToSay) {
  Own(0, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  log_.held = true;
  gateway_.Send(alice, Message(alice_, "m1"));
  Settle();
  node(0).shard_log.member = false;
  clock_.Advance(settings_.duplicate_horizon / 2 + std::chrono::seconds(1));
  node(0).Sweep();
  EXPECT_TRUE(node(0).domain.table().empty());
  EXPECT_EQ(node(0).event_log.drops, 1);
  log_.held = false;
  Settle();
  EXPECT_EQ(alice.confirmed, 1u);
  EXPECT_EQ(node(0).owner.live(), 0u);
  node(0).owner.OnLost(0);
  node(0).assigned.clear();
  node(0).shard_log.position.clear();
  node(1).Sweep();
  Own(0, 1);
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(alice.confirmed, alice.sent);
}

TEST_F(UserShardsTest, Frozen_TheGatewaysClosedTheirLinks_NoSessionIsEndedBeforeOwnershipIsKnown) {
  Own(0, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  node(0).shard_log.member = false;
  clock_.Advance(std::chrono::seconds(15));
  gateway_.Unlink(node(0));
  node(0).Sweep();
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(std::chrono::milliseconds(500));
    node(0).Sweep();
  }
  io_.restart();
  io_.poll();
  EXPECT_EQ(node(0).domain.table().size(), 1u);
  EXPECT_FALSE(alice.ended);
}

// ---- hand-over --------------------------------------------------------------

TEST_F(UserShardsTest, Revoked_HandedOverWithItsCursor) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  const std::int64_t cursor = node(0).domain.shards().Find(1)->window.cursor();
  Revoke(1, 0);
  Settle();
  EXPECT_THAT(node(0).shard_log.released, ElementsAre(1u));
  EXPECT_EQ(log_.committed[1], cursor);
  EXPECT_EQ(node(0).domain.shards().Find(1), nullptr);
  Own(1, 1);
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_FALSE(bob.ended);
}

TEST_F(UserShardsTest, Revoked_ParksFirst) {
  Own(1, 0);
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  database_.down = true;
  gateway_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Revoke(1, 0);
  Settle();
  EXPECT_THAT(node(0).shard_log.released, IsEmpty());
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !node(0).shard_log.released.empty(); }));
  EXPECT_EQ(database_.parked.size(), 1u);
}

TEST_F(UserShardsTest, Revoked_AppendsInFlightDoNoHarm) {
  Own(0, 0);
  Own(1, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  log_.held = true;
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  Revoke(0, 0);
  Settle();
  log_.held = false;
  Settle();
  Own(0, 1);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(alice.confirmed, alice.sent);
}

TEST_F(UserShardsTest, RevokedWhileAcquiring) {
  log_.held = true;
  Assign(0, 0);
  Settle();
  Revoke(0, 0);
  Settle();
  EXPECT_THAT(node(0).shard_log.released, ElementsAre(0u));
  log_.held = false;
  Settle();
  EXPECT_EQ(node(0).domain.shards().Find(0), nullptr);
  Own(0, 1);
}

TEST_F(UserShardsTest, LostAndGivenBack) {
  Own(0, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  node(0).owner.OnLost(0);
  node(0).assigned.clear();
  node(0).shard_log.position.clear();
  Settle();
  EXPECT_EQ(node(0).domain.shards().Find(0), nullptr);
  Own(0, 0);
  gateway_.Send(alice, Message(alice_, "m1"));
  Settle();
  EXPECT_THAT(alice.MessageIds(), ElementsAre("m1"));
  EXPECT_FALSE(alice.ended);
}

TEST_F(UserShardsTest, LostWithATurnUnderWay) {
  Own(0, 0);
  Client& alice = SignIn(gateway_, alice_, "a");
  roster_.down = true;
  gateway_.Send(alice, Presence("unavailable"));
  gateway_.Send(alice, Presence());
  Settle();
  node(0).owner.OnLost(0);
  node(0).assigned.clear();
  node(0).shard_log.position.clear();
  roster_.down = false;
  Own(0, 1);
  ASSERT_TRUE(RunUntil([&] { return alice.confirmed == alice.sent; }));
  EXPECT_TRUE(node(0).domain.table().empty());
}

}  // namespace
}  // namespace rookery::session_manager
