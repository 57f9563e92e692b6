// A shard changes its owner: gateways attach their sessions, the log is read again from
// the cursor, and nothing may be lost or given twice (protos/README.md, "Cursor").
#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ShardChangeTest : public Cluster {
 protected:
  // alice's shard stays with node 0; bob's moves from node 1 to node 2.
  ShardChangeTest() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    alice = &SignIn(gateway_, alice_, "a");
    bob = &SignIn(other_, bob_, "b");
  }
  void Say(int from, int to) {
    for (int i = from; i <= to; ++i) gateway_.Send(*alice, Message(bob_ + "/b", "m" + std::to_string(i)));
    Settle();
  }
  void Move(bool lose = true) {
    Kill(1, lose);
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Settle();
  }
  /// Whoever resumes has seen what came before.
  Client& ResumeAt(Gateway& gateway, Client& client, std::uint32_t handled, std::optional<bool> acks = {}) {
    Client& resumed = gateway.Resume(client, handled);
    resumed.inbox.clear();
    if (acks) resumed.acks = *acks;
    Settle();
    return resumed;
  }
  Shard& BobsShard() { return *node(owners_[1]).domain.shards().Find(1); }
  static std::vector<std::string> Ids(int from, int to) {
    std::vector<std::string> ids;
    for (int i = from; i <= to; ++i) ids.push_back("m" + std::to_string(i));
    return ids;
  }
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_;
  Client* alice = nullptr;
  Client* bob = nullptr;
};

TEST_F(ShardChangeTest, Acknowledged_NotGivenAgain) {
  Say(1, 3);
  Move();  // nothing was committed: the whole log is read again
  EXPECT_EQ(bob->MessageIds(), Ids(1, 3));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_EQ(BobsShard().window.size(), 0u);
  Say(4, 5);
  EXPECT_EQ(bob->MessageIds(), Ids(1, 5));
}

TEST_F(ShardChangeTest, MoreWaitsForTheShardThanMay_ItComesAgainWhenThereIsRoomAndTheLinkStays) {
  Kill(1);
  node(2).settings.max_waiting_actions = 3;
  database_.down = true;
  Assign(1, 2);
  Settle();
  ASSERT_FALSE(IsLive(1));
  for (int i = 1; i <= 5; ++i) other_.Send(*bob, Message(alice_, "b" + std::to_string(i)));
  other_.End(*bob, END_REASON_CLOSED);
  // The gateway is to say so to its client, and not to look for another owner.
  Client& next = other_.Start(bob_, "next");
  Settle();
  ASSERT_TRUE(next.start_failure);
  EXPECT_TRUE(next.start_failure->temporary());
  EXPECT_FALSE(next.start_failure->not_owner());
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(1));
  EXPECT_FALSE(other_.IsClosed(node(2)));
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1", "b2", "b3", "b4", "b5"));
  EXPECT_TRUE(node(2).domain.table().empty()) << "closed, and nobody knows";
  EXPECT_EQ(bob->confirmed, bob->sent);
}

TEST_F(ShardChangeTest, MoreWaitsForTheShardThanMay_WhatComesBeforeItsGatewayIsAskedToSayItAgainHasToWait) {
  Kill(1);
  node(2).settings.max_waiting_actions = 1;
  database_.down = true;
  Elapse(std::chrono::minutes(3));  // so that the attachment itself has to wait
  Assign(1, 2);
  Settle();
  ASSERT_FALSE(IsLive(1));
  other_.Send(*bob, Message(alice_, "b1"));
  Settle();
  // It has not heard yet that it is to say all of it again.
  other_.attaches = false;
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  other_.Send(*bob, Message(alice_, "b2"));
  Settle();
  ASSERT_FALSE(bob->ended);
  other_.attaches = true;
  other_.Relink(node(2));
  Settle();
  Elapse(std::chrono::seconds(1));
  EXPECT_FALSE(bob->ended);
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1", "b2"));
  EXPECT_EQ(bob->confirmed, bob->sent);
}

TEST_F(ShardChangeTest, MoreWaitsForTheShardThanMay_OfAGatewayThatDoesNotSayItAgain_TheLinkIsClosed) {
  Kill(1);
  node(2).settings.max_waiting_actions = 3;
  database_.down = true;
  Assign(1, 2);
  Settle();
  for (int i = 1; i <= 5; ++i) other_.Send(*bob, Message(alice_, "b" + std::to_string(i)));
  other_.attaches = false;
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(11));
  other_.Send(*bob, Message(alice_, "b6"));
  EXPECT_TRUE(other_.IsClosed(node(2)));
  other_.attaches = true;
  other_.Relink(node(2));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("b1", "b2", "b3", "b4", "b5", "b6"));
}

TEST_F(ShardChangeTest, Unacknowledged_NotGivenAgainButKept) {
  bob->acks = false;
  other_.EnableStreamManagement(*bob);
  Say(1, 3);
  Move();
  EXPECT_EQ(bob->MessageIds(), Ids(1, 3));
  EXPECT_LT(BobsShard().window.cursor(), BobsShard().window.next_offset());
  // The client goes: the new owner can replay what it never gave itself.
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = ResumeAt(gateway_, *bob, 1);
  ASSERT_TRUE(resumed.started);
  EXPECT_EQ(resumed.MessageIds(), Ids(2, 3));
}

TEST_F(ShardChangeTest, Unacknowledged_SessionEnds_GoesToTheStore) {
  bob->acks = false;
  Say(1, 2);
  Move();
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(database_.Waiting(bob_), 2u);
}

TEST_F(ShardChangeTest, ArrivedWhileThereWasNoOwner) {
  Say(1, 1);
  Kill(1);
  Say(2, 4);
  EXPECT_EQ(alice->confirmed, alice->sent);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_EQ(bob->MessageIds(), Ids(1, 4));
}

TEST_F(ShardChangeTest, ReadButNeverGiven_IsGiven) {
  // The old owner read the records and died with the packets in its outbox.
  Say(1, 1);
  Kill(1);
  Say(2, 2);
  log_.committed[1] = 1;  // somewhere old
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_EQ(bob->MessageIds(), Ids(1, 2));
}

TEST_F(ShardChangeTest, SentByAClientOfTheShard_OnceUnderTwoOwners) {
  // Reached the log, the confirm never came: the gateway sends it again.
  log_.held = true;
  other_.Send(*bob, Message(alice_, "m1"));
  other_.Send(*bob, Message(alice_, "m2"));
  Settle();
  Kill(1, /*lose=*/false);
  log_.held = false;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_EQ(bob->confirmed, bob->sent);
  EXPECT_EQ(alice->MessageIds(), Ids(1, 2));
}

TEST_F(ShardChangeTest, SentByAClientOfTheShard_LostInFlight) {
  log_.held = true;
  other_.Send(*bob, Message(alice_, "m1"));
  other_.Send(*bob, Message(alice_, "m2"));
  Settle();
  log_.Flush(1);
  Kill(1, /*lose=*/true);
  log_.held = false;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_EQ(bob->confirmed, bob->sent);
  EXPECT_EQ(alice->MessageIds(), Ids(1, 2));
}

TEST_F(ShardChangeTest, StoredOfflineByTheEarlierOwner_OnlyOnce) {
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Say(1, 2);
  EXPECT_EQ(database_.Waiting(bob_), 2u);
  Move();
  EXPECT_EQ(database_.Waiting(bob_), 2u);
  Client& again = SignIn(other_, bob_, "b", std::nullopt);
  other_.Send(again, Presence());
  Settle();
  EXPECT_EQ(again.MessageIds(), Ids(1, 2));
}

TEST_F(ShardChangeTest, OfflineMessagesGivenAndAcknowledged_NotAgain) {
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Say(1, 2);
  Client& again = SignIn(other_, bob_, "b", std::nullopt);
  other_.Send(again, Presence());
  Settle();
  EXPECT_EQ(again.MessageIds(), Ids(1, 2));
  Move();
  EXPECT_EQ(again.MessageIds(), Ids(1, 2));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(ShardChangeTest, OfflineMessagesGivenAndUnacknowledged_ReplayedOnResume) {
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Say(1, 2);
  Client& again = SignIn(other_, bob_, "b", std::nullopt);
  other_.EnableStreamManagement(again);
  again.acks = false;
  other_.Send(again, Presence());
  Settle();
  EXPECT_EQ(again.MessageIds(), Ids(1, 2));
  Move();
  EXPECT_EQ(again.MessageIds(), Ids(1, 2));
  other_.End(again, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = ResumeAt(gateway_, again, 0, true);
  ASSERT_TRUE(resumed.started);
  EXPECT_EQ(resumed.MessageIds(), Ids(1, 2));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(ShardChangeTest, StoredButTheSessionIsNewer) {
  // The record was read when nobody was there; the store did not answer before the owner died.
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  database_.down = true;
  Say(1, 1);
  Client& again = SignIn(other_, bob_, "b", std::nullopt);
  Kill(1);
  database_.down = false;
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  other_.Send(again, Presence());
  Settle();
  EXPECT_EQ(again.MessageIds(), Ids(1, 1));
}

TEST_F(ShardChangeTest, StoredButTheSessionIsNewerAndAvailable) {
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Say(1, 1);
  Client& again = SignIn(other_, bob_, "b");  // got m1 from the store
  Move();
  EXPECT_THAT(again.MessageIds(), IsEmpty());  // SignIn has taken it
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(ShardChangeTest, ParkedSession_WaitsAtTheNewOwner) {
  other_.EnableStreamManagement(*bob);
  bob->acks = false;
  Say(1, 2);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(bob->parked);
  Say(3, 4);
  Move();
  Say(5, 5);
  Client& resumed = ResumeAt(gateway_, *bob, 1);
  ASSERT_TRUE(resumed.started);
  EXPECT_EQ(resumed.MessageIds(), Ids(2, 5));
  EXPECT_THAT(database_.parked, IsEmpty());
}

TEST_F(ShardChangeTest, ParkedSession_WithStoredPacketsBeyondTheSnapshot) {
  other_.EnableStreamManagement(*bob);
  bob->acks = false;
  Say(1, 2);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(bob->parked);
  Say(3, 4);
  Elapse(settings_.window_time + std::chrono::seconds(2));  // stored, cursor moves and is committed
  EXPECT_EQ(database_.Packets(bob_, bob->id), 4u);
  EXPECT_EQ(log_.committed[1], BobsShard().window.next_offset());
  Move();
  Say(5, 5);
  Client& resumed = ResumeAt(gateway_, *bob, 0, true);
  ASSERT_TRUE(resumed.started);
  EXPECT_EQ(resumed.MessageIds(), Ids(1, 5));
  EXPECT_EQ(database_.Packets(bob_, bob->id), 0u);
}

TEST_F(ShardChangeTest, StoredPacketsThatTheGatewayKnows) {
  other_.EnableStreamManagement(*bob);
  bob->acks = false;
  Say(1, 3);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  EXPECT_EQ(database_.Packets(bob_, bob->id), 3u);
  other_.Deliver(*bob, bob->base_seq + 1);
  Settle();
  Move();
  EXPECT_EQ(bob->MessageIds(), Ids(1, 3));
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = ResumeAt(gateway_, *bob, 1);
  ASSERT_TRUE(resumed.started);
  EXPECT_EQ(resumed.MessageIds(), Ids(2, 3));
}

TEST_F(ShardChangeTest, StoredPacketsBeyondTheGatewaysKnowledge) {
  // The gateway's link was slow: the owner numbered and stored packets that never arrived.
  other_.EnableStreamManagement(*bob);
  bob->acks = false;
  Say(1, 1);
  Settle();
  node(1).domain.table().Find(SessionId(bob->id))->gateway = nullptr;  // what is sent is lost from here on
  Say(2, 3);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  EXPECT_EQ(database_.Packets(bob_, bob->id), 3u);
  EXPECT_EQ(bob->MessageIds(), Ids(1, 1));
  Move();
  Say(4, 4);
  EXPECT_EQ(bob->MessageIds(), Ids(1, 4));
}

TEST_F(ShardChangeTest, LostConnection_NotYetParked_AttachedDetached) {
  other_.EnableStreamManagement(*bob);
  bob->acks = false;
  Say(1, 2);
  database_.down = true;
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_FALSE(bob->parked);
  Kill(1);
  database_.down = false;
  Say(3, 3);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ASSERT_TRUE(RunUntil([&] {
    Elapse(std::chrono::milliseconds(500));
    return bob->parked;
  }));
  Client& resumed = ResumeAt(gateway_, *bob, 0);
  ASSERT_TRUE(resumed.started);
  EXPECT_EQ(resumed.MessageIds(), Ids(1, 3));
}

TEST_F(ShardChangeTest, EndWhileThereWasNoOwner) {
  Kill(1);
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_TRUE(bob->ended);
  EXPECT_TRUE(node(2).domain.table().empty());
}

TEST_F(ShardChangeTest, ClosedAndBackUnderTheSameName_WhatItSentIsNotLost) {
  // Its next session begins on a gateway that the new owner hears first.
  Kill(1);
  other_.Send(*bob, Message(alice_, "m1"));
  other_.End(*bob, END_REASON_CLOSED);
  other_.attaches = false;  // it is slow
  Assign(1, 2);
  Settle();
  Client& again = gateway_.Start(bob_, "b");
  Settle();
  ASSERT_FALSE(IsLive(1));
  other_.attaches = true;
  other_.Relink(node(2));
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_TRUE(again.started);
  EXPECT_EQ(alice->MessageIds(), Ids(1, 1));
  EXPECT_EQ(bob->confirmed, bob->sent);
}

TEST_F(ShardChangeTest, StateComesAlong) {
  roster_.Befriend(alice_, bob_);
  Carbons(*bob);
  Move();
  alice->inbox.clear();
  gateway_.Send(*alice, Presence("probe", bob_));
  Settle();
  ASSERT_EQ(alice->inbox.size(), 1u);
  EXPECT_EQ(alice->inbox[0].from(), bob_ + "/b");
  // And its end is told by an owner that had to load the roster first.
  alice->inbox.clear();
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_EQ(Only(alice->inbox, common::v1::STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
}

TEST_F(ShardChangeTest, OldPresenceIsNotGivenAgain) {
  roster_.Befriend(alice_, bob_);
  Kill(1);
  gateway_.Send(*alice, Presence({}, {}, 4));
  Settle();
  clock_.Advance(std::chrono::seconds(2));
  Settle();
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_LE(Only(bob->inbox, common::v1::STANZA_KIND_PRESENCE, "").size(), 1u);
}

TEST_F(ShardChangeTest, CarbonCopies_NotTwice) {
  Client& desk = SignIn(gateway_, bob_, "desk");
  Carbons(desk);
  bob->acks = desk.acks = false;
  desk.inbox.clear();
  bob->inbox.clear();
  Say(1, 2);
  EXPECT_EQ(desk.inbox.size(), 2u);
  Move();
  EXPECT_EQ(desk.inbox.size(), 2u);
  EXPECT_EQ(bob->MessageIds(), Ids(1, 2));
}

TEST_F(ShardChangeTest, ToTheBareJid_AnotherResourceHasSignedInSince) {
  bob->acks = false;
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  Client& better = SignIn(gateway_, bob_, "better", 50);
  Move();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(better.MessageIds(), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(ShardChangeTest, ReroutedMessage_IsNotLostByAKillRightAfter) {
  // m1 went to the phone, later ones to the desk; the phone ends, m1 is on its way to the
  // desk when the owner dies. The desk's newest offset is beyond m1's.
  Client& phone = SignIn(gateway_, bob_, "phone", 50);
  phone.acks = false;
  bob->inbox.clear();
  gateway_.Send(*alice, Message(bob_, "m1"));
  Say(2, 3);
  EXPECT_EQ(bob->MessageIds(), Ids(2, 3));
  node(1).frozen = true;  // its packets stay in its outbox
  gateway_.End(phone, END_REASON_CLOSED);
  io_.restart();
  io_.poll();
  Move();
  node(1).frozen = false;
  const std::vector<std::string> ids = bob->MessageIds();
  const bool has = std::find(ids.begin(), ids.end(), "m1") != ids.end();
  EXPECT_TRUE(has || database_.Waiting(bob_) == 1) << "m1 is nowhere";
}

TEST_F(ShardChangeTest, FanoutBehindABusyUser_DoesNotHideAnEarlierMessage) {
  // bob is busy; a message waits for its turn while a broadcast that came after it is
  // there already. If the owner dies now, the message must still be found.
  roster_.Befriend(alice_, bob_);
  gateway_.End(*alice, END_REASON_CLOSED);
  Settle();
  alice = &SignIn(gateway_, alice_, "a");
  Client& desk = SignIn(gateway_, bob_, "desk");
  bob->inbox.clear();
  roster_.down = true;
  gateway_.Send(desk, Presence("unavailable"));
  Settle();
  gateway_.Send(desk, Presence());
  Settle();
  Say(1, 1);
  gateway_.Send(*alice, Presence({}, {}, 3));
  Settle();
  roster_.down = false;
  Move();
  EXPECT_EQ(bob->MessageIds(), Ids(1, 1));
}

TEST_F(ShardChangeTest, ManyMoves_NothingLostNothingTwice) {
  bob->acks = false;
  other_.EnableStreamManagement(*bob);
  int said = 0;
  for (int round = 0; round < 4; ++round) {
    Say(said + 1, said + 7);
    said += 7;
    if (round == 1) other_.Deliver(*bob, bob->base_seq + 5);
    const int from = owners_[1];
    if (round == 2) Elapse(settings_.window_time + std::chrono::seconds(2));
    Kill(from);
    Say(said + 1, said + 3);
    said += 3;
    const int to = AddNode().number;
    Assign(1, to);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Settle();
    ASSERT_EQ(bob->MessageIds(), Ids(1, said)) << "round " << round;
  }
  other_.Deliver(*bob, bob->last_seq);
  Settle();
  EXPECT_EQ(BobsShard().window.size(), 0u);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(ShardChangeTest, AlicesSideMoves_EachMessageOnce) {
  for (int round = 0; round < 3; ++round) {
    log_.held = true;
    for (int i = 1; i <= 5; ++i)
      gateway_.Send(*alice, Message(bob_ + "/b", "m" + std::to_string(round * 5 + i)));
    Settle();
    log_.Flush(2);
    Settle();
    const int from = owners_[0];
    Kill(from, round != 1);
    log_.held = false;
    const int to = AddNode().number;
    Assign(0, to);
    ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
    Settle();
    EXPECT_EQ(alice->confirmed, alice->sent);
    EXPECT_EQ(bob->MessageIds(), Ids(1, round * 5 + 5));
  }
}

// ---- a client that has just resumed on another gateway ----------------------

class ResumedShortlyBeforeTest : public ShardChangeTest {
 protected:
  /// carol is bob's second session; nobody forgets where it was for as long as a test runs.
  void SignInFor(Gateway& gateway) {
    for (auto& node : nodes_) node->settings.resume_hand_over = std::chrono::hours(1);
    left = &SignIn(gateway, bob_, "carol", -1);
    gateway.EnableStreamManagement(*left);
  }
  /// On the other gateway, and away again at once.
  void ResumeSayAndGo(std::uint32_t handled) {
    resumed = &other_.Resume(*left, handled);
    resumed->acks = false;
    Settle();
    other_.Send(*resumed, Message(alice_, "r1"));
    Settle();
    EXPECT_EQ(resumed->confirmed, resumed->sent);
    other_.End(*resumed, END_REASON_CONNECTION_LOST);
    Settle();
  }
  /// carol's client leaves `from` for `to`, having got m1 to m3 and
  /// said one thing; `from` has not noticed.
  void Resume(Gateway& from, Gateway& to) {
    SignInFor(from);
    left->acks = false;
    for (int i = 1; i <= 3; ++i) Tell(i);
    from.Deliver(*left, left->base_seq + 1);
    resumed = &to.Resume(*left, 2);
    resumed->inbox.clear();
    resumed->acks = false;
    Settle();
    ASSERT_TRUE(resumed->started);
    Tell(4);
    to.Deliver(*resumed, resumed->base_seq + 3);
    to.Send(*resumed, Message(alice_, "r1"));
    Settle();
    ASSERT_FALSE(left->ended);
    EXPECT_EQ(resumed->MessageIds(), Ids(3, 4));
  }
  void Tell(int number) {
    gateway_.Send(*alice, Message(bob_ + "/carol", "m" + std::to_string(number)));
    Settle();
  }
  /// The one that resumed is the session, in both directions and for one more resumption.
  void ExpectResumedGoesOn(Gateway& to, Gateway& next) {
    ASSERT_FALSE(resumed->ended) << resumed->ended->condition();
    ASSERT_TRUE(left->ended);
    EXPECT_EQ(left->ended->condition(), "conflict");
    Tell(5);
    to.Send(*resumed, Message(alice_, "r2"));
    Settle();
    EXPECT_EQ(resumed->MessageIds(), Ids(3, 5));
    EXPECT_EQ(resumed->confirmed, resumed->sent);
    EXPECT_THAT(alice->MessageIds(), ElementsAre("r1", "r2"));
    to.End(*resumed, END_REASON_CONNECTION_LOST);
    Settle();
    Client& again = next.Resume(*resumed, 4);
    again.inbox.clear();
    Settle();
    ASSERT_TRUE(again.started);
    EXPECT_EQ(again.resume_answers.back().inbound_count(), resumed->sent);
    EXPECT_EQ(again.MessageIds(), Ids(5, 5));
    EXPECT_EQ(bob->MessageIds(), Ids(1, 0));
    EXPECT_EQ(database_.Waiting(bob_), 0u);
  }
  Client* left = nullptr;
  Client* resumed = nullptr;
};

TEST_F(ResumedShortlyBeforeTest, SL6_TheGatewayThatItLeftAttachesFirst) {
  Resume(gateway_, other_);
  Move();
  ExpectResumedGoesOn(other_, gateway_);
}

TEST_F(ResumedShortlyBeforeTest, SL6_TheGatewayThatItLeftAttachesLast) {
  Resume(other_, gateway_);
  Move();
  ExpectResumedGoesOn(gateway_, other_);
}

TEST_F(ResumedShortlyBeforeTest, SL6_TheNewGatewayAttachesWhenTheShardIsLive) {
  Resume(gateway_, other_);
  other_.attaches = false;
  for (auto& node : nodes_) node->settings.attach_timeout = std::chrono::milliseconds(100);
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] {
    clock_.Advance(std::chrono::milliseconds(50));
    return IsLive(1);
  }));
  gateway_.Send(*left, Message(alice_, "r1"));  // still in the old connection's buffers
  Settle();
  other_.attaches = true;
  other_.Relink(node(2));
  Settle();
  ExpectResumedGoesOn(other_, gateway_);
}

TEST_F(ResumedShortlyBeforeTest, SL6_GoneAgainAndParked_TheStoreKnowsBest) {
  Resume(gateway_, other_);
  other_.End(*resumed, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(resumed->parked);
  Move();
  EXPECT_TRUE(left->ended);
  Tell(5);
  Client& again = ResumeAt(other_, *resumed, 3);
  ASSERT_TRUE(again.started);
  EXPECT_EQ(again.resume_answers.back().inbound_count(), resumed->sent);
  EXPECT_EQ(again.MessageIds(), Ids(4, 5));
}

TEST_F(ResumedShortlyBeforeTest, ParkedTwiceWithinAMoment_TheStoreHasTheSecond) {
  // Both gateways have let go of it: only the store knows what its client knows.
  SignInFor(gateway_);
  left->acks = false;
  Tell(1);
  gateway_.End(*left, END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_TRUE(left->parked);
  ResumeSayAndGo(1);
  ASSERT_TRUE(resumed->parked);
  Move();
  Tell(2);
  Client& again = ResumeAt(gateway_, *resumed, 1);
  ASSERT_TRUE(again.started);
  EXPECT_EQ(again.resume_answers.back().inbound_count(), resumed->sent);
  EXPECT_EQ(again.MessageIds(), Ids(2, 2));
}

TEST_F(ResumedShortlyBeforeTest, AwayAgainWhileItIsBeingParked_TheStoreHasTheSecond) {
  SignInFor(gateway_);
  database_.held = true;
  gateway_.End(*left, END_REASON_CONNECTION_LOST);
  Settle();
  clock_.Advance(std::chrono::milliseconds(100));
  ResumeSayAndGo(0);
  EXPECT_FALSE(resumed->parked);
  database_.held = false;
  ASSERT_TRUE(RunUntil([&] { return resumed->parked; }));
  const auto& row = database_.parked.begin()->second.session.attach;
  EXPECT_EQ(row.confirmed_count(), resumed->sent);
}

TEST_F(ShardChangeTest, ResumedWithNothingUnacknowledged_NothingIsGivenAgain) {
  // Its messages came through the gateway that it left.
  other_.EnableStreamManagement(*bob);
  Say(1, 3);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = ResumeAt(gateway_, *bob, 3);
  ASSERT_TRUE(resumed.started);
  Move();  // nothing was committed: the whole log is read again
  EXPECT_THAT(resumed.MessageIds(), IsEmpty());
  Say(4, 4);
  EXPECT_EQ(resumed.MessageIds(), Ids(4, 4));
}

TEST_F(ShardChangeTest, ResumedAndTheRestNeverArrived_TheRestIsGiven) {
  other_.EnableStreamManagement(*bob);
  bob->acks = false;
  Say(1, 3);
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = ResumeAt(gateway_, *bob, 1);
  ASSERT_TRUE(resumed.started);
  // As its gateway knows it before the packets come.
  resumed.inbox.clear();
  resumed.unacked.clear();
  resumed.last_seq = resumed.acked_seq;
  resumed.last_offset = resumed.last_primary = resumed.resume_answers.back().acked_offset();
  Move();
  EXPECT_EQ(resumed.MessageIds(), Ids(2, 3));
}

TEST_F(ShardChangeTest, ResumedAfterAnOldMessageWasRoutedAnew_NothingIsGivenAgain) {
  // `once` may not be stored: when the phone ends it goes to the desk, which has newer ones.
  Client& phone = SignIn(gateway_, bob_, "phone", 50);
  phone.acks = false;
  other_.EnableStreamManagement(*bob);
  xmpp::Stanza once = Message(bob_, "once");
  xmpp::AddPayload(once, xmpp::Element("no-store", "urn:xmpp:hints"));
  gateway_.Send(*alice, once);
  Settle();
  gateway_.Send(phone, Presence("unavailable"));
  Say(1, 3);
  bob->acks = false;
  const auto handled = static_cast<std::uint32_t>(bob->acked_seq - bob->base_seq);
  gateway_.End(phone, END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2", "m3", "once"));
  other_.End(*bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& resumed = ResumeAt(gateway_, *bob, handled, false);
  ASSERT_TRUE(resumed.started);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("once"));
  Move();  // nothing was committed: the whole log is read again
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("once"));
}

TEST_F(ResumedShortlyBeforeTest, CannotGoOn_BothGatewaysAreTold) {
  // The log no longer has what the client has not acknowledged.
  SignInFor(gateway_);
  left->acks = false;
  Tell(1);
  Kill(1);
  log_.committed[1] = static_cast<std::int64_t>(log_.users[1].size());
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  resumed = &other_.Resume(*left, 0);
  Settle();
  ASSERT_TRUE(resumed->ended);
  EXPECT_EQ(resumed->ended->condition(), "internal-server-error");
  EXPECT_TRUE(left->ended);
}

TEST_F(ResumedShortlyBeforeTest, Ended_TheGatewayThatItLeftIsTold) {
  Resume(gateway_, other_);
  other_.Deliver(*resumed, resumed->last_seq);
  other_.End(*resumed, END_REASON_CLOSED);
  Settle();
  EXPECT_TRUE(left->ended);
  Move();
  EXPECT_EQ(BobsShard().FindUser(bob_)->sessions.size(), 1u);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

}  // namespace
}  // namespace rookery::session_manager
