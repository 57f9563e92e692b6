#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>

#include "ports/password_checker.h"
#include "rookery/runtime/task.h"

namespace rookery::gateway {

/// Checks passwords on the process's blocking pool. Must live until the pool has stopped.
class PoolPasswordChecker final : public PasswordChecker {
 public:
  PoolPasswordChecker(asio::io_context& io, asio::thread_pool& pool, std::size_t max_waiting)
      : io_(io), pool_(pool), max_waiting_(max_waiting) {}

  bool Check(ScramKey key, std::string password, std::function<void(bool matches)> done) override;

 private:
  asio::io_context& io_;
  asio::thread_pool& pool_;
  const std::size_t max_waiting_;
  std::size_t waiting_ = 0;
};

}  // namespace rookery::gateway
