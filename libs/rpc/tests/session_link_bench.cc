// The cost of an action through one link, both processes' share: a gateway thread sends stanzas, a
// session-manager thread answers each with a packet. Not a test.
//   rookery_rpc_bench [actions per second, 0: as fast as it goes] [seconds]
#include <grpcpp/impl/codegen/service_type.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "rookery/rpc/session_link.h"

namespace rookery::rpc {
namespace {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;
using Clock = std::chrono::steady_clock;

const std::string kPayload = "<body>" + std::string(200, 'x') + "</body>";

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

std::uint64_t Nanos() { return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()); }

struct Manager final : SessionManagerLinkHandler {
  std::unique_ptr<SessionManagerLink> link;
  std::uint64_t frames = 0;
  void OnAction(GatewayAction action) override {
    SessionManagerAction& answer = link->Add();
    answer.set_shard(1);
    answer.set_epoch(42);
    auto& packet = *answer.mutable_packet();
    auto& target = *packet.add_targets();
    target.set_session_id(std::move(*action.mutable_session_id()));
    target.set_seq(action.stanza().count());
    packet.set_trace_id(action.stanza().trace_id());
    packet.mutable_stanza()->Swap(action.mutable_stanza()->mutable_stanza());
  }
  void OnFrameEnd() override { ++frames; }
  void OnClosed(const absl::Status&) override {}
};

struct Gateway final : GatewayLinkHandler {
  std::unique_ptr<GatewayLink> link;
  std::vector<double> latencies;
  std::uint64_t sent = 0, heard = 0, frames = 0;
  void Send() {
    GatewayAction& action = link->Add();
    action.set_session_id("0123456789abcdef");
    auto& stanza = *action.mutable_stanza();
    stanza.set_count(++sent);
    stanza.set_trace_id(Nanos());
    auto& out = *stanza.mutable_stanza();
    out.set_type("chat");
    out.set_id("abcdef0123456789");
    out.set_from("juliet@example.org/balcony");
    out.set_to("romeo@example.org");
    out.set_payload(kPayload);
  }
  void OnAction(SessionManagerAction action) override {
    ++heard;
    latencies.push_back(static_cast<double>(Nanos() - action.packet().trace_id()) / 1e6);
  }
  void OnFrameEnd() override { ++frames; }
  void OnClosed(const absl::Status&) override {}
};

int Main(int argc, char** argv) {
  const double rate = argc > 1 ? std::atof(argv[1]) : 0;
  const int seconds = argc > 2 ? std::atoi(argv[2]) : 5;
  asio::io_context manager_io{1}, gateway_io{1};
  auto manager_work = asio::make_work_guard(manager_io);
  auto gateway_work = asio::make_work_guard(gateway_io);
  Manager manager;
  Gateway gateway;
  const auto service = MakeLinkService(manager_io, [&](std::unique_ptr<SessionManagerLink> link) {
    manager.link = std::move(link);
    return &manager;
  });
  auto server = Server::Start(ServerOptions{}, {service.get()});
  if (!server.ok()) return 1;
  std::thread manager_thread([&] { manager_io.run(); });
  gateway.link = OpenLink(gateway_io, ClientOptions{}, (*server)->bound_address(), gateway);

  const double cpu = CpuSeconds();
  const auto begin = Clock::now();
  asio::steady_timer timer(gateway_io);
  std::function<void()> tick = [&] {
    const auto passed = std::chrono::duration<double>(Clock::now() - begin).count();
    if (passed >= seconds) {
      gateway_io.stop();
      return;
    }
    if (rate == 0) {
      while (gateway.sent - gateway.heard < 5'000) gateway.Send();
    } else {
      while (static_cast<double>(gateway.sent) < rate * passed) gateway.Send();
    }
    timer.expires_after(std::chrono::microseconds(rate == 0 ? 100 : 50));
    timer.async_wait([&](const boost::system::error_code&) { tick(); });
  };
  tick();
  gateway_io.run();
  const double passed = std::chrono::duration<double>(Clock::now() - begin).count();
  const double spent = CpuSeconds() - cpu;
  std::sort(gateway.latencies.begin(), gateway.latencies.end());
  const auto at = [&](double q) {
    return gateway.latencies.empty() ? 0
                                     : gateway.latencies[static_cast<std::size_t>(
                                           q * static_cast<double>(gateway.latencies.size() - 1))];
  };
  std::printf(
      "%.0f round trips/s, %.1f us CPU each (both sides), %.0f+%.0f frames/s, p50 %.2f ms, p99 %.2f ms\n",
      static_cast<double>(gateway.heard) / passed, spent * 1e6 / static_cast<double>(gateway.heard),
      static_cast<double>(manager.frames) / passed, static_cast<double>(gateway.frames) / passed, at(0.5),
      at(0.99));
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace
}  // namespace rookery::rpc

int main(int argc, char** argv) { return rookery::rpc::Main(argc, argv); }
