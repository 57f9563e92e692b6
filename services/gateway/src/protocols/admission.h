#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "protocols/admission_control.h"
#include "rookery/net/connection.h"
#include "rookery/runtime/timer.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

/// The queue at the door: accepted connections whose sign-in has not begun. Networks take turns, and those of
/// one network are let in in the order in which they came; until then nothing is read from them, no TLS is
/// begun, and their time limit does not run. Their number is bounded: beyond it the listeners pause, and
/// connections wait in the kernel's backlog. One for each server; I/O thread only.
class Admission {
 public:
  struct Options {
    AdmissionControl::Options control;
    std::size_t max_waiting = 10'000;
    /// Connections of one network (net::Connection::peer_network) that have been let in and are not
    /// signed in; 0: no limit. As many may wait once half of all places to wait are taken: the rest of
    /// them is for others.
    std::size_t max_unauthenticated_per_address = 1000;
  };

  /// A connection that was let in holds it until it is signed in or closed. It may outlive the
  /// Admission.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&& other);
    ~Ticket() { Release(); }

    /// The connection waits for its client, or somebody else: its sign-in costs nothing
    /// for now, and another one may begin.
    void Idle();
    void Release();

   private:
    friend class Admission;
    struct State;
    std::shared_ptr<State> state_;
    std::string network_;
    bool under_way_ = false;
  };

  using Begin = std::function<void(std::unique_ptr<net::Connection>, Ticket)>;

  Admission(asio::io_context& io, const Options& options, telemetry::Metrics& metrics);
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  /// `begin` is called at once or later, or never: then the connection has been closed. It
  /// must live as long as the Admission.
  void Arrive(std::unique_ptr<net::Connection> connection, const Begin& begin);
  /// Told true when no more should arrive for now, and false when they should again.
  void OnFull(std::function<void(bool)> tell) { tell_full_ = std::move(tell); }
  /// Closes all that wait.
  void Close();

  std::size_t waiting() const { return waiting_; }
  std::size_t under_way() const;
  std::size_t limit() const;

 private:
  struct Waiting {
    std::unique_ptr<net::Connection> connection;
    const Begin* begin;
  };

  /// Those of one network, oldest first.
  struct Queue {
    std::string network;
    std::deque<Waiting> waiting;
  };
  using Queues = std::list<Queue>;

  /// False: its network has its share of the places already.
  bool Enqueue(Waiting newcomer);
  /// Of the network whose turn it is. Some must wait.
  Waiting Dequeue();
  void Let(std::unique_ptr<net::Connection> connection, const Begin& begin);
  void AdmitSome();
  void Measure();
  void SetFull(bool full);

  asio::io_context& io_;
  const Options options_;
  std::shared_ptr<Ticket::State> state_;
  Queues turns_;  // whose turn is next comes first; none is empty
  absl::flat_hash_map<std::string, Queues::iterator> by_network_;
  std::size_t waiting_ = 0;
  std::function<void(bool)> tell_full_;
  runtime::Timer timer_;
  bool admit_posted_ = false;
  bool measuring_ = false;
  bool full_ = false;
  prometheus::Counter& admitted_;
  prometheus::Counter& gone_;
  prometheus::Counter& refused_;
};

}  // namespace rookery::gateway
