#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <memory>

#include "adapters/session_links.h"
#include "domain/text.h"
#include "rookery/events/homes.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::gateway {

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
                  [&](ClientSession* started, const ActionFailure&) { session = started; });
    const GatewayAction start = a().Take();
    EXPECT_EQ(start.start().user(), kUser);
    auto started = Action(10, start.session_id());
    started.mutable_started()->set_full_jid(kFull);
    a().Say(started);
    EXPECT_NE(session, nullptr);
    return *session;
  }
  ClientSession& StartResumable() {
    ClientSession& session = StartSession();
    session.outbound.EnableStreamManagement(/*resume=*/true);
    return session;
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

}  // namespace rookery::gateway
