#include "linked_gateway.h"

namespace rookery::gateway {
namespace {

TEST_F(SessionLinksTest, AnActionWaitsForAnOwner) {
  bool answered = false;
  links_->LookUp(kUser, [&](const Cluster::Lookup& lookup) {
    answered = true;
    EXPECT_FALSE(lookup.failed);
    ASSERT_EQ(lookup.keys.size(), 1u);
    EXPECT_EQ(lookup.keys[0].hash, ScramHash::kSha256);
  });
  EXPECT_TRUE(a().sent.empty());
  Hello(a());
  EXPECT_TRUE(a().sent.empty());
  Own(a(), 5);
  SkipAttachDone(a());
  const GatewayAction asked = a().Take();
  ASSERT_TRUE(asked.has_credentials_lookup());
  auto answer = Action(5);
  answer.mutable_credentials()->set_request_id(asked.credentials_lookup().request_id());
  answer.mutable_credentials()->add_keys()->set_mechanism("SCRAM-SHA-256");
  answer.mutable_credentials()->add_keys()->set_mechanism("SCRAM-SHA-3-NEW");
  a().Say(answer);
  EXPECT_TRUE(answered);
}

TEST_F(SessionLinksTest, TheHelloSaysWhichProcessOfItsNameTheGatewayIs) {
  links_->SetInstances({{"sm-a", "a"}, {"sm-b", "b"}, {"sm-c", "c"}});
  const GatewayAction hello = peers_["c"].Take();
  EXPECT_EQ(hello.hello().incarnation().started_at_ms(), 1'000);
  EXPECT_EQ(hello.hello().incarnation().random(), 7u);
}

TEST_F(SessionLinksTest, AnAnswerToAnEarlierProcessOfTheNameFitsNoRequestOfThisOne) {
  std::uint64_t before = 0;
  for (int life = 0; life < 2; ++life) {
    Make({});
    Hello(a(), 5);
    SkipAttachDone(a());
    links_->LookUp(kUser, [](const Cluster::Lookup&) {});
    const std::uint64_t id = a().Take().credentials_lookup().request_id();
    EXPECT_NE(id, 0u);
    EXPECT_NE(id, std::exchange(before, id));
  }
}

TEST_F(SessionLinksTest, AGatewayWhoseNameANewerOneHasIsToldSo) {
  SessionManagerAction action;
  action.mutable_gateway_replaced()->mutable_newer()->set_started_at_ms(2'000);
  a().Say(action);
  ASSERT_EQ(replaced_.size(), 1u);
  EXPECT_EQ(replaced_[0].code(), absl::StatusCode::kAborted);
}

TEST_F(SessionLinksTest, TheNewestHelloSaysWhatClientsAreTold) {
  const auto hello = [](std::uint32_t seconds, const char* ver) {
    SessionManagerAction action;
    action.mutable_hello()->set_shard_count(kShards);
    action.mutable_hello()->set_resumption_timeout_s(seconds);
    auto* caps = action.mutable_hello()->add_caps();
    caps->set_domain("example.com");
    caps->set_caps_node("node");
    caps->set_caps_ver(ver);
    return action;
  };
  EXPECT_EQ(links_->facts().resumption_seconds, 0u);
  EXPECT_TRUE(links_->facts().caps.empty());
  a().Say(hello(300, "one"));
  EXPECT_EQ(links_->facts().caps.at("example.com").ver, "one");
  b().Say(hello(600, "two"));
  EXPECT_EQ(links_->facts().resumption_seconds, 600u);
  EXPECT_EQ(links_->facts().caps.at("example.com").ver, "two");
  // One of an earlier release says neither.
  Hello(a());
  a().Say(hello(0, ""));
  EXPECT_EQ(links_->facts().resumption_seconds, 600u);
  EXPECT_EQ(links_->facts().caps.at("example.com").ver, "two");
}

TEST_F(SessionLinksTest, NotOwnerMeansToAskTheNextOwner) {
  Hello(a(), 5);
  Hello(b());
  SkipAttachDone(a());
  int answers = 0;
  links_->LookUp(kUser, [&](const Cluster::Lookup& lookup) {
    ++answers;
    EXPECT_FALSE(lookup.failed);
  });
  auto answer = Action(-1);
  answer.mutable_credentials()->set_request_id(a().Take().credentials_lookup().request_id());
  answer.mutable_credentials()->mutable_failure()->set_not_owner(true);
  a().Say(answer);
  EXPECT_EQ(answers, 0);
  Own(b(), 6);
  SkipAttachDone(b());
  const GatewayAction again = b().Take();
  ASSERT_TRUE(again.has_credentials_lookup());
  auto real = Action(6);
  real.mutable_credentials()->set_request_id(again.credentials_lookup().request_id());
  b().Say(real);
  EXPECT_EQ(answers, 1);
}

TEST_F(SessionLinksTest, ABackendThatIsAwayIsNoAnswerAboutTheUser) {
  Hello(a(), 5);
  SkipAttachDone(a());
  bool failed = false;
  links_->LookUp(kUser, [&](const Cluster::Lookup& lookup) { failed = lookup.failed; });
  auto answer = Action(5);
  answer.mutable_credentials()->set_request_id(a().Take().credentials_lookup().request_id());
  answer.mutable_credentials()->mutable_failure()->set_temporary(true);
  a().Say(answer);
  EXPECT_TRUE(failed);
}

TEST_F(SessionLinksTest, TooManyWaitingActionsFailAtOnceButNotWithinTheCall) {
  SessionLinksOptions options;
  options.max_actions = 2;
  Make(options);
  int failed = 0;
  for (int i = 0; i < 3; ++i)
    links_->LookUp(kUser, [&](const Cluster::Lookup& lookup) { failed += lookup.failed ? 1 : 0; });
  EXPECT_EQ(failed, 0);
  time_.Settle(io_);
  EXPECT_EQ(failed, 1);
}

TEST_F(SessionLinksTest, ActionsThatNobodyAnswersFailTemporarily) {
  SessionLinksOptions options;
  options.action_timeout = std::chrono::milliseconds(0);
  Make(options);
  int failed = 0;
  links_->LookUp(kUser, [&](const Cluster::Lookup& lookup) { failed += lookup.failed ? 1 : 0; });
  links_->Start(Identity(kUser), "", client_, [&](ClientSession* session, const ActionFailure& refusal) {
    failed += session == nullptr && refusal.temporary ? 1 : 0;
  });
  links_->CreateAccount(kUser, "x",
                        [&](const ActionFailure* refusal) { failed += refusal->temporary ? 1 : 0; });
  links_->Resume(
      SessionId::Random(), Identity(kUser), 0, client_,
      [&](const Cluster::Resumption& resumption) { failed += resumption.refusal.temporary ? 1 : 0; });
  time_.Settle(io_);
  EXPECT_EQ(failed, 4);
}

TEST_F(SessionLinksTest, WhetherAnAccountWasMadeByAnOwnerThatIsGoneCannotBeKnown) {
  Hello(a(), 5);
  Hello(b());
  SkipAttachDone(a());
  bool temporary = false;
  links_->CreateAccount(kUser, "x", [&](const ActionFailure* refusal) {
    temporary = refusal != nullptr && refusal->temporary;
  });
  ASSERT_TRUE(a().Take().has_create());
  Own(b(), 6);
  EXPECT_TRUE(temporary);
}

TEST_F(SessionLinksTest, StanzasAreCountedAndKeptUntilConfirmed) {
  ClientSession& session = StartSession();
  SendStanza(session, "1");
  SendStanza(session, "2");
  for (const std::uint64_t count : {1u, 2u}) {
    const GatewayAction sent = a().Take();
    EXPECT_EQ(sent.session_id(), session.id.bytes());
    EXPECT_EQ(sent.stanza().count(), count);
    EXPECT_EQ(sent.stanza().stanza().id(), Cat(count));
    EXPECT_NE(sent.stanza().trace_id(), 0u);
  }
  auto confirmed = Action(10, session.id.bytes());
  confirmed.mutable_confirmed()->set_count(2);
  a().Say(confirmed);
  EXPECT_EQ(session.inbound.confirmed(), 2u);
  EXPECT_EQ(client_.confirmations, 1);
  EXPECT_EQ(client_.batches, 1);
}

TEST_F(SessionLinksTest, PacketsAreGivenOnceAndInOrder) {
  ClientSession& session = StartSession();
  SayPacket(a(), 10, session, 1, "p1");
  SayPacket(a(), 10, session, 1, "p1");
  SayPacket(a(), 10, session, 2, "p2");
  EXPECT_EQ(client_.packets, (std::vector<std::string>{"p1", "p2"}));
  EXPECT_EQ(client_.ended, "-");
  SayPacket(a(), 10, session, 9, "p9");
  EXPECT_EQ(client_.ended, "internal-server-error");
  EXPECT_EQ(client_.packets.size(), 2u);
}

TEST_F(SessionLinksTest, ANewOwnerIsToldEverythingInOrder) {
  ClientSession& session = StartSession();
  session.outbound.EnableStreamManagement(true);
  links_->StreamManagementEnabled(session);
  EXPECT_TRUE(a().Take().stream_management_enable().resume());
  SayPacket(a(), 10, session, 1, "p1", 33);
  SayPacket(a(), 10, session, 2, "p2", -1);
  SendStanza(session, "1");
  SendStanza(session, "2");
  auto state = Action(10, session.id.bytes());
  state.mutable_state()->set_state("opaque");
  a().Say(state);

  Own(b(), 20);
  const GatewayAction attach = b().Take();
  ASSERT_TRUE(attach.has_attach());
  EXPECT_EQ(attach.session_id(), session.id.bytes());
  EXPECT_EQ(attach.attach().full_jid(), kFull);
  EXPECT_EQ(attach.attach().last_seq(), 2u);
  EXPECT_EQ(attach.attach().acked_seq(), 0u);
  EXPECT_EQ(attach.attach().last_offset(), 33);
  EXPECT_EQ(attach.attach().state(), "opaque");
  EXPECT_TRUE(attach.attach().stream_management());
  ASSERT_EQ(attach.attach().unacked_size(), 2);
  EXPECT_FALSE(attach.attach().unacked(0).has_stanza());
  EXPECT_EQ(attach.attach().unacked(1).stanza().id(), "p2");
  EXPECT_EQ(b().Take().stanza().stanza().id(), "1");
  EXPECT_EQ(b().Take().stanza().count(), 2u);
  const GatewayAction done = b().Take();
  EXPECT_EQ(done.attach_done().epoch(), 20);

  // The old owner wakes up: it does no harm.
  SayPacket(a(), 10, session, 3, "late");
  auto late = Action(10, session.id.bytes());
  late.mutable_ended()->set_condition("conflict");
  a().Say(late);
  EXPECT_EQ(client_.packets.size(), 2u);
  EXPECT_EQ(client_.ended, "-");
  SayPacket(b(), 20, session, 3, "p3");
  EXPECT_EQ(client_.packets.back(), "p3");
}

TEST_F(SessionLinksTest, AStartThatWasNotAnsweredGoesToTheNextOwner) {
  Hello(a(), 10);
  Hello(b());
  SkipAttachDone(a());
  ClientSession* session = nullptr;
  links_->Start(Identity(kUser), "r", client_,
                [&](ClientSession* started, const ActionFailure&) { session = started; });
  const GatewayAction first = a().Take();
  a().handler->OnClosed(absl::UnavailableError("gone"));
  Own(b(), 11);
  SkipAttachDone(b());
  const GatewayAction second = b().Take();
  ASSERT_TRUE(second.has_start());
  EXPECT_EQ(second.session_id(), first.session_id());
  auto started = Action(11, second.session_id());
  started.mutable_started()->set_full_jid(kFull);
  b().Say(started);
  EXPECT_NE(session, nullptr);
}

TEST_F(SessionLinksTest, ASessionWhoseClientLeftMeanwhileEnds) {
  Hello(a(), 10);
  SkipAttachDone(a());
  const auto request =
      links_->Start(Identity(kUser), "r", client_, [](ClientSession*, const ActionFailure&) { FAIL(); });
  const GatewayAction start = a().Take();
  links_->Cancel(request);
  auto started = Action(10, start.session_id());
  started.mutable_started()->set_full_jid(kFull);
  a().Say(started);
  EXPECT_EQ(a().Take().end().reason(), session::v1::END_REASON_CONNECTION_LOST);
  auto ended = Action(10, start.session_id());
  ended.mutable_ended();
  a().Say(ended);
  EXPECT_EQ(links_->session_count(), 0u);
}

TEST_F(SessionLinksTest, StanzasWithoutAnOwnerGoWithTheAttachment) {
  ClientSession& session = StartSession();
  a().handler->OnClosed(absl::UnavailableError("gone"));
  SendStanza(session, "1");
  links_->Delivered(session);
  Own(b(), 11);
  EXPECT_TRUE(b().Take().has_attach());
  EXPECT_EQ(b().Take().stanza().count(), 1u);
  SkipAttachDone(b());
}

TEST_F(SessionLinksTest, ALostSessionIsAttachedUntilItIsParked) {
  ClientSession& session = StartSession();
  const std::string id(session.id.bytes());
  SendStanza(session, "1");
  a().Take();
  links_->End(session, EndReason::kConnectionLost);
  EXPECT_EQ(a().Take().end().reason(), session::v1::END_REASON_CONNECTION_LOST);
  Own(b(), 11);
  EXPECT_TRUE(b().Take().attach().detached());
  EXPECT_TRUE(b().Take().has_stanza());
  EXPECT_EQ(b().Take().end().reason(), session::v1::END_REASON_CONNECTION_LOST);
  SkipAttachDone(b());
  EXPECT_EQ(links_->session_count(), 1u);
  auto parked = Action(11, id);
  parked.mutable_parked();
  b().Say(parked);
  EXPECT_EQ(links_->session_count(), 0u);
}

TEST_F(SessionLinksTest, ResumesAsANewSessionWithTheOldCounts) {
  Hello(a(), 10);
  SkipAttachDone(a());
  const SessionId id = SessionId::Random();
  ClientSession* session = nullptr;
  links_->Resume(id, Identity(kUser), 4, client_,
                 [&](const Cluster::Resumption& resumption) { session = resumption.session; });
  const GatewayAction resume = a().Take();
  EXPECT_EQ(resume.resume().handled(), 4u);
  auto resumed = Action(10, id.bytes());
  resumed.mutable_resumed()->set_attempt(resume.resume().attempt());
  resumed.mutable_resumed()->set_full_jid(kFull);
  resumed.mutable_resumed()->set_inbound_count(9);
  resumed.mutable_resumed()->set_base_seq(2);
  resumed.mutable_resumed()->set_acked_seq(6);
  a().Say(resumed);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(a().Take().delivered().seq(), 6u);
  EXPECT_EQ(session->inbound.next_count(), 10u);
  SayPacket(a(), 10, *session, 7, "p7");
  EXPECT_EQ(client_.packets, std::vector<std::string>{"p7"});
  EXPECT_EQ(session->outbound.sent_h(), 5u);
}

TEST_F(SessionLinksTest, ResumingHereWhatIsStillHere_TheNewConnectionHasTheSession) {
  ClientSession& old = StartSession();
  const SessionId id = old.id;
  FakeClient second;
  ClientSession* session = nullptr;
  links_->Resume(id, Identity(kUser), 0, second,
                 [&](const Cluster::Resumption& resumption) { session = resumption.session; });
  auto resumed = Action(10, id.bytes());
  resumed.mutable_resumed()->set_attempt(a().Take().resume().attempt());
  resumed.mutable_resumed()->set_full_jid(kFull);
  a().Say(resumed);
  EXPECT_EQ(client_.ended, "conflict");
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->client, &second);
  EXPECT_EQ(links_->session_count(), 1u);
}

TEST_F(SessionLinksTest, ResumingHereWhatIsStillHere_NothingMoreIsTakenFromTheOldConnection) {
  ClientSession& old = StartResumable();
  const SessionId id = old.id;
  FakeClient second;
  ClientSession* session = nullptr;
  links_->Resume(id, Identity(kUser), 0, second,
                 [&](const Cluster::Resumption& resumption) { session = resumption.session; });
  EXPECT_EQ(client_.ended, "conflict");
  const GatewayAction resume = a().Take();
  ASSERT_TRUE(resume.has_resume());
  // That would be taken for the loss of the new one.
  EXPECT_TRUE(a().sent.empty());
  auto resumed = Action(10, id.bytes());
  resumed.mutable_ended()->set_condition("conflict");
  a().Say(resumed);
  resumed.mutable_resumed()->set_attempt(resume.resume().attempt());
  resumed.mutable_resumed()->set_full_jid(kFull);
  a().Say(resumed);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->client, &second);
  EXPECT_TRUE(a().Take().has_delivered());
  EXPECT_TRUE(a().sent.empty());
  links_->End(*session, EndReason::kConnectionLost);
  EXPECT_TRUE(a().Take().has_end());
}

TEST_F(SessionLinksTest, ResumingHereWhatIsOfSomebodyElse_ItsConnectionStays) {
  const SessionId id = StartResumable().id;
  FakeClient second;
  links_->Resume(id, Identity("mallory@localhost"), 0, second, [](const Cluster::Resumption&) {});
  EXPECT_EQ(client_.ended, "-");
}

TEST_F(SessionLinksTest, ResumingHereWhatIsStillHere_Refused_TheOldConnectionIsLost) {
  const SessionId id = StartResumable().id;
  FakeClient second;
  links_->Resume(id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  const GatewayAction resume = a().Take();
  auto refused = Action(10, id.bytes());
  refused.mutable_resumed()->set_attempt(resume.resume().attempt());
  refused.mutable_resumed()->mutable_failure()->set_temporary(true);
  a().Say(refused);
  const GatewayAction end = a().Take();
  EXPECT_EQ(end.session_id(), id.bytes());
  EXPECT_EQ(end.end().reason(), session::v1::END_REASON_CONNECTION_LOST);
}

TEST_F(SessionLinksTest, ResumingHereWhatIsStillHere_TheLastAttemptIsGivenUp_TheOldConnectionIsLost) {
  const SessionId id = StartResumable().id;
  FakeClient second;
  const auto first_attempt =
      links_->Resume(id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  const auto second_attempt =
      links_->Resume(id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  a().sent.clear();
  links_->Cancel(first_attempt);
  EXPECT_TRUE(a().sent.empty());
  links_->Cancel(second_attempt);
  EXPECT_TRUE(a().Take().has_end());
}

TEST_F(SessionLinksTest, ResumingHereWhatIsStillHere_NobodyAnswers_TheOldConnectionIsLost) {
  SessionLinksOptions options;
  options.action_timeout = std::chrono::seconds(1);
  Make(options);
  const SessionId id = StartResumable().id;
  FakeClient second;
  links_->Resume(id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  EXPECT_TRUE(a().Take().has_resume());
  EXPECT_TRUE(a().sent.empty());
  time_.RunFor(io_, std::chrono::seconds(1));
  EXPECT_TRUE(a().Take().has_end());
}

TEST_F(SessionLinksTest, ALinkIsOpenedAgainAndItsShardsAttachedAgain) {
  ClientSession& session = StartSession();
  a().handler->OnClosed(absl::UnavailableError("gone"));
  EXPECT_EQ(links_->session_count(), 1u);
  FakeLink::Peer before = a();
  time_.RunFor(io_, std::chrono::milliseconds(400));
  EXPECT_EQ(a().Take().hello().instance(), "gateway-1");
  Hello(a(), 10);
  EXPECT_EQ(a().Take().session_id(), session.id.bytes());
  SkipAttachDone(a());
}

TEST_F(SessionLinksTest, AnEndedSessionIsKeptAsLongAsItsOwnerSaysSo) {
  const std::string id(StartSession().id.bytes());
  auto ended = Action(10, id);
  ended.mutable_ended()->set_condition("conflict");
  ended.mutable_ended()->set_keep(true);
  a().Say(ended);
  EXPECT_EQ(client_.ended, "conflict");
  ASSERT_EQ(links_->session_count(), 1u);
  EXPECT_EQ(a().Take().end().reason(), session::v1::END_REASON_CLOSED);

  client_.ended = "-";
  Own(b(), 11);
  const GatewayAction attach = b().Take();
  EXPECT_EQ(attach.session_id(), id);
  EXPECT_TRUE(attach.has_attach());
  EXPECT_EQ(b().Take().end().reason(), session::v1::END_REASON_CLOSED);
  SkipAttachDone(b());
  ended = Action(11, id);
  ended.mutable_ended()->set_condition("conflict");
  b().Say(ended);
  EXPECT_EQ(links_->session_count(), 0u);
  EXPECT_EQ(client_.ended, "-") << "its client was told before";
}

TEST_F(SessionLinksTest, AnAttachmentThatIsRefusedEndsTheSession) {
  ClientSession& session = StartSession();
  const std::string id(session.id.bytes());
  Own(b(), 11);
  auto refused = Action(11, id);
  refused.mutable_attached()->mutable_failure()->set_condition("conflict");
  b().Say(refused);
  EXPECT_EQ(client_.ended, "conflict");
  EXPECT_EQ(links_->session_count(), 0u);
}

TEST_F(SessionLinksTest, TheProcessBoundsWhatIsUnconfirmed) {
  SessionLinksOptions options;
  options.max_unconfirmed_bytes = 1000;
  Make(options);
  ClientSession& session = StartSession();
  int sent = 0;
  while (links_->MayRead(session)) SendStanza(session, Cat(++sent).c_str());
  EXPECT_LT(sent, 30);
  auto confirmed = Action(10, session.id.bytes());
  confirmed.mutable_confirmed()->set_count(static_cast<std::uint64_t>(sent));
  a().Say(confirmed);
  time_.Settle(io_);
  EXPECT_EQ(client_.uncongested, 1);
  EXPECT_TRUE(links_->MayRead(session));
}

// ---- who is there --------------------------------------------------------------

class KnownSessionManagersTest : public SessionLinksTest {
 protected:
  struct Told {
    const char* instance;
    const char* address;
    std::int64_t started;
  };
  void Tell(FakeLink::Peer& peer, const std::vector<Told>& all) {
    SessionManagerAction action;
    action.mutable_session_managers_known();
    for (const Told& one : all) {
      auto* known = action.mutable_session_managers_known()->add_session_managers();
      known->set_instance(one.instance);
      known->set_address(one.address);
      known->mutable_incarnation()->set_started_at_ms(one.started);
    }
    peer.Say(action);
    time_.Settle(io_);
  }
};

TEST_F(KnownSessionManagersTest, AreFoundThoughTheRegistryCannotBeRead) {
  Hello(a());
  Tell(a(), {{"sm-a", "a", 1}, {"sm-b", "b", 1}, {"sm-c", "c", 1}});
  ASSERT_TRUE(peers_.contains("c"));
  EXPECT_TRUE(peers_["c"].Take().has_hello());
  Hello(peers_["c"], 20);
  EXPECT_TRUE(peers_["c"].Take().has_attach_done());
}

TEST_F(KnownSessionManagersTest, OneThatIsListedNoMoreStaysWhileItsLinkWorks) {
  Tell(a(), {{"sm-c", "c", 1}});
  Tell(a(), {});
  EXPECT_FALSE(peers_["c"].closed);
  peers_["c"].sent.clear();
  peers_["c"].handler->OnClosed(absl::UnavailableError("gone"));
  time_.RunFor(io_, std::chrono::seconds(10));
  EXPECT_TRUE(peers_["c"].sent.empty()) << "it is not dialled again";
}

TEST_F(KnownSessionManagersTest, ANewerProcessOfANameIsLinkedAtOnceAndTheOlderForgotten) {
  ClientSession& session = StartSession();
  Tell(b(), {{"sm-a", "a", 1}});
  Tell(b(), {{"sm-a", "a2", 2}});
  ASSERT_TRUE(peers_.contains("a2"));
  EXPECT_TRUE(peers_["a2"].Take().has_hello());
  Hello(peers_["a2"], 20);
  EXPECT_EQ(peers_["a2"].Take().session_id(), session.id.bytes());
  // The registry still lists the older one.
  links_->SetInstances({{"sm-a", "a"}, {"sm-b", "b"}});
  EXPECT_EQ(links_->session_count(), 1u);
  SayPacket(peers_["a2"], 20, session, 1, "p1");
  EXPECT_EQ(client_.packets, std::vector<std::string>{"p1"});
}

TEST_F(KnownSessionManagersTest, TheSameProcessIsNotLinkedTwice) {
  const auto* handler = a().handler;
  Tell(a(), {{"sm-a", "a", 5}, {"sm-b", "b", 5}});
  links_->SetInstances({{"sm-a", "a", {5, 0}}, {"sm-b", "b", {5, 0}}});
  Tell(b(), {{"sm-a", "a", 5}});
  EXPECT_EQ(a().handler, handler);
  EXPECT_TRUE(a().sent.empty());
}

TEST_F(KnownSessionManagersTest, ALinkToARestartedProcessIsNotGivenUpWhenTheNewsOfItComes) {
  links_->SetInstances({{"sm-a", "a", {5, 0}}, {"sm-b", "b", {5, 0}}});
  a().handler->OnClosed(absl::UnavailableError("killed"));
  time_.RunFor(io_, std::chrono::seconds(1));
  const auto* handler = a().handler;
  EXPECT_TRUE(a().Take().has_hello());
  Hello(a());
  links_->SetInstances({{"sm-a", "a", {6, 0}}, {"sm-b", "b", {5, 0}}});
  Tell(a(), {{"sm-a", "a", 6}, {"sm-b", "b", 5}});
  Tell(b(), {{"sm-a", "a", 6}, {"sm-b", "b", 5}});
  EXPECT_EQ(a().handler, handler);
  EXPECT_TRUE(a().sent.empty());
  // The next one is another.
  Tell(b(), {{"sm-a", "a", 7}, {"sm-b", "b", 5}});
  EXPECT_TRUE(a().Take().has_hello());
}

TEST_F(KnownSessionManagersTest, AProcessThatWasRestartedAtTheSameAddressIsDialledAgain) {
  links_->SetInstances({{"sm-a", "a", {5, 0}}, {"sm-b", "b", {5, 0}}});
  EXPECT_TRUE(a().sent.empty());
  links_->SetInstances({{"sm-a", "a", {6, 0}}, {"sm-b", "b", {5, 0}}});
  EXPECT_TRUE(a().Take().has_hello());
}

TEST_F(SessionLinksTest, NonsenseFromALinkIsIgnored) {
  ClientSession& session = StartSession();
  a().Say(Action(10));
  a().Say(Action(10, "short"));
  auto owned = Action(10);
  owned.mutable_shard_owned()->set_shard(4'000'000'000U);
  a().Say(owned);
  auto hello = Action(0);
  hello.mutable_hello()->set_shard_count(kShards + 1);
  b().Say(hello);
  auto state = Action(10, SessionId::Random().bytes());
  state.mutable_state();
  a().Say(state);
  auto credentials = Action(10);
  credentials.mutable_credentials()->set_request_id(12345);
  a().Say(credentials);
  EXPECT_EQ(client_.ended, "-");
  EXPECT_EQ(session.outbound.last_seq(), 0u);
}

}  // namespace
}  // namespace rookery::gateway
