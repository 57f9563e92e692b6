#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <mutex>
#include <utility>

#include "rookery/runtime/task.h"

namespace rookery::rpc {

/// The way from gRPC's threads to an I/O thread. gRPC may call back after the
/// io_context is gone (a process that ends, a test); the port then takes nothing,
/// where asio::post would touch freed memory. Any thread.
class IoPort {
 public:
  /// The port of `io`, one for its whole life. I/O thread, or before it runs.
  static std::shared_ptr<IoPort> Of(asio::io_context& io);

  explicit IoPort(asio::io_context& io) : io_(&io) {}

  /// Posts `function`; false when the io_context is gone.
  template <typename Function>
  bool Post(Function&& function) {
    const std::lock_guard lock(mutex_);
    if (io_ == nullptr) return false;
    asio::post(*io_, std::forward<Function>(function));
    return true;
  }

  void Close();

  /// Holds `object` for ever: what belongs to an io_context that is gone can be neither
  /// resumed nor destroyed.
  static void Strand(std::shared_ptr<void> object);

 private:
  std::mutex mutex_;
  asio::io_context* io_;
};

}  // namespace rookery::rpc
