#include "protocols/connection_set.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace rookery::gateway {
namespace {

// A tenth of the connections each time: 100,000 of them must not stop the loop for
// as long as it takes to look at them all.
constexpr std::size_t kPhases = 10;
constexpr std::chrono::milliseconds kTick{100};

}  // namespace

ConnectionSet::ConnectionSet(asio::io_context& io)
    : io_(io), timer_(io.get_executor(), kTick, [this] { Tick(); }) {}

ConnectionSet::~ConnectionSet() = default;

void ConnectionSet::Add(std::unique_ptr<ClientConnection> connection) {
  connection->slot_ = static_cast<std::uint32_t>(connections_.size());
  connections_.push_back(std::move(connection));
}

void ConnectionSet::Retire(ClientConnection& connection) {
  if (std::exchange(connection.retired_, true)) return;
  const std::uint32_t slot = connection.slot_;
  std::shared_ptr<ClientConnection> retired = std::move(connections_[slot]);
  // Those told to shut down stay in front.
  const auto last = static_cast<std::uint32_t>(connections_.size() - 1);
  if (slot < shut_down_) {
    --shut_down_;
    const auto boundary = static_cast<std::uint32_t>(shut_down_);
    if (boundary != slot) {
      connections_[slot] = std::move(connections_[boundary]);
      connections_[slot]->slot_ = slot;
    }
    if (last != boundary) {
      connections_[boundary] = std::move(connections_[last]);
      connections_[boundary]->slot_ = boundary;
    }
  } else if (slot != last) {
    connections_[slot] = std::move(connections_[last]);
    connections_[slot]->slot_ = slot;
  }
  connections_.pop_back();
  asio::post(io_, [retired = std::move(retired)] {});
}

std::size_t ConnectionSet::ShutdownSome(std::size_t count) {
  std::size_t told = 0;
  while (told < count && shut_down_ < connections_.size()) {
    ClientConnection& connection = *connections_[shut_down_++];
    ++told;
    connection.Shutdown();
  }
  return told;
}

void ConnectionSet::Tick() {
  tick_phase_ = (tick_phase_ + 1) % kPhases;
  const SteadyTime now = Clock::System().Now();
  // A tick may retire a connection and so bring another into its place; that one's
  // turn comes a second later.
  for (std::size_t i = tick_phase_; i < connections_.size(); i += kPhases) connections_[i]->OnTick(now);
}

}  // namespace rookery::gateway
