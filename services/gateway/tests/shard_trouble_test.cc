// Trouble with one shard is that shard's alone, and a gateway that stood still.
#include "linked_gateway.h"

namespace rookery::gateway {
namespace {

class OneShardInTroubleTest : public SessionLinksTest {
 protected:
  static constexpr char kOther[] = "mercutio@example.com";

  OneShardInTroubleTest() { EXPECT_NE(events::ShardOfAccount(kOther, kShards), shard()); }

  /// A session of `user`, whose shard `peer` owns since `epoch`.
  ClientSession& StartAt(FakeLink::Peer& peer, std::int64_t epoch, const char* user, FakeClient& client) {
    const std::uint32_t number = events::ShardOfAccount(user, kShards);
    SessionManagerAction owned;
    owned.mutable_shard_owned()->set_shard(number);
    owned.mutable_shard_owned()->set_epoch(epoch);
    peer.Say(owned);
    peer.sent.clear();
    ClientSession* session = nullptr;
    links_->Start(Identity(user), "r", client,
                  [&](ClientSession* started, const ActionFailure&) { session = started; });
    SessionManagerAction started;
    started.set_shard(number);
    started.set_epoch(epoch);
    started.set_session_id(peer.Take().session_id());
    started.mutable_started()->set_full_jid(std::string(user) + "/r");
    peer.Say(started);
    EXPECT_NE(session, nullptr);
    return *session;
  }
  void Confirm(FakeLink::Peer& peer, std::int64_t epoch, const ClientSession& session, std::uint64_t count) {
    SessionManagerAction confirmed;
    confirmed.set_shard(session.shard);
    confirmed.set_epoch(epoch);
    confirmed.set_session_id(std::string(session.id.bytes()));
    confirmed.mutable_confirmed()->set_count(count);
    peer.Say(confirmed);
  }
  void Both() {
    Hello(a());
    Hello(b());
    mine_ = &StartAt(a(), 10, kUser, client_);
    other_ = &StartAt(b(), 10, kOther, other_client_);
  }

  FakeClient other_client_;
  ClientSession* mine_ = nullptr;
  ClientSession* other_ = nullptr;
};

TEST_F(OneShardInTroubleTest, OnlyItsClientsAreNotReadWhileItHasNoOwner) {
  SessionLinksOptions options;
  options.max_unconfirmed_bytes = 80'000;  // 10,000 for each shard
  Make(options);
  Both();
  a().handler->OnClosed(absl::UnavailableError("gone"));
  int sent = 0;
  while (links_->MayRead(*mine_)) SendStanza(*mine_, Cat(++sent).c_str());
  EXPECT_LE(mine_->inbound.unconfirmed_bytes(), 11'000u);
  EXPECT_TRUE(links_->MayRead(*other_));
  for (int i = 1; i <= 1'000; ++i) {
    SendStanza(*other_, "x");
    ASSERT_TRUE(links_->MayRead(*other_)) << i;
    Confirm(b(), 10, *other_, static_cast<std::uint64_t>(i));
  }
  EXPECT_EQ(client_.uncongested, 0);
  EXPECT_EQ(client_.ended, "-");

  // The next owner gets everything, and they are read again.
  b().sent.clear();
  Own(b(), 11);
  EXPECT_TRUE(b().Take().has_attach());
  for (int i = 1; i <= sent; ++i) EXPECT_EQ(b().Take().stanza().stanza().id(), Cat(i));
  Confirm(b(), 11, *mine_, static_cast<std::uint64_t>(sent));
  time_.Settle(io_);
  EXPECT_EQ(client_.uncongested, 1);
  EXPECT_TRUE(links_->MayRead(*mine_));
}

TEST_F(OneShardInTroubleTest, WhoHasNothingUnconfirmedIsReadWhileOthersFillTheShard) {
  SessionLinksOptions options;
  options.max_unconfirmed_bytes = 80'000;
  Make(options);
  Both();
  FakeClient healthy_client;
  ClientSession& healthy = StartAt(a(), 10, kUser, healthy_client);
  while (links_->MayRead(*mine_)) SendStanza(*mine_, "to a partition that stands still");
  for (int i = 1; i <= 100; ++i) {
    ASSERT_TRUE(links_->MayRead(healthy)) << i;
    SendStanza(healthy, "x");
    ASSERT_FALSE(links_->MayRead(healthy)) << "one at a time";
    Confirm(a(), 10, healthy, static_cast<std::uint64_t>(i));
  }
  // But not without a bound.
  std::vector<std::unique_ptr<FakeClient>> clients;
  std::size_t before = 0;
  while (mine_->inbound.unconfirmed_bytes() + before < 80'000) {
    clients.push_back(std::make_unique<FakeClient>());
    ClientSession& next = StartAt(a(), 10, kUser, *clients.back());
    if (!links_->MayRead(next)) break;
    SendStanza(next, std::string(1'000, 'x').c_str());
    before += next.inbound.unconfirmed_bytes();
  }
  EXPECT_GT(before, 20'000u);
  EXPECT_LT(before, 40'000u);
}

TEST_F(OneShardInTroubleTest, AllShardsInTroubleTogetherDoNotTakeWhatTheLastOneNeeds) {
  SessionLinksOptions options;
  options.max_unconfirmed_bytes = 80'000;
  Make(options);
  Both();
  std::vector<std::unique_ptr<FakeClient>> clients;
  std::vector<ClientSession*> stuck;
  std::map<std::uint32_t, bool> seen{{other_->shard, true}};
  for (int i = 0; seen.size() < kShards; ++i) {
    const std::string user = Cat("user", i, "@example.com");
    if (std::exchange(seen[events::ShardOfAccount(user, kShards)], true)) continue;
    clients.push_back(std::make_unique<FakeClient>());
    stuck.push_back(&StartAt(a(), 20, user.c_str(), *clients.back()));
  }
  for (ClientSession* session : stuck) {
    while (links_->MayRead(*session)) SendStanza(*session, "x");
  }
  for (int i = 1; i <= 100; ++i) {
    SendStanza(*other_, "x");
    ASSERT_TRUE(links_->MayRead(*other_)) << i;
    Confirm(b(), 10, *other_, static_cast<std::uint64_t>(i));
  }
}

class FullShardsTest : public OneShardInTroubleTest {
 protected:
  /// 10,000 for each shard.
  void Begin(std::size_t max_shard_bytes = 0) {
    SessionLinksOptions options;
    options.max_unconfirmed_bytes = 80'000;
    options.max_shard_unconfirmed_bytes = max_shard_bytes;
    Make(options);
    Both();
    for (int i = 0; third_.empty(); ++i) {
      const std::string user = Cat("user", i, "@example.com");
      const std::uint32_t number = events::ShardOfAccount(user, kShards);
      if (number != mine_->shard && number != other_->shard) third_ = user;
    }
  }
  ClientSession& Another(const std::string& user) {
    clients_.push_back(std::make_unique<FakeClient>());
    return StartAt(a(), 10, user.c_str(), *clients_.back());
  }
  void SendMuch(ClientSession& session) {
    sent_ -= session.inbound.unconfirmed_bytes();
    SendStanza(session, std::string(1'000, 'x').c_str());
    sent_ += session.inbound.unconfirmed_bytes();
  }
  /// New sessions of `user` say one stanza each, until that is `bytes` or the next one is not read.
  void Fill(const std::string& user, std::size_t bytes = 1'000'000) {
    const std::size_t before = sent_;
    while (sent_ - before < bytes) {
      ClientSession& next = Another(user);
      if (!links_->MayRead(next)) return;
      SendMuch(next);
    }
  }
  /// What a session has unconfirmed when it is not read any more.
  std::size_t SayAll(ClientSession& session) {
    while (links_->MayRead(session)) SendMuch(session);
    return session.inbound.unconfirmed_bytes();
  }
  /// The sessions of kOther's shard are read, up to the shard's part.
  void ExpectOtherGoesOn() {
    for (int i = 1; i <= 100; ++i) {
      ASSERT_TRUE(links_->MayRead(*other_)) << i;
      SendStanza(*other_, "x");
      Confirm(b(), 10, *other_, static_cast<std::uint64_t>(i));
    }
    const std::size_t part = SayAll(*other_);
    EXPECT_GE(part, 10'000u);
    EXPECT_LE(part, 12'000u);
    Confirm(b(), 10, *other_, other_->inbound.received());
    time_.Settle(io_);
    EXPECT_EQ(other_client_.uncongested, 1);
    EXPECT_TRUE(links_->MayRead(*other_));
  }

  std::string third_;  // of a shard of its own
  std::vector<std::unique_ptr<FakeClient>> clients_;
  std::size_t sent_ = 0;
};

TEST_F(FullShardsTest, ShardsThatHaveTakenAllThereIsLeaveTheOthersTheirParts) {
  Begin();
  Fill(kUser);
  EXPECT_GE(sent_, 40'000u);
  Fill(third_);
  EXPECT_GE(sent_, 80'000u);
  EXPECT_LE(sent_, 82'000u);
  ExpectOtherGoesOn();
}

TEST_F(FullShardsTest, AShardWithoutAnOwnerThatHasTakenAllThereIsLeavesTheOthersTheirParts) {
  Begin();
  std::vector<ClientSession*> idle;
  while (idle.size() < 100) idle.push_back(&Another(kUser));
  a().handler->OnClosed(absl::UnavailableError("gone"));
  SayAll(*mine_);
  for (ClientSession* session : idle) {
    SendMuch(*session);
    EXPECT_FALSE(links_->MayRead(*session)) << "a stanza each";
  }
  EXPECT_GE(sent_, 80'000u);
  ExpectOtherGoesOn();
}

TEST_F(FullShardsTest, ShardsAboveTheirPartsShareWhatIsLeft) {
  Begin();
  SayAll(*mine_);
  SayAll(*other_);
  Fill(kUser);
  Fill(third_, 20'000);
  ClientSession& idle = Another(third_);
  EXPECT_TRUE(links_->MayRead(idle));
  Fill(third_);
  EXPECT_GE(sent_, 80'000u);
  EXPECT_FALSE(links_->MayRead(idle));
  Confirm(a(), 10, *mine_, mine_->inbound.received());
  EXPECT_TRUE(links_->MayRead(idle));
}

TEST_F(FullShardsTest, AShardThatMayHaveMoreThanItsPartIsSureOfItsPartOnly) {
  Begin(/*max_shard_bytes=*/50'000);
  EXPECT_GE(SayAll(*mine_), 50'000u);
  ClientSession& third = Another(third_);
  EXPECT_GE(SayAll(third), 28'000u) << "what is left";
  EXPECT_LE(sent_, 82'000u);
  ExpectOtherGoesOn();
  EXPECT_FALSE(links_->MayRead(third));
  Confirm(a(), 10, *mine_, mine_->inbound.received());
  EXPECT_TRUE(links_->MayRead(third));
}

TEST_F(OneShardInTroubleTest, OnlyClientsBehindAFullLinkAreNotReadAndAllAreReadOnceThereIsRoom) {
  Both();
  a().congested = true;
  SendStanza(*mine_, "1");
  EXPECT_FALSE(links_->MayRead(*mine_));
  SendStanza(*other_, "1");
  EXPECT_TRUE(links_->MayRead(*other_));
  // A confirmation alone makes no room on the link.
  Confirm(a(), 10, *mine_, 1);
  time_.Settle(io_);
  EXPECT_EQ(client_.uncongested, 0);
  a().congested = false;
  a().handler->OnUncongested();
  time_.Settle(io_);
  EXPECT_EQ(client_.uncongested, 1);
}

TEST_F(OneShardInTroubleTest, AClientThatLeavesWhileItIsNotReadIsNotCalledAgain) {
  Both();
  a().congested = true;
  SendStanza(*mine_, "1");
  EXPECT_FALSE(links_->MayRead(*mine_));
  links_->End(*mine_, EndReason::kConnectionLost);
  a().congested = false;
  a().handler->OnUncongested();
  time_.Settle(io_);
  EXPECT_EQ(client_.uncongested, 0);
}

TEST_F(OneShardInTroubleTest, ClientsOfAShardWithoutAnOwnerAreSentAwayAndTheirSessionsKeptForTheNext) {
  Both();
  mine_->outbound.EnableStreamManagement(true);
  SendStanza(*mine_, "1");
  const std::string id(mine_->id.bytes());
  a().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(29));
  EXPECT_EQ(client_.ended, "-");
  time_.RunFor(io_, std::chrono::seconds(2));
  EXPECT_EQ(client_.ended, "reset");
  EXPECT_EQ(other_client_.ended, "-");
  EXPECT_EQ(links_->session_count(), 2u);

  b().sent.clear();
  Own(b(), 11);
  const GatewayAction attach = b().Take();
  EXPECT_EQ(attach.session_id(), id);
  EXPECT_TRUE(attach.attach().detached());
  EXPECT_EQ(b().Take().stanza().stanza().id(), "1");
  EXPECT_EQ(b().Take().end().reason(), session::v1::END_REASON_CONNECTION_LOST);
}

TEST_F(OneShardInTroubleTest, AClientThatHasClosedAndIsSentAwayHasClosed) {
  Both();
  mine_->outbound.EnableStreamManagement(true);
  SendStanza(*mine_, "1");
  client_.closed = true;  // it waits for the log
  a().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(31));
  EXPECT_EQ(client_.ended, "reset");
  b().sent.clear();
  Own(b(), 11);
  EXPECT_FALSE(b().Take().attach().detached());
  EXPECT_EQ(b().Take().stanza().stanza().id(), "1");
  EXPECT_EQ(b().Take().end().reason(), session::v1::END_REASON_CLOSED);
}

TEST_F(OneShardInTroubleTest, AnOwnerThatComesInTimeKeepsItsClients) {
  Both();
  for (std::int64_t epoch = 11; epoch < 15; ++epoch) {
    a().handler->OnClosed(absl::UnavailableError("gone"));
    time_.RunFor(io_, std::chrono::seconds(20));
    Hello(a(), epoch);
  }
  EXPECT_EQ(client_.ended, "-");
}

TEST_F(OneShardInTroubleTest, WhoWaitsForAnOwnerThatIsLinkedAndSilentIsSentAway) {
  Both();
  FakeClient idle_client;
  ClientSession& idle = StartAt(a(), 10, kUser, idle_client);
  SendStanza(*mine_, "1");
  SendStanza(*other_, "1");
  for (int i = 0; i < 31; ++i) {
    time_.RunFor(io_, std::chrono::seconds(1));
    // It reads the log, and gives others of the same shard what is new there, as b does.
    if (i < 5) SayPacket(a(), 10, idle, static_cast<std::uint64_t>(i) + 1, "p", /*offset=*/20 + i);
    SayPacket(b(), 10, *other_, static_cast<std::uint64_t>(i) + 1, "p", /*offset=*/20 + i);
  }
  EXPECT_EQ(client_.ended, "-");
  time_.RunFor(io_, std::chrono::seconds(10));
  EXPECT_EQ(client_.ended, "reset");
  EXPECT_EQ(idle_client.ended, "-") << "it waits for nothing";
}

TEST_F(OneShardInTroubleTest, AnOwnerThatHasNothingToAnswerIsNotTakenForSilent) {
  Both();
  SendStanza(*mine_, "1");
  Confirm(a(), 10, *mine_, 1);
  time_.RunFor(io_, std::chrono::minutes(10));
  EXPECT_EQ(client_.ended, "-");
  SendStanza(*mine_, "2");
  time_.RunFor(io_, std::chrono::seconds(20));
  EXPECT_EQ(client_.ended, "-");
}

TEST_F(OneShardInTroubleTest, AnOwnerThatSaysOnlyWhatNeedsNoLogIsNoOwnerForThoseWhoWait) {
  Both();
  FakeClient other_of_mine;
  ClientSession& asking = StartAt(a(), 10, kUser, other_of_mine);
  SendStanza(*mine_, "1");
  const auto answer = [&](std::uint64_t i) {
    links_->LookUp(kUser, [](const Cluster::Lookup&) {});
    auto found = Action(10);
    found.mutable_credentials()->set_request_id(a().sent.back().credentials_lookup().request_id());
    a().Say(found);
    xmpp::Stanza question;
    question.set_kind(common::v1::STANZA_KIND_IQ);
    links_->SendStanza(asking, std::move(question), {});
    Confirm(a(), 10, asking, i);
    SayPacket(a(), 10, asking, i, "answer", /*offset=*/-1);
  };
  for (std::uint64_t i = 1; i < 30; ++i) {
    answer(i);
    time_.RunFor(io_, std::chrono::seconds(1));
  }
  EXPECT_EQ(client_.ended, "-");
  answer(30);
  time_.RunFor(io_, std::chrono::seconds(2));
  EXPECT_EQ(client_.ended, "reset");
  EXPECT_EQ(other_of_mine.ended, "-");
}

TEST_F(OneShardInTroubleTest, OwnersThatComeAndGoAndTakeNothingKeepNobodyWaitingForLonger) {
  Both();
  SendStanza(*mine_, "1");
  for (std::int64_t epoch = 11; epoch < 14; ++epoch) {
    time_.RunFor(io_, std::chrono::seconds(9));
    Own(epoch % 2 == 0 ? a() : b(), epoch);
    EXPECT_EQ(client_.ended, "-");
  }
  time_.RunFor(io_, std::chrono::seconds(5));
  EXPECT_EQ(client_.ended, "reset");
}

TEST_F(OneShardInTroubleTest, AnOwnerThatReadsALogThatWasCutIsNotTakenForSilent) {
  Both();
  FakeClient idle_client;
  ClientSession& idle = StartAt(a(), 10, kUser, idle_client);
  SayPacket(a(), 10, idle, 1, "p", /*offset=*/1'000);
  SendStanza(*mine_, "1");
  Own(b(), 11);
  for (int i = 0; i < 31; ++i) {
    time_.RunFor(io_, std::chrono::seconds(1));
    SayPacket(b(), 11, idle, static_cast<std::uint64_t>(i) + 2, "p", /*offset=*/20 + i);
  }
  EXPECT_EQ(client_.ended, "-");
  // Nobody reads on who gives what everybody has.
  for (int i = 0; i < 31; ++i) {
    Own(i % 2 == 0 ? a() : b(), 12 + i);
    SayPacket(i % 2 == 0 ? a() : b(), 12 + i, idle, 2, "p", /*offset=*/20);
    time_.RunFor(io_, std::chrono::seconds(1));
  }
  EXPECT_EQ(client_.ended, "reset");
}

TEST_F(OneShardInTroubleTest, WhoBeganToWaitLaterIsSentAwayWhenItsTimeIsOver) {
  Both();
  FakeClient later_client;
  ClientSession& later = StartAt(a(), 10, kUser, later_client);
  SendStanza(*mine_, "1");
  time_.RunFor(io_, std::chrono::seconds(3));
  SendStanza(later, "1");
  time_.RunFor(io_, std::chrono::seconds(28));
  EXPECT_EQ(client_.ended, "reset");
  EXPECT_EQ(later_client.ended, "-");
  time_.RunFor(io_, std::chrono::seconds(4));
  EXPECT_EQ(later_client.ended, "reset");
}

TEST_F(OneShardInTroubleTest, AnOwnerThatTakesWhatOthersSayIsSlowAndNotAway) {
  Both();
  FakeClient healthy_client;
  ClientSession& healthy = StartAt(a(), 10, kUser, healthy_client);
  SendStanza(*mine_, "to a partition that stands still");
  for (std::uint64_t i = 1; i <= 4; ++i) {
    SendStanza(healthy, "x");
    Confirm(a(), 10, healthy, i);
    time_.RunFor(io_, std::chrono::seconds(25));
  }
  EXPECT_EQ(client_.ended, "-");
}

TEST_F(OneShardInTroubleTest, AnOwnerThatSaysAgainThatItIsTheOwnerIsToldEverythingAgain) {
  Both();
  SendStanza(*mine_, "1");
  SendStanza(*mine_, "2");
  Confirm(a(), 10, *mine_, 1);
  a().sent.clear();
  b().sent.clear();
  Own(a(), 9);
  EXPECT_TRUE(a().sent.empty());
  Own(a(), 10);
  const GatewayAction attach = a().Take();
  EXPECT_EQ(attach.session_id(), mine_->id.bytes());
  EXPECT_EQ(attach.attach().confirmed_count(), 1u);
  EXPECT_EQ(attach.attach().out_of_reach_ms(), 0u);
  EXPECT_EQ(a().Take().stanza().stanza().id(), "2");
  EXPECT_EQ(a().Take().attach_done().epoch(), 10);
  EXPECT_TRUE(a().sent.empty());
}

TEST_F(OneShardInTroubleTest, AChangeOfOwnerCostsOnlyTheRequestsOfItsShard) {
  Hello(a());
  Hello(b());
  int mine = 0;
  int others = 0;
  links_->LookUp(kOther, [&](const Cluster::Lookup&) { ++others; });
  for (int i = 0; i < 3; ++i) links_->LookUp(kUser, [&](const Cluster::Lookup&) { ++mine; });
  Own(a(), 5);
  SkipAttachDone(a());
  // In the order in which they came.
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    const GatewayAction asked = a().Take();
    EXPECT_EQ(asked.credentials_lookup().user(), kUser);
    EXPECT_GT(asked.credentials_lookup().request_id(), last);
    last = asked.credentials_lookup().request_id();
  }
  EXPECT_TRUE(a().sent.empty());
}

TEST_F(OneShardInTroubleTest, RequestsAreDueInTheOrderInWhichTheyCame) {
  Hello(a());
  std::vector<int> failed;
  links_->LookUp(kUser, [&](const Cluster::Lookup&) { failed.push_back(1); });
  time_.RunFor(io_, std::chrono::seconds(10));
  links_->LookUp(kUser, [&](const Cluster::Lookup&) { failed.push_back(2); });
  const auto gone = links_->LookUp(kUser, [&](const Cluster::Lookup&) { failed.push_back(3); });
  links_->Cancel(gone);
  time_.RunFor(io_, std::chrono::seconds(4));
  EXPECT_TRUE(failed.empty());
  time_.RunFor(io_, std::chrono::seconds(2));
  EXPECT_EQ(failed, std::vector<int>{1});
  time_.RunFor(io_, std::chrono::seconds(10));
  EXPECT_EQ(failed, (std::vector<int>{1, 2}));
}

// ---- a gateway that stood still ------------------------------------------------

class StandstillTest : public OneShardInTroubleTest {
 protected:
  StandstillTest() {
    for (FakeLink::Peer* peer : {&a(), &b()}) {
      SessionManagerAction hello;
      hello.mutable_hello()->set_shard_count(kShards);
      hello.mutable_hello()->set_link_grace_ms(5'000);
      hello.mutable_hello()->set_duplicate_horizon_ms(120'000);
      peer->Say(hello);
    }
    mine_ = &StartAt(a(), 10, kUser, client_);
    other_ = &StartAt(b(), 10, kOther, other_client_);
    other_->outbound.EnableStreamManagement(true);
    time_.RunFor(io_, std::chrono::seconds(3));
    a().sent.clear();
    b().sent.clear();
  }
  void StandStill(std::chrono::seconds time) { time_.JumpTo(time_.Now() + time); }
};

TEST_F(StandstillTest, SessionsWithoutResumptionWhoseLinkBrokeMeanwhileAreNotBroughtBack) {
  StandStill(std::chrono::seconds(13));
  a().handler->OnClosed(absl::UnavailableError("gone"));
  b().handler->OnClosed(absl::UnavailableError("gone"));
  EXPECT_EQ(client_.ended, "reset");
  time_.RunFor(io_, std::chrono::milliseconds(400));
  a().sent.clear();
  Hello(a(), 10);
  EXPECT_TRUE(a().Take().attach().detached());
  EXPECT_EQ(a().Take().end().reason(), session::v1::END_REASON_CONNECTION_LOST);
}

TEST_F(StandstillTest, OneThatCanBeResumedGoesOn) {
  other_->outbound.EnableStreamManagement(true);
  StandStill(std::chrono::seconds(13));
  b().handler->OnClosed(absl::UnavailableError("gone"));
  EXPECT_EQ(other_client_.ended, "-");
  time_.RunFor(io_, std::chrono::milliseconds(400));
  b().sent.clear();
  SessionManagerAction owned;
  owned.mutable_shard_owned()->set_shard(other_->shard);
  owned.mutable_shard_owned()->set_epoch(11);
  b().Say(owned);
  EXPECT_FALSE(b().Take().attach().detached());
}

TEST_F(StandstillTest, ALinkThatHeldHoldsItsSessions) {
  StandStill(std::chrono::seconds(13));
  time_.RunFor(io_, std::chrono::seconds(20));
  EXPECT_EQ(client_.ended, "-");
  // A link that breaks later did not break while it stood still.
  a().handler->OnClosed(absl::UnavailableError("gone"));
  EXPECT_EQ(client_.ended, "-");
}

TEST_F(StandstillTest, LongerThanHalfTheHorizonEndsEverySessionWithoutResumption) {
  StandStill(std::chrono::seconds(61));
  time_.Settle(io_);
  EXPECT_EQ(client_.ended, "reset");
  EXPECT_EQ(other_client_.ended, "-");
}

TEST_F(StandstillTest, IsFoundByWhateverHappensFirstAndEndsNobodyWithinTheirOwnCall) {
  StandStill(std::chrono::seconds(61));
  SendStanza(*mine_, "1");
  EXPECT_EQ(client_.ended, "-");
  // Before anything that a link says.
  Own(b(), 11);
  EXPECT_EQ(client_.ended, "reset");
  EXPECT_TRUE(b().Take().attach().detached());
}

TEST_F(StandstillTest, WhatWasDueMeanwhileIsNotAskedAnyMore) {
  a().handler->OnClosed(absl::UnavailableError("gone"));
  int refusals = 0;
  links_->Start(Identity(kUser), "r", client_, [&](ClientSession* started, const ActionFailure&) {
    EXPECT_EQ(started, nullptr);
    ++refusals;
  });
  a().sent.clear();
  StandStill(std::chrono::seconds(16));
  Hello(a(), 10);
  for (const GatewayAction& action : a().sent) EXPECT_FALSE(action.has_start());
  time_.Settle(io_);
  EXPECT_EQ(refusals, 1);
}

TEST_F(StandstillTest, IsNoReasonToThinkThatAShardHadNoOwner) {
  a().handler->OnClosed(absl::UnavailableError("gone"));
  StandStill(std::chrono::seconds(40));
  time_.Settle(io_);
  EXPECT_EQ(other_client_.ended, "-");
  b().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(20));
  EXPECT_EQ(other_client_.ended, "-");
}

TEST_F(StandstillTest, IsNoReasonToThinkThatAShardTakesNothing) {
  SendStanza(*mine_, "1");
  time_.RunFor(io_, std::chrono::seconds(10));
  StandStill(std::chrono::seconds(55));
  time_.RunFor(io_, std::chrono::seconds(15));
  EXPECT_EQ(client_.ended, "-");
}

TEST_F(StandstillTest, AnOwnerThatHeardNothingOfUsForTooLongHasEndedThem) {
  a().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(6));
  EXPECT_EQ(client_.ended, "-");
  a().sent.clear();
  Hello(a(), 10);
  EXPECT_EQ(client_.ended, "reset");
  EXPECT_TRUE(a().Take().attach().detached());
}

TEST_F(StandstillTest, AnAttachmentSaysForHowLongTheShardWasOutOfReach) {
  time_.RunFor(io_, std::chrono::minutes(3));
  Own(b(), 11);  // it has moved, and was in reach all the time
  EXPECT_EQ(b().Take().attach().out_of_reach_ms(), 0u);
  b().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(90));
  a().sent.clear();
  Own(a(), 12);
  EXPECT_EQ(a().Take().attach().out_of_reach_ms(), 90'000u);
}

TEST_F(StandstillTest, AnAttachmentThatItsOwnerWantsAgainSaysSinceWhenTheShardWasOutOfReach) {
  a().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(90));
  Own(b(), 11);
  time_.RunFor(io_, std::chrono::seconds(5));
  b().sent.clear();
  Own(b(), 11);
  EXPECT_EQ(b().Take().attach().out_of_reach_ms(), 95'000u);
}

TEST_F(StandstillTest, AShardWasOutOfReachWhileTheProcessStoodStillIfItsLinkBroke) {
  StandStill(std::chrono::minutes(5));
  time_.RunFor(io_, std::chrono::seconds(1));
  StandStill(std::chrono::minutes(5));
  a().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(1));
  a().sent.clear();
  Hello(a(), 10);
  EXPECT_GE(a().Take().attach().out_of_reach_ms(), 602'000u);
}

TEST_F(StandstillTest, AShardThatMovedWhileTheProcessStoodStillWasOutOfReach) {
  StandStill(std::chrono::minutes(5));
  Own(b(), 11);  // before the loss of the other link is noticed
  EXPECT_GE(b().Take().attach().out_of_reach_ms(), 300'000u);
}

TEST_F(StandstillTest, AShardWasNotOutOfReachIfItsLinkHeld) {
  StandStill(std::chrono::minutes(5));
  time_.RunFor(io_, std::chrono::seconds(20));
  a().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(2));
  a().sent.clear();
  Hello(a(), 10);
  EXPECT_EQ(a().Take().attach().out_of_reach_ms(), 2'000u);
}

TEST_F(StandstillTest, AnAttachmentSaysWhichOwnerHasKnownTheSession) {
  Own(b(), 11);
  EXPECT_EQ(b().Take().attach().known_epoch(), 10);
  Own(a(), 12);  // 11 may not have heard of it
  EXPECT_EQ(a().Take().attach().known_epoch(), 10);
  Confirm(a(), 12, *mine_, 0);
  Own(b(), 13);
  b().sent.pop_front();
  EXPECT_EQ(b().Take().attach().known_epoch(), 12);
  SayPacket(b(), 13, *mine_, 1, "p");
  a().sent.clear();
  Own(a(), 14);
  EXPECT_EQ(a().Take().attach().known_epoch(), 13);
}

TEST_F(StandstillTest, AnotherOwnerKnowsNothingOfThemAndTakesThem) {
  a().handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(8));
  Own(b(), 11);
  EXPECT_EQ(client_.ended, "-");
  EXPECT_FALSE(b().Take().attach().detached());
}

}  // namespace
}  // namespace rookery::gateway
