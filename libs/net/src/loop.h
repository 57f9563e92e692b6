#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <span>
#include <vector>

#include "rookery/net/connection.h"

namespace rookery::net {

class TcpCore;

/// The parts that the connections of one io_context share: the read buffer, and the list of those that have
/// something to write at the end of this turn of the loop.
class Loop final : public asio::execution_context::service {
 public:
  using key_type = Loop;
  static asio::execution_context::id id;

  explicit Loop(asio::execution_context& context);
  static Loop& Of(asio::io_context& io);

  /// Valid until the caller returns to the loop or calls a handler that may read.
  std::span<char> read_buffer() { return {buffer_.get(), kReadBufferSize}; }
  void QueueFlush(std::shared_ptr<TcpCore> core);
  asio::io_context& io() { return io_; }

 private:
  static constexpr std::size_t kReadBufferSize = 64 * 1024;

  void shutdown() noexcept override;
  void FlushAll();

  asio::io_context& io_;
  std::unique_ptr<char[]> buffer_;
  std::vector<std::shared_ptr<TcpCore>> dirty_;
  std::vector<std::shared_ptr<TcpCore>> flushing_;
};

}  // namespace rookery::net
