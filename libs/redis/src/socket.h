#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>

#include "rookery/runtime/task.h"

struct redisAsyncContext;

namespace rookery::redis {

class Node;

/// Lets hiredis wait on Asio. The context belongs to hiredis, which frees it itself
/// when a connection fails; context() is null from then on.
class Socket : public std::enable_shared_from_this<Socket> {
 public:
  static std::shared_ptr<Socket> Attach(asio::io_context& io, redisAsyncContext* context, Node& node);

  redisAsyncContext* context() const { return context_; }
  Node* node() const { return node_; }
  /// The TCP connection stands: what is queued is written at the end of the turn,
  /// without asking the kernel first.
  void SetConnected() { is_connected_ = true; }
  /// Ends the connection. The node hears nothing more.
  void Close();

 private:
  explicit Socket(asio::io_context& io) : io_(io), descriptor_(io) {}

  void WantRead();
  void WantWrite();
  void HandleWrite();
  void Cleanup();

  asio::io_context& io_;
  asio::posix::stream_descriptor descriptor_;
  redisAsyncContext* context_ = nullptr;
  Node* node_ = nullptr;
  std::shared_ptr<Socket> self_;  // hiredis's reference
  bool is_reading_ = false;       // a wait is under way
  bool wants_read_ = false;
  bool is_writing_ = false;
  bool wants_write_ = false;
  bool is_connected_ = false;
  bool is_in_write_ = false;
};

}  // namespace rookery::redis
