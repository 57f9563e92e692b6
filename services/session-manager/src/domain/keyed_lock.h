#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// Lets one coroutine at a time work on what a key names; the others wait, first come, first
/// served. Outlives whoever holds a key. I/O thread only.
class KeyedLock {
 public:
  explicit KeyedLock(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  KeyedLock(const KeyedLock&) = delete;
  KeyedLock& operator=(const KeyedLock&) = delete;

  /// The key is free again when this dies.
  class Hold {
   public:
    Hold(KeyedLock& lock, std::string key) : lock_(&lock), key_(std::move(key)) {}
    Hold(Hold&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)), key_(std::move(other.key_)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (lock_ != nullptr) lock_->Release(key_);
    }

   private:
    KeyedLock* lock_;
    std::string key_;
  };

  /// Throws boost::system::system_error when cancelled.
  Task<Hold> Take(std::string key) {
    const auto [it, is_free] = waiting_.try_emplace(key);
    if (!is_free) {
      Waiter waiter{runtime::Promise<bool>(executor_), std::make_shared<bool>(true)};
      const std::shared_ptr<bool> waits = waiter.waits;
      // Whoever is cancelled is passed over.
      const std::shared_ptr<void> gone(nullptr, [waits](void*) { *waits = false; });
      it->second.push_back(waiter);
      (void)co_await waiter.turn.Get();
    }
    co_return Hold(*this, std::move(key));
  }

 private:
  struct Waiter {
    runtime::Promise<bool> turn;
    std::shared_ptr<bool> waits;
  };

  void Release(const std::string& key) {
    const auto it = waiting_.find(key);
    while (!it->second.empty()) {
      Waiter next = std::move(it->second.front());
      it->second.pop_front();
      if (!*next.waits) continue;
      next.turn.Set(true);
      return;
    }
    waiting_.erase(it);
  }

  asio::any_io_executor executor_;
  /// Keys that are taken.
  std::unordered_map<std::string, std::deque<Waiter>> waiting_;
};

}  // namespace rookery::session_manager
