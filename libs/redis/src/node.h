#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/redis/client.h"
#include "rookery/runtime/task.h"

struct redisReply;

namespace rookery::redis {

struct ClientMetrics {
  explicit ClientMetrics(telemetry::Metrics& metrics);
  prometheus::Counter& succeeded;
  prometheus::Counter& failed;
  prometheus::Counter& redirects;
  prometheus::Counter& connects;
  prometheus::Counter& losses;
  prometheus::Gauge& connected;
  prometheus::Histogram& seconds;
};

class Socket;

/// One Redis process: connects, again and again, and pipelines commands. A reply that
/// is late costs the connection, since what stands behind it is late too.
class Node : public std::enable_shared_from_this<Node> {
 public:
  using Answer = runtime::Promise<absl::StatusOr<Reply>>;

  Node(asio::io_context& io, std::string address, const Options& options, const ClientMetrics& metrics);
  ~Node();

  static Task<void> Run(std::shared_ptr<Node> self);
  void Stop();

  const std::string& address() const { return address_; }
  const std::string& host() const { return host_; }
  bool is_ready() const { return is_ready_; }
  /// The first attempt to connect is over.
  std::size_t waiting() const { return commands_.size(); }

  /// Only while is_ready(). An error reply comes as a Status with its text;
  /// `asking` sends ASKING before it, on which nothing waits.
  void Send(const std::vector<std::string>& arguments, Answer answer, bool asking = false);

 private:
  friend class Socket;
  friend struct HiredisCallbacks;
  enum class Kind { kCommand, kAsking, kAuth };
  struct Waiting {
    Kind kind;
    std::chrono::steady_clock::time_point given;
    std::unique_ptr<Answer> answer;  // kCommand only
  };

  /// Empty when the node is ready, else why not.
  Task<std::string> Connect();
  void Append(Kind kind, const std::vector<std::string>& arguments, std::unique_ptr<Answer> answer);
  // From hiredis, never from within Append.
  void OnConnect(bool is_connected);
  void OnReply(const redisReply* reply);
  void OnClosed(const std::string& reason);
  void BecomeReady();
  /// Gives the connection up. Not from within hiredis.
  void Break(const std::string& reason, bool is_overdue = false);
  void FailAll(const std::string& reason, bool is_overdue);
  void ArmTimeout();
  void OnTimeout();

  asio::io_context& io_;
  const std::string address_;
  std::string host_;
  std::uint16_t port_ = 0;
  const std::string user_;
  const std::string password_;
  const std::chrono::milliseconds time_limit_;
  const ClientMetrics metrics_;
  std::shared_ptr<Socket> socket_;  // null without a connection
  bool is_ready_ = false;
  bool is_stopped_ = false;
  std::string reason_;          // why the connection ended
  asio::steady_timer changed_;  // a condition: cancelled when the connection is ready or gone
  asio::steady_timer timeout_;
  bool is_timeout_armed_ = false;
  std::deque<Waiting> commands_;
};

}  // namespace rookery::redis
