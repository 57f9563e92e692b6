#include "adapters/session_links.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <memory>

#include "domain/text.h"
#include "rookery/events/homes.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::gateway {
namespace {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

constexpr std::uint32_t kShards = 8;
constexpr char kUser[] = "romeo@example.com";
constexpr char kFull[] = "romeo@example.com/r";

/// The gateway's end of a link to a session-manager that the test plays.
class FakeLink final : public rpc::GatewayLink {
 public:
  struct Peer {
    rpc::GatewayLinkHandler* handler = nullptr;
    std::deque<GatewayAction> sent;
    bool closed = false;
    bool congested = false;

    GatewayAction Take() {
      if (sent.empty()) return {};
      GatewayAction action = std::move(sent.front());
      sent.pop_front();
      return action;
    }
    void Say(SessionManagerAction action) {
      handler->OnAction(std::move(action));
      handler->OnFrameEnd();
    }
  };
  explicit FakeLink(Peer& peer) : peer_(peer) {}
  GatewayAction& Add() override { return peer_.sent.emplace_back(); }
  std::size_t outbox_bytes() const override { return 0; }
  bool is_congested() const override { return peer_.congested; }
  void Close() override { peer_.closed = true; }

 private:
  Peer& peer_;
};

class FakeClient final : public SessionClient {
 public:
  void OnPacket(const xmpp::Stanza& stanza, std::string_view to) override {
    packets.push_back(stanza.id());
    last_to = to;
  }
  void OnConfirmed() override { ++confirmations; }
  void OnBatchEnd() override { ++batches; }
  void OnSessionEnded(std::string_view condition, std::string_view) override { ended = condition; }
  void OnUncongested() override { ++uncongested; }
  bool has_closed() const override { return closed; }

  std::vector<std::string> packets;
  std::string last_to;
  std::string ended = "-";
  bool closed = false;
  int confirmations = 0;
  int batches = 0;
  int uncongested = 0;
};

class SessionLinksTest : public ::testing::Test {
 protected:
  SessionLinksTest() : metrics_("gateway_test") { Make({}); }

  void Make(SessionLinksOptions options) {
    links_ = std::make_unique<SessionLinks>(
        io_, time_,
        [this](const std::string& address, rpc::GatewayLinkHandler& handler) {
          FakeLink::Peer& peer = peers_[address];
          peer = {};
          peer.handler = &handler;
          return std::make_unique<FakeLink>(peer);
        },
        options,
        GatewayIdentity{"gateway-1", [] { return Incarnation{1'000, 7}; },
                        [this](const absl::Status& why) { replaced_.push_back(why); }},
        metrics_);
    links_->SetInstances({{"sm-a", "a"}, {"sm-b", "b"}});
    for (auto& [name, peer] : peers_) EXPECT_EQ(peer.Take().hello().instance(), "gateway-1");
  }

  FakeLink::Peer& a() { return peers_["a"]; }
  FakeLink::Peer& b() { return peers_["b"]; }
  std::uint32_t shard() const { return events::ShardOfAccount(kUser, kShards); }

  void Hello(FakeLink::Peer& peer, std::int64_t owns_since = -1) {
    SessionManagerAction action;
    action.mutable_hello()->set_shard_count(kShards);
    if (owns_since >= 0) {
      auto* owned = action.mutable_hello()->add_shards();
      owned->set_shard(shard());
      owned->set_epoch(owns_since);
    }
    peer.Say(action);
  }
  void Own(FakeLink::Peer& peer, std::int64_t epoch) {
    SessionManagerAction action;
    action.mutable_shard_owned()->set_shard(shard());
    action.mutable_shard_owned()->set_epoch(epoch);
    peer.Say(action);
  }
  SessionManagerAction Action(std::int64_t epoch, std::string_view session = {}) const {
    SessionManagerAction action;
    action.set_shard(shard());
    action.set_epoch(epoch);
    action.set_session_id(std::string(session));
    return action;
  }
  void SkipAttachDone(FakeLink::Peer& peer) { EXPECT_TRUE(peer.Take().has_attach_done()); }

  /// A session with `a`, the owner since epoch 10.
  ClientSession& StartSession() {
    Hello(a(), 10);
    Hello(b());
    SkipAttachDone(a());
    ClientSession* session = nullptr;
    links_->Start(Identity(kUser), "r", client_,
                  [&](ClientSession* started, const Refusal&) { session = started; });
    const GatewayAction start = a().Take();
    EXPECT_EQ(start.start().user(), kUser);
    auto started = Action(10, start.session_id());
    started.mutable_started()->set_full_jid(kFull);
    a().Say(started);
    EXPECT_NE(session, nullptr);
    return *session;
  }
  void SendStanza(ClientSession& session, const char* id) {
    xmpp::Stanza stanza = xmpp::MakeMessage("chat", kFull, "juliet@example.com");
    stanza.set_id(id);
    links_->SendStanza(session, std::move(stanza), {});
  }
  void SayPacket(FakeLink::Peer& peer, std::int64_t epoch, const ClientSession& session, std::uint64_t seq,
                 const char* id, std::int64_t offset = 7) {
    auto action = Action(epoch);
    auto* packet = action.mutable_packet();
    packet->set_offset(offset);
    packet->mutable_stanza()->set_id(id);
    auto* target = packet->add_targets();
    target->set_session_id(std::string(session.id.bytes()));
    target->set_seq(seq);
    peer.Say(action);
  }

  rookery::testing::VirtualTime time_;
  asio::io_context io_;
  telemetry::Metrics metrics_;
  std::map<std::string, FakeLink::Peer> peers_;
  FakeClient client_;
  std::vector<absl::Status> replaced_;
  std::unique_ptr<SessionLinks> links_;
};

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
  links_->Start(Identity(kUser), "", client_, [&](ClientSession* session, const Refusal& refusal) {
    failed += session == nullptr && refusal.temporary ? 1 : 0;
  });
  links_->CreateAccount(kUser, "x", [&](const Refusal* refusal) { failed += refusal->temporary ? 1 : 0; });
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
  links_->CreateAccount(
      kUser, "x", [&](const Refusal* refusal) { temporary = refusal != nullptr && refusal->temporary; });
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
                [&](ClientSession* started, const Refusal&) { session = started; });
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
      links_->Start(Identity(kUser), "r", client_, [](ClientSession*, const Refusal&) { FAIL(); });
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

TEST_F(SessionLinksTest, ResumingHereWhatIsStillHereReplacesTheOldConnection) {
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

TEST_F(SessionLinksTest, TheLossOfAConnectionIsNotTakenForTheLossOfTheOneThatResumesItsSessionHere) {
  ClientSession& old = StartSession();
  const SessionId id = old.id;
  FakeClient second;
  ClientSession* session = nullptr;
  links_->Resume(id, Identity(kUser), 0, second,
                 [&](const Cluster::Resumption& resumption) { session = resumption.session; });
  const GatewayAction resume = a().Take();
  // Noticed late: its owner has resumed it by now.
  links_->End(old, EndReason::kConnectionLost);
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

TEST_F(SessionLinksTest, TheLossOfAConnectionIsToldWhenTheResumptionOfItsSessionIsRefused) {
  ClientSession& old = StartSession();
  const SessionId id = old.id;
  FakeClient second;
  links_->Resume(id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  const GatewayAction resume = a().Take();
  links_->End(old, EndReason::kConnectionLost);
  auto refused = Action(10, id.bytes());
  refused.mutable_resumed()->set_attempt(resume.resume().attempt());
  refused.mutable_resumed()->mutable_failure()->set_temporary(true);
  a().Say(refused);
  const GatewayAction end = a().Take();
  EXPECT_EQ(end.session_id(), id.bytes());
  EXPECT_EQ(end.end().reason(), session::v1::END_REASON_CONNECTION_LOST);
}

TEST_F(SessionLinksTest, TheLossOfAConnectionIsToldWhenTheLastAttemptToResumeItsSessionIsGivenUp) {
  ClientSession& old = StartSession();
  FakeClient second;
  const auto first_attempt =
      links_->Resume(old.id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  const auto second_attempt =
      links_->Resume(old.id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  links_->End(old, EndReason::kConnectionLost);
  a().sent.clear();
  links_->Cancel(first_attempt);
  EXPECT_TRUE(a().sent.empty());
  links_->Cancel(second_attempt);
  EXPECT_TRUE(a().Take().has_end());
}

TEST_F(SessionLinksTest, TheLossOfAConnectionIsToldWhenNobodyAnswersTheAttemptToResumeItsSession) {
  SessionLinksOptions options;
  options.action_timeout = std::chrono::seconds(1);
  Make(options);
  ClientSession& old = StartSession();
  FakeClient second;
  links_->Resume(old.id, Identity(kUser), 0, second, [](const Cluster::Resumption&) {});
  EXPECT_TRUE(a().Take().has_resume());
  links_->End(old, EndReason::kConnectionLost);
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

// ---- trouble with one shard is that shard's alone ------------------------------

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
                  [&](ClientSession* started, const Refusal&) { session = started; });
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
  // What breaks later did not break while it stood still.
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
  links_->Start(Identity(kUser), "r", client_, [&](ClientSession* started, const Refusal&) {
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
