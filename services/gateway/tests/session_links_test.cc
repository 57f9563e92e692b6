#include "adapters/session_links.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <memory>

#include "domain/text.h"
#include "rookery/base/shard.h"

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
  void Send(GatewayAction action) override { peer_.sent.push_back(std::move(action)); }
  GatewayAction& Add() override { return peer_.sent.emplace_back(); }
  std::size_t outbox_bytes() const override { return 0; }
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

  std::vector<std::string> packets;
  std::string last_to;
  std::string ended = "-";
  int confirmations = 0;
  int batches = 0;
  int uncongested = 0;
};

class SessionLinksTest : public testing::Test {
 protected:
  SessionLinksTest() : metrics_("gateway_test") { Make({}); }

  void Make(SessionLinksOptions options) {
    links_ = std::make_unique<SessionLinks>(
        io_,
        [this](const std::string& address, rpc::GatewayLinkHandler& handler) {
          FakeLink::Peer& peer = peers_[address];
          peer = {};
          peer.handler = &handler;
          return std::make_unique<FakeLink>(peer);
        },
        options, "gateway-1", metrics_);
    links_->SetInstances({{"sm-a", "a"}, {"sm-b", "b"}});
    for (auto& [name, peer] : peers_) EXPECT_EQ(peer.Take().hello().instance(), "gateway-1");
  }

  FakeLink::Peer& a() { return peers_["a"]; }
  FakeLink::Peer& b() { return peers_["b"]; }
  std::uint32_t shard() const { return ShardOf(kUser, kShards); }

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
    links_->Start(kUser, "r", client_, [&](ClientSession* started, const Refusal&) { session = started; });
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
    links_->SendStanza(session, std::move(stanza), false);
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

  asio::io_context io_;
  telemetry::Metrics metrics_;
  std::map<std::string, FakeLink::Peer> peers_;
  FakeClient client_;
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
  io_.poll();
  EXPECT_EQ(failed, 1);
}

TEST_F(SessionLinksTest, ActionsThatNobodyAnswersFailTemporarily) {
  SessionLinksOptions options;
  options.action_timeout = std::chrono::milliseconds(0);
  Make(options);
  int failed = 0;
  links_->LookUp(kUser, [&](const Cluster::Lookup& lookup) { failed += lookup.failed ? 1 : 0; });
  links_->Start(kUser, "", client_, [&](ClientSession* session, const Refusal& refusal) {
    failed += session == nullptr && refusal.temporary ? 1 : 0;
  });
  links_->CreateAccount(kUser, "x", [&](const Refusal* refusal) { failed += refusal->temporary ? 1 : 0; });
  links_->Resume(SessionId::Random(), kUser, 0, client_, [&](const Cluster::Resumption& resumption) {
    failed += resumption.refusal.temporary ? 1 : 0;
  });
  io_.run_for(std::chrono::milliseconds(400));
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
  links_->Start(kUser, "r", client_, [&](ClientSession* started, const Refusal&) { session = started; });
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
  const auto request = links_->Start(kUser, "r", client_, [](ClientSession*, const Refusal&) { FAIL(); });
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
  links_->Resume(id, kUser, 4, client_,
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
  links_->Resume(id, kUser, 0, second,
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

TEST_F(SessionLinksTest, ALinkIsOpenedAgainAndItsShardsAttachedAgain) {
  ClientSession& session = StartSession();
  a().handler->OnClosed(absl::UnavailableError("gone"));
  EXPECT_EQ(links_->session_count(), 1u);
  FakeLink::Peer before = a();
  io_.run_for(std::chrono::milliseconds(400));
  EXPECT_EQ(a().Take().hello().instance(), "gateway-1");
  Hello(a(), 10);
  EXPECT_EQ(a().Take().session_id(), session.id.bytes());
  SkipAttachDone(a());
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
  while (!links_->is_congested(&client_)) SendStanza(session, Cat(++sent).c_str());
  EXPECT_LT(sent, 30);
  auto confirmed = Action(10, session.id.bytes());
  confirmed.mutable_confirmed()->set_count(static_cast<std::uint64_t>(sent));
  a().Say(confirmed);
  io_.poll();
  EXPECT_EQ(client_.uncongested, 1);
  EXPECT_FALSE(links_->is_congested(&client_));
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
