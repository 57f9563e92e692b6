#pragma once

#include <boost/asio/thread_pool.hpp>
#include <cstdint>

#include "ports/account_store.h"

namespace rookery::session_manager {

/// RFC 5802 section 3, on the blocking pool.
class ScramKeyMaker final : public KeyMaker {
 public:
  ScramKeyMaker(asio::any_io_executor executor, asio::thread_pool& pool, std::uint32_t iterations)
      : executor_(executor), pool_(pool), iterations_(iterations) {}
  Task<absl::StatusOr<AccountStore::Keys>> Derive(std::string password) override;
  Task<absl::StatusOr<bool>> Matches(std::string password, AccountStore::Keys keys) override;

 private:
  asio::any_io_executor executor_;
  asio::thread_pool& pool_;
  std::uint32_t iterations_;
};

}  // namespace rookery::session_manager
