#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>

#include "net_fixture.h"
#include "rookery/net/connection.h"

namespace rookery::net {
namespace {

class ListenerTest : public NetTest {
 protected:
  std::unique_ptr<Listener> Listen(ListenOptions options) {
    auto listener = Listener::Create(io_, std::move(options), [this](std::unique_ptr<Connection> c) {
      connections_.push_back(std::move(c));
    });
    EXPECT_TRUE(listener.ok()) << listener.status();
    return listener.ok() ? std::move(*listener) : nullptr;
  }
  std::vector<std::unique_ptr<Connection>> connections_;
};

TEST_F(ListenerTest, ServesIpv6) {
  auto listener = Listen({.address = "[::1]:0", .tls = nullptr});
  ASSERT_NE(listener, nullptr);
  EXPECT_TRUE(listener->bound_address().starts_with("[::1]:"));
  RawClient client(listener->bound_address());
  RunUntil([&] { return connections_.size() == 1; });
  EXPECT_EQ(connections_[0]->peer_address(), "::1");
  EXPECT_EQ(connections_[0]->peer_network(), "::/64");
}

TEST_F(ListenerTest, AllAddressesServeBothFamiliesAndIpv4PeersLookLikeIt) {
  auto listener = Listen({.address = ":0", .tls = nullptr});
  const std::string bound = listener->bound_address();
  RawClient v4("127.0.0.1" + bound.substr(bound.rfind(':')));
  RunUntil([&] { return connections_.size() == 1; });
  EXPECT_EQ(connections_[0]->peer_address(), "127.0.0.1");
  EXPECT_EQ(connections_[0]->peer_network(), "127.0.0.1");
}

TEST_F(ListenerTest, WhatComesDuringAPauseWaitsInTheBacklog) {
  auto listener = Listen({.address = "127.0.0.1:0", .tls = nullptr});
  listener->Pause();
  RawClient first(listener->bound_address());
  // The wait that was armed before the pause returns and accepts nothing.
  io_.run_one();
  RawClient second(listener->bound_address());
  io_.poll();
  EXPECT_TRUE(connections_.empty());
  listener->Resume();
  listener->Resume();
  RunUntil([&] { return connections_.size() == 2; });
  EXPECT_EQ(listener->refused(), 0u);
}

TEST_F(ListenerTest, MayBePausedByItsOwnCallback) {
  std::vector<std::unique_ptr<Connection>> taken;
  std::unique_ptr<Listener> listener;
  auto created = Listener::Create(io_, {.address = "127.0.0.1:0", .tls = nullptr},
                                  [&](std::unique_ptr<Connection> connection) {
                                    taken.push_back(std::move(connection));
                                    listener->Pause();
                                  });
  ASSERT_TRUE(created.ok());
  listener = std::move(*created);
  RawClient first(listener->bound_address());
  RawClient second(listener->bound_address());
  RunUntil([&] { return taken.size() == 1; });
  io_.poll();
  EXPECT_EQ(taken.size(), 1u);
  listener->Resume();
  RunUntil([&] { return taken.size() == 2; });
}

TEST_F(ListenerTest, APeerThatHasGoneIsSeenBeforeItsBytesAreRead) {
  auto listener = Listen({.address = "127.0.0.1:0", .tls = nullptr});
  RawClient client(listener->bound_address());
  RunUntil([&] { return connections_.size() == 1; });
  client.Send("bytes that nobody has read");
  client.Pump();
  EXPECT_FALSE(connections_[0]->has_peer_closed());
  client.ShutdownWrite();
  RunUntil([&] { return connections_[0]->has_peer_closed(); });
  EXPECT_FALSE(connections_[0]->is_broken()) << "it may still read";
}

TEST_F(ListenerTest, AConnectionThatBreaksIsSeenAlthoughItIsNotRead) {
  auto listener = Listen({.address = "127.0.0.1:0", .tls = nullptr});
  {
    RawClient client(listener->bound_address());
    RunUntil([&] { return connections_.size() == 1; });
    client.Send("bytes that nobody has read");
    client.Pump();
    EXPECT_FALSE(connections_[0]->is_broken());
    client.Reset();
  }
  RunUntil([&] { return connections_[0]->is_broken(); });
}

TEST_F(ListenerTest, SaysWhyItCannotListen) {
  auto listener = Listen({.address = "127.0.0.1:0", .tls = nullptr});
  const auto status = [&](const std::string& address, bool direct_tls = false) {
    return Listener::Create(io_, {.address = address, .direct_tls = direct_tls, .tls = nullptr},
                            [](std::unique_ptr<Connection>) {})
        .status()
        .code();
  };
  EXPECT_EQ(status(listener->bound_address()), absl::StatusCode::kUnavailable);
  for (const std::string bad : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1",
                                "host.example:1", "::1:5222", "[::1]", "[]:1"}) {
    EXPECT_EQ(status(bad), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(status("127.0.0.1:0", true), absl::StatusCode::kInvalidArgument);
}

TEST_F(ListenerTest, RefusesAboveItsLimitAndCounts) {
  auto listener = Listen({.address = "127.0.0.1:0", .tls = nullptr, .max_connections = 2});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<RawClient>(listener->bound_address()));
  RunUntil([&] { return listener->refused() == 1; });
  EXPECT_EQ(listener->accepted(), 2u);
  EXPECT_EQ(listener->open_connections(), 2u);
  RunUntil([&] { return clients[2]->eof; }, [&] { clients[2]->Pump(); });
  connections_.pop_back();
  EXPECT_EQ(listener->open_connections(), 1u);
  clients.push_back(std::make_unique<RawClient>(listener->bound_address()));
  RunUntil([&] { return listener->accepted() == 3; });
}

TEST_F(ListenerTest, RefusesAboveTheLimitOfAnAddress) {
  auto listener = Listen({.address = ":0", .tls = nullptr, .max_connections_per_address = 2});
  const std::string port = listener->bound_address().substr(listener->bound_address().rfind(':'));
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(std::make_unique<RawClient>("127.0.0.1" + port));
  RunUntil([&] { return listener->refused() == 2; });
  // Another address is another account.
  clients.push_back(std::make_unique<RawClient>("[::1]" + port));
  RunUntil([&] { return listener->accepted() == 3; });
  connections_.erase(connections_.begin());
  clients.push_back(std::make_unique<RawClient>("127.0.0.1" + port));
  RunUntil([&] { return listener->accepted() == 4; });
  EXPECT_EQ(listener->refused(), 2u);
}

int OptionOf(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, option, &value, &size), 0);
  return value;
}

/// The descriptor whose peer `client` is.
int OtherEndOf(int client) {
  sockaddr_in local{};
  socklen_t size = sizeof local;
  ::getsockname(client, reinterpret_cast<sockaddr*>(&local), &size);
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in peer{};
    size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 && peer.sin_family == AF_INET &&
        peer.sin_port == local.sin_port) {
      return fd;
    }
  }
  return -1;
}

TEST_F(ListenerTest, TheKernelWatchesForPeersThatVanish) {
  auto listener = Listen({.address = "127.0.0.1:0",
                          .tls = nullptr,
                          .keepalive = {std::chrono::seconds(50), std::chrono::seconds(7), 4}});
  RawClient client(listener->bound_address());
  RunUntil([&] { return connections_.size() == 1; });
  const int fd = OtherEndOf(client.fd);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(OptionOf(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_KEEPIDLE), 50);
  EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
  EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
  EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 78'000);
}

TEST_F(ListenerTest, ConnectionsOutliveTheListener) {
  auto listener = Listen({.address = "127.0.0.1:0", .tls = nullptr, .max_connections_per_address = 5});
  const std::string address = listener->bound_address();
  RawClient client(address);
  RunUntil([&] { return connections_.size() == 1; });
  listener->Stop();
  RawClient late(address);
  EXPECT_NE(late.error, "");
  listener.reset();
  Recorder server;
  connections_[0]->Start(&server);
  connections_[0]->Write("x");
  RunUntil([&] { return client.in == "x"; }, [&] { client.Pump(); });
  connections_.clear();
}

TEST_F(ListenerTest, MayBeStoppedAndDestroyedByItsOwnCallback) {
  std::unique_ptr<Listener> listener;
  bool called = false;
  auto created =
      Listener::Create(io_, {.address = "127.0.0.1:0", .tls = nullptr}, [&](std::unique_ptr<Connection>) {
        called = true;
        listener.reset();
      });
  listener = std::move(*created);
  RawClient first(listener->bound_address()), second(listener->bound_address());
  RunUntil([&] { return called; });
}

/// In a process of its own, since the limit is the process's.
int ExhaustDescriptors() {
  asio::io_context io(1);
  std::vector<std::unique_ptr<Connection>> connections;
  auto listener =
      Listener::Create(io, {.address = "127.0.0.1:0", .tls = nullptr},
                       [&](std::unique_ptr<Connection> c) { connections.push_back(std::move(c)); });
  if (!listener.ok()) return 1;
  Listener& l = **listener;
  {
    // Every path once before: UBSan needs descriptors for a type that it meets first.
    RawClient first(l.bound_address());
    asio::steady_timer timer(io, std::chrono::milliseconds(1));
    timer.async_wait([](const boost::system::error_code&) {});
    while (connections.empty() || timer.expiry() > std::chrono::steady_clock::now())
      io.run_one_for(std::chrono::milliseconds(100));
    io.poll();
    connections.clear();
    io.restart();
  }
  // Both ends of a connection are here. The clients first, then the limit: four
  // accepted connections fit.
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<RawClient>(l.bound_address()));
  const int next = ::open("/dev/null", O_RDONLY);
  ::close(next);
  rlimit limit;
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = static_cast<rlim_t>(next) + 4;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
  // Each turn must make progress: a loop that spins would run for ever.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (l.accepted() + l.refused() < 21) {
    if (std::chrono::steady_clock::now() > deadline) return 3;
    io.run_one_for(std::chrono::milliseconds(100));
  }
  if (l.accepted() != 5 || l.refused() != 16) return 4;
  // Nothing is left to do: the loop sleeps.
  if (io.poll() != 0) return 5;
  int closed = 0;
  for (auto& client : clients) {
    client->Pump();
    closed += client->eof ? 1 : 0;
  }
  if (closed != 16) return 6;
  // Room again: accepting goes on.
  connections.clear();
  clients.clear();
  RawClient again(l.bound_address());
  while (l.accepted() < 6) {
    if (std::chrono::steady_clock::now() > deadline) return 7;
    io.run_one_for(std::chrono::milliseconds(100));
  }
  return 0;
}

TEST(ListenerDeathTest, DescriptorExhaustionRefusesAtOnceAndNeverSpins) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(std::_Exit(ExhaustDescriptors()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace rookery::net
