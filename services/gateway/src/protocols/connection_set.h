#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "rookery/base/clock.h"
#include "rookery/net/connection.h"
#include "rookery/runtime/task.h"

namespace rookery::gateway {

class ConnectionSet;

/// One client's connection, whatever it speaks. Owned by the ConnectionSet.
class ClientConnection : public net::ConnectionHandler {
 public:
  /// About once a second.
  virtual void OnTick(SteadyTime now) = 0;
  /// The process goes down: say so to the client and close.
  virtual void Shutdown() = 0;

 private:
  friend class ConnectionSet;
  std::uint32_t slot_ = 0;
  bool retired_ = false;
};

/// Owns the connections of the process: gives each a tick, lets none be destroyed while
/// it is at work. I/O thread only.
class ConnectionSet {
 public:
  explicit ConnectionSet(asio::io_context& io);
  ~ConnectionSet();
  ConnectionSet(const ConnectionSet&) = delete;
  ConnectionSet& operator=(const ConnectionSet&) = delete;

  void Add(std::unique_ptr<ClientConnection> connection);
  /// Destroys the connection on the loop's next turn.
  void Retire(ClientConnection& connection);
  std::size_t size() const { return connections_.size(); }
  /// Calls Shutdown on up to `count` connections that have not been told yet. Returns how many were.
  std::size_t ShutdownSome(std::size_t count);

 private:
  void Tick();

  asio::io_context& io_;
  std::vector<std::unique_ptr<ClientConnection>> connections_;
  std::size_t tick_phase_ = 0;
  std::size_t shut_down_ = 0;
  runtime::PeriodicTimer timer_;
};

}  // namespace rookery::gateway
