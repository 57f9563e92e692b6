#include "rookery/rpc/session_link.h"

#include <grpcpp/impl/codegen/service_type.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "child_process.h"

namespace rookery::rpc {
namespace {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A session-manager's end: notes what it hears.
struct ManagerEnd final : SessionManagerLinkHandler {
  std::unique_ptr<SessionManagerLink> link;
  std::uint64_t heard = 0;
  bool in_order = true;
  int frames = 0;
  std::optional<absl::Status> closed;
  std::function<void(GatewayAction&)> on_action;

  void OnAction(GatewayAction action) override {
    in_order &= action.stanza().count() == ++heard;
    if (on_action) on_action(action);
  }
  void OnFrameEnd() override { ++frames; }
  void OnClosed(const absl::Status& status) override { closed = status; }
};

struct GatewayEnd final : GatewayLinkHandler {
  std::unique_ptr<GatewayLink> link;
  std::uint64_t heard = 0;
  bool in_order = true;
  std::optional<absl::Status> closed;
  std::function<void(SessionManagerAction&)> on_action;

  void OnAction(SessionManagerAction action) override {
    in_order &= action.packet().targets(0).seq() == ++heard;
    if (on_action) on_action(action);
  }
  void OnFrameEnd() override {}
  void OnUncongested() override { ++uncongested; }
  void OnClosed(const absl::Status& status) override { closed = status; }

  int uncongested = 0;
};

void Fill(GatewayAction& action, std::uint64_t count) {
  action.set_session_id("0123456789abcdef");
  auto& stanza = *action.mutable_stanza();
  stanza.set_count(count);
  stanza.mutable_stanza()->set_from("juliet@example.org/balcony");
  stanza.mutable_stanza()->set_payload("<body>x</body>");
}

void Fill(SessionManagerAction& action, std::uint64_t seq) {
  action.set_shard(3);
  auto& packet = *action.mutable_packet();
  auto& target = *packet.add_targets();
  target.set_session_id("0123456789abcdef");
  target.set_seq(seq);
  packet.mutable_stanza()->set_payload("<body>x</body>");
}

class LinkTest : public testing::Test {
 protected:
  LinkTest() {
    service_ =
        MakeLinkService(io_, [this](std::unique_ptr<SessionManagerLink> link) -> SessionManagerLinkHandler* {
          if (refuse_) return nullptr;
          manager_.link = std::move(link);
          if (on_link_) on_link_();
          return &manager_;
        });
    auto server = Server::Start(ServerOptions{}, {service_.get()});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
  }

  ~LinkTest() override {
    gateway_.link.reset();
    manager_.link.reset();
    // The loop must turn while the server ends.
    std::thread shutdown([this] {
      server_->Shutdown(seconds(2));
      asio::post(io_, [this] { stopped_ = true; });
    });
    EXPECT_TRUE(Until([this] { return stopped_; }));
    shutdown.join();
    server_.reset();
  }

  bool Until(const std::function<bool()>& done, milliseconds time = seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      io_.restart();
      io_.run_one_for(milliseconds(20));
    }
    return true;
  }

  void Open() {
    gateway_.link = OpenLink(io_, ClientOptions{}, server_->bound_address(), gateway_);
    Fill(gateway_.link->Add(), 1);
    ASSERT_TRUE(Until([this] { return manager_.heard == 1; }));
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  ManagerEnd manager_;
  GatewayEnd gateway_;
  bool refuse_ = false;
  bool stopped_ = false;
  std::function<void()> on_link_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<Server> server_;
};

TEST_F(LinkTest, CarriesActionsBothWaysInOrder) {
  constexpr std::uint64_t kActions = 100'000;
  Open();
  std::uint64_t sent = 1;
  std::uint64_t answered = 0;
  manager_.on_action = [&](GatewayAction&) { Fill(manager_.link->Add(), ++answered); };
  Fill(manager_.link->Add(), 1);
  ++answered;
  ASSERT_TRUE(Until([&] {
    while (sent < kActions && gateway_.link->outbox_bytes() < (1 << 20)) Fill(gateway_.link->Add(), ++sent);
    return gateway_.heard == kActions;
  }));
  EXPECT_TRUE(manager_.in_order && gateway_.in_order);
  EXPECT_EQ(manager_.heard, kActions);
  // They shared frames.
  EXPECT_LT(manager_.frames, 10'000);
  EXPECT_EQ(gateway_.link->outbox_bytes(), 0u);
}

TEST_F(LinkTest, CloseByTheGatewayDeliversWhatIsQueued) {
  constexpr std::uint64_t kActions = 20'000;
  Open();
  for (std::uint64_t i = 2; i <= kActions; ++i) Fill(gateway_.link->Add(), i);
  gateway_.link->Close();
  ASSERT_TRUE(Until([&] { return gateway_.closed && manager_.closed; }));
  EXPECT_EQ(manager_.heard, kActions);
  EXPECT_TRUE(manager_.in_order);
  EXPECT_TRUE(manager_.closed->ok()) << *manager_.closed;
  EXPECT_TRUE(gateway_.closed->ok()) << *gateway_.closed;
}

TEST_F(LinkTest, CloseByTheManagerDeliversWhatIsQueued) {
  constexpr std::uint64_t kActions = 20'000;
  Open();
  for (std::uint64_t i = 1; i <= kActions; ++i) Fill(manager_.link->Add(), i);
  manager_.link->Close();
  ASSERT_TRUE(Until([&] { return gateway_.closed && manager_.closed; }));
  EXPECT_EQ(gateway_.heard, kActions);
  EXPECT_TRUE(gateway_.in_order);
  EXPECT_TRUE(gateway_.closed->ok()) << *gateway_.closed;
}

TEST_F(LinkTest, LargeActionsGoThrough) {
  Open();
  const std::string payload(3 << 20, 'x');
  std::size_t bytes = 0;
  manager_.on_action = [&](GatewayAction& action) { bytes += action.stanza().stanza().payload().size(); };
  for (std::uint64_t i = 2; i <= 5; ++i) {
    GatewayAction& action = gateway_.link->Add();
    Fill(action, i);
    action.mutable_stanza()->mutable_stanza()->set_payload(payload);
  }
  EXPECT_GT(gateway_.link->outbox_bytes(), 12u << 20);
  ASSERT_TRUE(Until([&] { return manager_.heard == 5; }));
  EXPECT_EQ(bytes, 4 * payload.size());
}

TEST_F(LinkTest, DestroyingOneEndClosesTheOther) {
  Open();
  gateway_.link.reset();
  ASSERT_TRUE(Until([&] { return manager_.closed.has_value(); }));
  EXPECT_EQ(manager_.closed->code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(gateway_.closed) << "an end that is destroyed hears nothing";
  manager_.link.reset();

  manager_.heard = 0;
  manager_.closed.reset();
  Open();
  manager_.link.reset();
  ASSERT_TRUE(Until([&] { return gateway_.closed.has_value(); }));
  EXPECT_FALSE(gateway_.closed->ok());
  EXPECT_FALSE(manager_.closed);
}

TEST_F(LinkTest, DestructionFromWithinAHandlerIsSafe) {
  Open();
  // With more actions of the same frame to come.
  manager_.on_action = [&](GatewayAction&) { manager_.link.reset(); };
  for (std::uint64_t i = 2; i <= 100; ++i) Fill(gateway_.link->Add(), i);
  ASSERT_TRUE(Until([&] { return gateway_.closed.has_value(); }));
  EXPECT_EQ(manager_.heard, 2u);

  manager_ = ManagerEnd{};
  gateway_.closed.reset();
  Open();
  gateway_.on_action = [&](SessionManagerAction&) { gateway_.link.reset(); };
  for (std::uint64_t i = 1; i <= 100; ++i) Fill(manager_.link->Add(), i);
  ASSERT_TRUE(Until([&] { return manager_.closed.has_value(); }));
  EXPECT_EQ(gateway_.heard, 1u);
}

TEST_F(LinkTest, RefusedLinkIsClosed) {
  refuse_ = true;
  gateway_.link = OpenLink(io_, ClientOptions{}, server_->bound_address(), gateway_);
  ASSERT_TRUE(Until([&] { return gateway_.closed.has_value(); }));
  EXPECT_FALSE(gateway_.closed->ok());
  gateway_.link.reset();
}

TEST_F(LinkTest, NobodyThereIsUnavailable) {
  gateway_.link = OpenLink(io_, ClientOptions{}, "127.0.0.1:1", gateway_);
  Fill(gateway_.link->Add(), 1);
  ASSERT_TRUE(Until([&] { return gateway_.closed.has_value(); }));
  EXPECT_EQ(gateway_.closed->code(), absl::StatusCode::kUnavailable);
  // Sending on after it is in vain, not wrong.
  Fill(gateway_.link->Add(), 2);
  gateway_.link->Close();
  io_.restart();
  io_.poll();
}

TEST_F(LinkTest, ServerShutdownClosesLinks) {
  Open();
  std::thread shutdown([this] { server_->Shutdown(milliseconds(100)); });
  EXPECT_TRUE(Until([&] { return gateway_.closed && manager_.closed; }));
  shutdown.join();
  EXPECT_FALSE(gateway_.closed->ok());
}

TEST_F(LinkTest, WhoFillsALinkIsToldWhenItIsFullAndWhenThereIsRoom) {
  LinkLimits limits;
  limits.max_outbox_bytes = 100'000;
  gateway_.link = OpenLink(io_, ClientOptions{}, server_->bound_address(), gateway_, limits);
  std::uint64_t count = 0;
  while (!gateway_.link->is_congested()) Fill(gateway_.link->Add(), ++count);
  EXPECT_GE(gateway_.link->outbox_bytes(), limits.max_outbox_bytes);
  EXPECT_EQ(gateway_.uncongested, 0);
  ASSERT_TRUE(Until([this] { return gateway_.uncongested == 1; }));
  EXPECT_FALSE(gateway_.link->is_congested());
  ASSERT_TRUE(Until([&] { return manager_.heard == count; }));
  EXPECT_EQ(gateway_.uncongested, 1);
}

// The other process of the tests below: main() runs it. A deaf one takes no frame, while its
// gRPC threads go on answering keepalive.
int ServeAsPeer(bool is_deaf) {
  asio::io_context io{1};
  const auto work = asio::make_work_guard(io);
  ManagerEnd manager;
  const auto service = MakeLinkService(io, [&](std::unique_ptr<SessionManagerLink> link) {
    manager.link = std::move(link);
    Fill(manager.link->Add(), 1);
    return &manager;
  });
  auto server = Server::Start(ServerOptions{}, {service.get()});
  if (!server.ok()) return 1;
  std::printf("\naddress=%s\n", (*server)->bound_address().c_str());
  std::fflush(stdout);
  while (is_deaf && manager.link == nullptr) io.run_one();
  if (is_deaf) ::pause();
  io.run();
  return 0;
}

class DeadPeerTest : public LinkTest {
 protected:
  void SetUp() override {
    gateway_.link = OpenLink(io_, ClientOptions{}, peer_.address(), gateway_);
    ASSERT_TRUE(Until([&] { return gateway_.heard == 1; }));
  }

  ChildProcess peer_{"--link-peer"};
};

TEST_F(DeadPeerTest, KilledPeerIsNoticedAtOnce) {
  peer_.Signal(SIGKILL);
  ASSERT_TRUE(Until([&] { return gateway_.closed.has_value(); }, seconds(2)));
  EXPECT_EQ(gateway_.closed->code(), absl::StatusCode::kUnavailable);
}

TEST_F(DeadPeerTest, FrozenPeerIsNoticedByKeepalive) {
  peer_.Signal(SIGSTOP);
  ASSERT_TRUE(Until([&] { return gateway_.closed.has_value(); }, seconds(12)));
  EXPECT_EQ(gateway_.closed->code(), absl::StatusCode::kUnavailable);
}

TEST_F(DeadPeerTest, APeerThatTakesNothingIsLeftThoughItAnswersKeepalive) {
  ChildProcess deaf("--link-deaf-peer");
  GatewayEnd end;
  LinkLimits limits;
  limits.max_outbox_bytes = 1 << 20;
  limits.stuck_after = milliseconds(500);
  end.link = OpenLink(io_, ClientOptions{}, deaf.address(), end, limits);
  // More than HTTP/2 and two frames hold, in portions as one who heeds the limit would send it.
  std::uint64_t count = 0;
  ASSERT_TRUE(Until([&] {
    while (!end.closed && !end.link->is_congested()) Fill(end.link->Add(), ++count);
    return end.closed.has_value();
  }));
  EXPECT_EQ(end.closed->code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(std::string(end.closed->message()).find("takes nothing"), std::string::npos) << *end.closed;
  EXPECT_LT(end.link->outbox_bytes(), limits.max_outbox_bytes + 1'000);
}

TEST_F(DeadPeerTest, FrozenPeerIsNoticedWhileAWriteIsStuck) {
  peer_.Signal(SIGSTOP);
  for (std::uint64_t i = 1; i <= 50'000; ++i) Fill(gateway_.link->Add(), i);
  ASSERT_TRUE(Until([&] { return gateway_.closed.has_value(); }, seconds(12)));
  EXPECT_EQ(gateway_.closed->code(), absl::StatusCode::kUnavailable);
}

}  // namespace

int MainOfLinkPeer(bool is_deaf) { return ServeAsPeer(is_deaf); }

}  // namespace rookery::rpc

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--link-peer") return rookery::rpc::MainOfLinkPeer(false);
  if (argc == 2 && std::string_view(argv[1]) == "--link-deaf-peer") return rookery::rpc::MainOfLinkPeer(true);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
