#pragma once

#include <memory>
#include <utility>

namespace rookery::gateway {

/// A member of what callbacks may outlive.
class Lifetime {
 public:
  Lifetime() = default;
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  /// Calls `callback`, and does nothing once the owner is gone.
  template <typename Callback>
  auto While(Callback callback) const {
    return [alive = watch(), callback = std::move(callback)](auto&&... arguments) mutable {
      if (!alive.expired()) callback(std::forward<decltype(arguments)>(arguments)...);
    };
  }
  /// Expires with the owner.
  std::weak_ptr<const bool> watch() const { return alive_; }

 private:
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rookery::gateway
