#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "rookery/runtime/event.h"
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
      const auto waiter = std::make_shared<Waiter>(executor_);
      it->second.push_back(waiter);
      Place place{*this, key, waiter};
      co_await waiter->turn.Wait();
      place.waiter = nullptr;
    }
    co_return Hold(*this, std::move(key));
  }

 private:
  struct Waiter {
    explicit Waiter(asio::any_io_executor executor) : turn(std::move(executor)) {}
    /// It has the key.
    runtime::Event turn;
    bool is_gone = false;
  };
  /// The place of a coroutine that waits: if it is cancelled, it is passed over, or passes on the key that it
  /// has just been given.
  struct Place {
    ~Place() {
      if (waiter == nullptr) return;
      waiter->is_gone = true;
      if (waiter->turn.is_set()) lock.Release(key);
    }
    KeyedLock& lock;
    std::string key;
    std::shared_ptr<Waiter> waiter;
  };

  void Release(const std::string& key) {
    const auto it = waiting_.find(key);
    while (!it->second.empty()) {
      const std::shared_ptr<Waiter> next = std::move(it->second.front());
      it->second.pop_front();
      if (next->is_gone) continue;
      next->turn.Set();
      return;
    }
    waiting_.erase(it);
  }

  asio::any_io_executor executor_;
  /// Keys that are taken.
  std::unordered_map<std::string, std::deque<std::shared_ptr<Waiter>>> waiting_;
};

}  // namespace rookery::session_manager
