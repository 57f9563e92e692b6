// The rules of src/domain/delivery/README.md, each under its name there. W1 to W4 are in
// hand_out_rules_test.cc.
#include "delivery_rules.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- the owner dies between two steps ---------------------------------------

/// m1 was for nobody, is on its way into a store that does not answer, and bob becomes available.
class FromMemory : public DeliveryRules, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    bob = &SignIn(other_, bob_, "b", std::nullopt);
    // Whether the write that nobody was told of is made.
    if (GetParam()) {
      database_.ambiguous = true;
    } else {
      Stop("StoreOffline");
    }
    Say("m1", bob_);
  }
  void ExpectOnce() {
    ASSERT_TRUE(Eventually([&] { return bob->MessageIds().size() == 1; }));
    ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 0 && Unfinished() == 0; }));
    Elapse(std::chrono::seconds(10));
    EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
    EXPECT_THAT(NextSession(), IsEmpty());
  }
  Client* bob = nullptr;
};

TEST_P(FromMemory, DiesBeforeItIsGiven) {
  Kill(1);
  Repair();
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  other_.Send(*bob, Presence());
  Settle();
  ExpectOnce();
}

TEST_P(FromMemory, DiesBeforeThePacketArrives) {
  other_.Send(*bob, Presence());
  // Packets from node 1 to the gateway do not arrive any more.
  for (bool moved = true; moved;) {
    io_.restart();
    moved = io_.poll() > 0;
    log_.Flush();
  }
  Move();
  other_.Send(*bob, Presence());
  Settle();
  ExpectOnce();
}

TEST_P(FromMemory, DiesBeforeTheClientHasIt) {
  bob->acks = false;
  other_.Send(*bob, Presence());
  Settle();
  ASSERT_THAT(bob->MessageIds(), ElementsAre("m1"));
  Move();
  bob->acks = true;
  other_.Deliver(*bob, bob->last_seq);
  Settle();
  ExpectOnce();
}

TEST_P(FromMemory, DiesBeforeTheMark) {
  other_.Send(*bob, Presence());
  Settle();
  ASSERT_THAT(bob->MessageIds(), ElementsAre("m1"));
  ASSERT_EQ(bob->acked_seq, bob->last_seq);
  Move();
  ExpectOnce();
}

TEST_P(FromMemory, NobodyDies) {
  other_.Send(*bob, Presence());
  Settle();
  Repair();
  if (!GetParam()) return;  // that answer never comes
  ExpectOnce();
}

TEST_P(FromMemory, TheSessionEndsWithoutIt_TheNextOneHasIt) {
  bob->acks = false;
  other_.Send(*bob, Presence());
  Settle();
  ASSERT_THAT(bob->MessageIds(), ElementsAre("m1"));
  other_.End(*bob, END_REASON_CLOSED);
  Settle();
  Move();
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
  ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 0; }));
}

INSTANTIATE_TEST_SUITE_P(Written, FromMemory, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "WriteMade" : "WriteNotMade"; });

// ---- packets in the store ---------------------------------------------------

TEST_F(DeliveryRules, W5_StoredUnderASessionWhoseGatewayNeverHeardOfIt_TheNextOwnerTellsIt) {
  Say("m1", bob_);
  ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 1; }));
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.EnableStreamManagement(bob);
  Settle();
  other_.SetCongested(node(1), true);
  other_.Send(bob, Presence());
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob.id), 2u);  // his own presence, too
  ASSERT_THAT(bob.MessageIds(), IsEmpty());
  Kill(1);
  Stop("MarkGiven");
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(1));
  ASSERT_THAT(bob.MessageIds(), ElementsAre("m1"));
  Kill(2);
  Repair();
  Assign(1, AddNode().number);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(DeliveryRules, E1_GatewayAndOwnerDieTogether_WhatTheStoreHasReachesTheUser) {
  Client& bob = SignIn(other_, bob_, "b");
  bob.acks = false;
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_);
  Say("h1", bob_, "headline");
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob.id), 4u);
  ASSERT_EQ(log_.committed[1], BobsShard().window.next_offset());
  bob.forgotten = true;
  Move();
  ASSERT_TRUE(Eventually([&] { return database_.packets.empty(); }));
  EXPECT_EQ(database_.Waiting(bob_), 3u);
  EXPECT_THAT(NextSession(), ElementsAre("m1", "m2", "m3"));
}

TEST_F(DeliveryRules, E1_AnotherResourceIsThere_ItIsGivenThem) {
  Client& phone = SignIn(other_, bob_, "phone", 5);
  Client& desk = SignIn(other_, bob_, "desk", 1);
  phone.acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  phone.forgotten = true;
  Move();
  ASSERT_TRUE(Eventually([&] { return desk.MessageIds().size() == 1; }));
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1"));
  ASSERT_TRUE(Eventually([&] { return database_.packets.empty() && database_.Waiting(bob_) == 0; }));
}

TEST_F(DeliveryRules, E1_TheyAreNotRemovedBeforeTheyAreSafe) {
  Client& bob = SignIn(other_, bob_, "b");
  bob.acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  bob.forgotten = true;
  Kill(1);
  Stop("StoreOffline");
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(5));
  EXPECT_EQ(database_.Packets(bob_, bob.id), 1u);
  Kill(2);
  Repair();
  Assign(1, AddNode().number);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ASSERT_TRUE(Eventually([&] { return database_.packets.empty(); }));
  EXPECT_EQ(database_.Waiting(bob_), 1u);
}

TEST_F(DeliveryRules, E2_AcknowledgedRowsOfAnEarlierOwnerGo) {
  Client& bob = SignIn(other_, bob_, "b");
  bob.acks = false;
  Say("m1", bob_);
  Say("m2", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob.id), 2u);
  Stop("RemovePackets");
  other_.Deliver(bob, bob.last_seq);
  Settle();
  Move();
  ASSERT_TRUE(Eventually([&] { return database_.packets.empty(); }));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(DeliveryRules, E3_AGatewayForgetsASessionOnlyWhenItsRowsAreGone) {
  Client& bob = SignIn(other_, bob_, "b");
  bob.acks = false;
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  other_.Deliver(bob, bob.last_seq);
  database_.on_call = [&](std::string_view call) { database_.down |= call == "RemoveSessions"; };
  Settle();
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(5));
  EXPECT_FALSE(bob.ended) << "the next owner would take the row for a message that nobody has had";
  Move();
  EXPECT_TRUE(bob.ended);
  EXPECT_TRUE(Eventually([&] { return database_.packets.empty(); }));
  EXPECT_THAT(NextSession(), IsEmpty());
}

/// bob's client loses its connection in the middle of 600 messages that had waited.
class BrokenBacklog : public DeliveryRules {
 protected:
  void SetUp() override {
    for (int i = 100; i < 700; ++i) gateway_.Send(*alice, Message(bob_, "m" + std::to_string(i)));
    Settle();
    Elapse(std::chrono::seconds(1));
    bob = &SignIn(other_, bob_, "b", std::nullopt);
    bob->acks = false;
    other_.EnableStreamManagement(*bob);
    other_.Send(*bob, Presence());
    Settle();
    ASSERT_FALSE(bob->MessageIds().empty());
    ASSERT_LT(bob->MessageIds().size(), 600u);
    other_.End(*bob, END_REASON_CONNECTION_LOST);
    Settle();
  }
  /// Checks that the client has all in order when it is back, `last` at the end.
  void ExpectInOrder(const std::string& last) {
    Client& again = other_.Resume(*bob, 0);
    again.inbox.clear();
    again.acks = true;
    Settle();
    other_.Deliver(again, again.last_seq);
    ASSERT_TRUE(Eventually([&] { return again.MessageIds().size() >= 601; }));
    std::vector<std::string> ids = again.MessageIds();
    EXPECT_EQ(ids.size(), 601u);
    EXPECT_EQ(ids.back(), last);
    ids.pop_back();
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 0; }));
  }
  Client* bob = nullptr;
};

TEST_F(BrokenBacklog, W1_WhatComesWhileTheClientIsAwayStaysBehindTheRest) {
  Elapse(settings_.window_time + std::chrono::seconds(2));
  Say("live", bob_);
  ExpectInOrder("live");
}

TEST_F(BrokenBacklog, W1_TheSame_AddressedToTheSession) {
  Say("live", bob_ + "/b");
  ExpectInOrder("live");
}

TEST_F(BrokenBacklog, W1_TheShardMovesMeanwhile) {
  Elapse(settings_.window_time + std::chrono::seconds(2));
  Move();
  Say("live", bob_);
  ExpectInOrder("live");
}

TEST_F(BrokenBacklog, W1_SentWhileTheShardMoves) {
  Elapse(settings_.window_time + std::chrono::seconds(2));
  Kill(1);
  Say("live", bob_);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ExpectInOrder("live");
}

TEST_F(BrokenBacklog, W1_TheStoreIsAwayWhenTheClientIsBack_OnlyStorableMessagesWait) {
  database_.down = true;
  Say("live", bob_);
  Client& again = other_.Resume(*bob, 0);
  again.acks = true;
  Settle();
  other_.Deliver(again, again.last_seq);
  again.inbox.clear();
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(2));
  EXPECT_THAT(again.MessageIds(), IsEmpty());
  EXPECT_EQ(Only(again.inbox, STANZA_KIND_IQ, "get").size(), 1u);
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return !again.MessageIds().empty() && again.MessageIds().back() == "live"; }));
}

TEST_F(DeliveryRules, W1_AwayWithNothingWaiting_TheSessionIsSentWhatComes) {
  Client& bob = Available("b", /*acks=*/false);
  other_.EnableStreamManagement(bob);
  Settle();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Say("m1", bob_);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  Client& again = other_.Resume(bob, 0);
  Settle();
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1"));
}

// ---- what an end leads to -----------------------------------------------------

/// bob's client is away, and what it was sent is in the store under its session: the records are
/// finished, so that whoever reads an error that follows from one of them takes it for a repetition.
class EndedRules : public DeliveryRules {
 protected:
  void SetUp() override {
    bob = &Available("b", /*acks=*/false);
    other_.EnableStreamManagement(*bob);
    Settle();
    other_.End(*bob, END_REASON_CONNECTION_LOST);
    Settle();
  }
  void SayUnstorable(const std::string& id) {
    xmpp::Stanza message = Message(bob_, id);
    xmpp::AddPayload(message, xmpp::Element("no-store", "urn:xmpp:hints"));
    gateway_.Send(*alice, message);
    Settle();
  }
  void FinishRecords() {
    Elapse(settings_.window_time + std::chrono::seconds(2));
    ASSERT_EQ(Unfinished(), 0u);
    alice->inbox.clear();
  }
  void TimeOut() { Elapse(settings_.resume_timeout + std::chrono::seconds(5)); }
  std::size_t Errors(std::string_view id) const {
    return static_cast<std::size_t>(
        std::count_if(alice->inbox.begin(), alice->inbox.end(),
                      [&](const auto& stanza) { return stanza.type() == "error" && stanza.id() == id; }));
  }
  Client* bob = nullptr;
};

TEST_F(EndedRules, E5_TheStoreHasNoRoomForWhatItLeaves_ItsSenderHearsOfIt) {
  node(1).settings.max_offline_messages = 4;
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_);
  FinishRecords();
  TimeOut();
  EXPECT_EQ(database_.Waiting(bob_), 1u);
  EXPECT_EQ(Errors("m1"), 0u);
  EXPECT_EQ(Errors("m2"), 1u);
  EXPECT_EQ(Errors("m3"), 1u);
}

TEST_F(EndedRules, E5_WhatNoStoreKeepsIsAnswered) {
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  SayUnstorable("n1");
  FinishRecords();
  TimeOut();
  EXPECT_EQ(Errors("q"), 1u);
  EXPECT_EQ(Errors("n1"), 1u);
}

TEST_F(EndedRules, E5_GivenToAnotherSessionWhichEndsToo_ItIsAnswered) {
  SayUnstorable("n1");
  FinishRecords();
  Client& desk = Available("desk", /*acks=*/false);
  TimeOut();
  ASSERT_THAT(desk.MessageIds(), ElementsAre("n1"));
  other_.End(desk, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(Errors("n1"), 1u);
}

TEST_F(EndedRules, E5_TheOwnerDiesBeforeTheErrorIsInTheLog_TheNextOneSaysIt) {
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  SayUnstorable("n1");
  FinishRecords();
  // Records that are appended after the end stay in flight.
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    log_.held = log_.held || record.has_session_ended();
    return absl::OkStatus();
  };
  TimeOut();
  ASSERT_TRUE(node(1).domain.table().empty());
  EXPECT_GE(database_.Packets(bob_, bob->id), 2u);
  log_.refuse = {};
  log_.held = false;
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_TRUE(database_.packets.empty());
  EXPECT_EQ(Errors("q"), 1u);
  EXPECT_EQ(Errors("n1"), 1u);
}

TEST_F(EndedRules, E5_TheOwnerDiesBeforeTheRowsAreRemoved_TheErrorIsSaidOnce) {
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  SayUnstorable("n1");
  FinishRecords();
  bool is_open = false;
  Gate("RemoveSessions", is_open);
  TimeOut();
  EXPECT_EQ(Errors("q"), 1u);
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_TRUE(database_.packets.empty());
  EXPECT_EQ(Errors("q"), 1u);
  EXPECT_EQ(Errors("n1"), 1u);
}

TEST_F(EndedRules, E5_NobodyHasBroughtTheSession_WhatItLeavesIsAnswered) {
  gateway_.Send(*alice, Iq("get", bob_ + "/b", "q", "query", "jabber:iq:version"));
  SayUnstorable("n1");
  for (const char* id : {"m1", "m2"}) Say(id, bob_);
  FinishRecords();
  bob->forgotten = true;
  database_.parked.clear();
  node(2).settings.max_offline_messages = 4;
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_TRUE(database_.packets.empty());
  EXPECT_EQ(database_.Waiting(bob_), 1u);
  EXPECT_EQ(Errors("q"), 1u);
  EXPECT_EQ(Errors("n1"), 1u);
  EXPECT_EQ(Errors("m2"), 1u);
}

TEST_F(DeliveryRules, L1_AShardIsLoadedPageByPage) {
  node(1).settings.max_unacked_packets = node(2).settings.max_unacked_packets = 5'000;
  Client& bob = SignIn(other_, bob_, "b");
  other_.EnableStreamManagement(bob);
  bob.acks = false;
  for (int i = 0; i < 1'300; ++i) gateway_.Send(*alice, Message(bob_ + "/b", "m" + std::to_string(i)));
  Settle();
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(database_.Packets(bob_, bob.id), 1'300u);
  std::vector<std::size_t> pages;
  database_.on_page = [&](std::size_t rows) { pages.push_back(rows); };
  Move();
  EXPECT_GE(pages.size(), 3u);
  for (const std::size_t rows : pages) EXPECT_LE(rows, 500u);
  Client& resumed = gateway_.Resume(bob, 0);
  resumed.inbox.clear();
  resumed.acks = true;
  Settle();
  EXPECT_EQ(resumed.MessageIds().size(), 1'300u);
}

/// Users with a session each, 50 messages in the store for each of these, and nobody who brings them.
class ManyLost : public DeliveryRules {
 protected:
  static constexpr int kUsers = 30;
  void SetUp() override {
    for (int i = 0; i < kUsers; ++i) {
      Client& lost = SignIn(other_, UserIn(1, i), "b");
      lost.acks = false;
      lost_.push_back(&lost);
      for (int m = 0; m < 50; ++m) gateway_.Send(*alice, Message(UserIn(1, i), "m" + std::to_string(m)));
    }
    Settle();
    Elapse(settings_.window_time + std::chrono::seconds(2));
    ASSERT_TRUE(Eventually([&] { return Unfinished() == 0; }));
    for (Client* lost : lost_) {
      ASSERT_EQ(database_.Packets(lost->user, lost->id), 50u);
      lost->forgotten = true;
    }
  }
  std::size_t Waiting() {
    std::size_t waiting = 0;
    for (int i = 0; i < kUsers; ++i) waiting += database_.Waiting(UserIn(1, i));
    return waiting;
  }
  std::vector<Client*> lost_;
};

TEST_F(ManyLost, L1_WhatNobodyHasBrought_IsSettledUserByUser) {
  int pages = 0;
  std::size_t kept = 0, waiting = 0;
  database_.on_page = [&](std::size_t) {
    ++pages;
    Shard& shard = *node(2).domain.shards().Find(1);
    if (!shard.delivery) return;
    kept = std::max(kept, shard.delivery->unclaimed.size());
    waiting = std::max(waiting, shard.delivery->writer->rows());
  };
  Move();
  EXPECT_GE(pages, 4);
  EXPECT_EQ(kept, 1u) << "the user whose rows the next page may have more of";
  EXPECT_GT(waiting, 400u) << "those before";
  ASSERT_TRUE(Eventually([&] { return database_.packets.empty(); }));
  EXPECT_EQ(Waiting(), 50u * kUsers);
}

TEST_F(ManyLost, L1_TheWriterIsFull_NoMoreIsLoaded) {
  node(2).settings.max_store_waiting = 100;
  int pages = 0;
  bool is_open = false;
  Kill(1);
  Gate("StoreOffline", is_open);
  database_.on_page = [&](std::size_t) { ++pages; };
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return pages == 1; }));
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(pages, 1);
  EXPECT_FALSE(IsLive(1));
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  EXPECT_GE(pages, 4);
  ASSERT_TRUE(Eventually([&] { return database_.packets.empty(); }));
  EXPECT_EQ(Waiting(), 50u * kUsers);
  Repair();
}

TEST_F(ManyLost, L1_TheWriterIsFull_TheShardGoesToAnotherOwner) {
  node(2).settings.max_store_waiting = 100;
  Kill(1);
  Stop("StoreOffline");
  int pages = 0;
  database_.on_page = [&](std::size_t) { ++pages; };
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return pages == 1; }));
  Settle();
  ASSERT_FALSE(IsLive(1));
  Repair();
  Revoke(1, 2);
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  ASSERT_TRUE(Eventually([&] { return database_.packets.empty(); }));
  EXPECT_EQ(Waiting(), 50u * kUsers);
}

/// Rows of the offline store that a session was given, and has not acknowledged when the shard moves.
class GivenRows : public DeliveryRules {
 protected:
  void SetUp() override {
    for (int i = 0; i < 20; ++i) Say("m" + std::to_string(i), bob_);
    ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 20; }));
    // The next owner does not read their records again.
    Elapse(std::chrono::seconds(1));
    bob = &Available("b", /*acks=*/false);
    ASSERT_EQ(bob->MessageIds().size(), 20u);
  }
  /// A packet without its row would end the stream when its client resumes.
  void ExpectWhole() {
    for (const auto& session : BobsShard().FindUser(bob_)->sessions)
      for (const UnackedPacket& packet : session->unacked) EXPECT_NE(packet.delivery, nullptr) << packet.seq;
  }
  Client* bob = nullptr;
};

TEST_F(GivenRows, L1_APageThatFails_IsMadeSmaller) {
  std::vector<std::size_t> asked;
  database_.on_load_rows = [&](std::size_t keys, std::size_t bytes) {
    EXPECT_LE(bytes, 2u * 1024 * 1024);
    asked.push_back(keys);
    return keys > 6 ? absl::ResourceExhaustedError("too much") : absl::OkStatus();
  };
  Move();
  EXPECT_THAT(asked, ElementsAre(20, 10, 5, 10, 5, 10, 5, 5)) << "and larger again when it was given";
  ExpectWhole();
}

TEST_F(GivenRows, L1_ARowThatCannotBeRead_CostsNoOther) {
  int refused = 0;
  database_.on_load_rows = [&](std::size_t keys, std::size_t) {
    if (refused == 0 && keys > 1) return absl::InternalError("invalid page");
    return keys == 1 && refused++ == 0 ? absl::InternalError("invalid page") : absl::OkStatus();
  };
  Move();
  std::size_t empty = 0;
  for (const auto& session : BobsShard().FindUser(bob_)->sessions)
    for (const UnackedPacket& packet : session->unacked) empty += packet.delivery == nullptr ? 1 : 0;
  EXPECT_EQ(empty, 1u);
}

TEST_F(DeliveryRules, L1_AGatewayComesBetweenTwoPages_ItsSessionHasWhatIsOnBoth) {
  Client& bob = SignIn(other_, bob_, "b");
  // Nothing of this reaches the gateway, which the next owner does not see at first either.
  other_.Unlink(node(1));
  other_.Unlink(node(2));
  for (int i = 0; i < 700; ++i) gateway_.Send(*alice, Message(bob_ + "/b", "m" + std::to_string(i)));
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(1));
  ASSERT_EQ(database_.Packets(bob_, bob.id), 700u);
  for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
  int pages = 0;
  bool is_open = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    while (call == "LoadPage" && pages == 1 && !is_open)
      co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  database_.on_page = [&](std::size_t) { ++pages; };
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return pages == 1; }));
  other_.Link(node(2));
  Settle();
  ASSERT_TRUE(node(2).domain.table().Find(SessionId(bob.id)));
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return IsLive(1) && bob.MessageIds().size() == 700; }))
      << bob.MessageIds().size();
  EXPECT_EQ(bob.MessageIds().front(), "m0");
  EXPECT_EQ(bob.MessageIds().back(), "m699");
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  Repair();
}

TEST_F(DeliveryRules, L1_AGatewayComesWhenItsUserIsSettled_NothingIsGivenTwice) {
  constexpr int kOfBob = 300, kOfTheOther = 400;  // the pages change within the other's
  std::string later;
  for (int n = 1; later <= bob_; ++n) later = UserIn(1, n);
  Client& bob = SignIn(other_, bob_, "b");
  Client& zoe = SignIn(other_, later, "z");
  for (Client* client : {&bob, &zoe}) {
    other_.EnableStreamManagement(*client);
    client->acks = false;
  }
  for (int i = 0; i < kOfBob; ++i) gateway_.Send(*alice, Message(bob_ + "/b", "m" + std::to_string(i)));
  for (int i = 0; i < kOfTheOther; ++i) gateway_.Send(*alice, Message(later + "/z", "z" + std::to_string(i)));
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(1));
  ASSERT_EQ(database_.Packets(bob_, bob.id), static_cast<std::size_t>(kOfBob));
  // The next owner does not see their gateway at first.
  other_.Unlink(node(2));
  for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
  int pages = 0;
  bool is_open = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    while (call == "LoadPage" && pages == 1 && !is_open)
      co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  database_.on_page = [&](std::size_t) { ++pages; };
  Kill(1);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return pages == 1; }));
  other_.Link(node(2));
  Settle();
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  Elapse(std::chrono::seconds(5));
  EXPECT_FALSE(bob.ended);
  EXPECT_EQ(bob.MessageIds().size(), static_cast<std::size_t>(kOfBob));
  Client& resumed = other_.Resume(bob, 0);
  resumed.inbox.clear();
  ASSERT_TRUE(RunUntil([&] { return resumed.MessageIds().size() >= kOfBob; })) << resumed.MessageIds().size();
  Elapse(std::chrono::seconds(1));
  EXPECT_FALSE(resumed.ended);
  EXPECT_EQ(resumed.MessageIds().size(), static_cast<std::size_t>(kOfBob));
  Repair();
}

TEST_F(DeliveryRules, L2_TheClientHasTakenSomeWhileNobodyOwnedTheShard_ItsGatewayKnowsThatBetterThanTheRows) {
  Client& bob = Available("b", /*acks=*/false);
  Say("m1", bob_);
  const std::uint64_t taken = bob.last_seq;
  for (const char* id : {"m2", "m3"}) Say(id, bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_EQ(Unfinished(), 0u);
  Kill(1);
  other_.Deliver(bob, taken);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  EXPECT_EQ(BobsShard().FindUser(bob_)->sessions.front()->unacked.size(), 2u);
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  EXPECT_THAT(NextSession(), ElementsAre("m2", "m3"));
}

TEST_F(DeliveryRules, L4_APresenceThatIsReadLate_IsTold) {
  Client& carol = SignIn(gateway_, UserIn(0, 7), "c");
  Client& bob = Available("b");
  gateway_.Send(*alice, Presence({}, bob_ + "/b"));
  Settle();
  Kill(1);
  bob.inbox.clear();
  gateway_.Send(*alice, Presence("unavailable", bob_ + "/b"));
  gateway_.Send(carol, Presence({}, bob_ + "/b"));
  Settle();
  Elapse(std::chrono::seconds(40));
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  const auto told = Only(bob.inbox, common::v1::STANZA_KIND_PRESENCE);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].type(), "unavailable");
  EXPECT_EQ(told[0].from(), alice->jid);
  EXPECT_EQ(told[1].type(), "");
  EXPECT_EQ(told[1].from(), carol.jid);
}

TEST_F(DeliveryRules, L4_ABroadcastThatIsReadLate_IsTold) {
  const std::string carol_ = UserIn(0, 7);
  roster_.Befriend(bob_, carol_);
  Client& bob = Available("b");
  Kill(1);
  bob.inbox.clear();
  Client& carol = SignIn(gateway_, carol_, "c");
  Elapse(std::chrono::seconds(40));
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Settle();
  const auto told = Only(bob.inbox, common::v1::STANZA_KIND_PRESENCE);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].from(), carol.jid);
  EXPECT_EQ(Only(carol.inbox, common::v1::STANZA_KIND_PRESENCE, "").size(), 1u);
}

}  // namespace
}  // namespace rookery::session_manager
