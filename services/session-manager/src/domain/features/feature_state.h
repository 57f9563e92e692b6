#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace rookery::session_manager {

/// State of their own that features keep in memory for a shard or a user: each has its own type, made when it
/// is first asked for, gone with the shard or the user. What others have to know is a field there instead.
class FeatureState {
 public:
  template <typename State>
  State& Of() {
    if (State* const known = Find<State>()) return *known;
    entries_.push_back({&kType<State>, std::make_shared<State>()});
    return *static_cast<State*>(entries_.back().value.get());
  }
  /// Null: nobody has asked for it yet.
  template <typename State>
  State* Find() const {
    for (const Entry& entry : entries_)
      if (entry.type == &kType<State>) return static_cast<State*>(entry.value.get());
    return nullptr;
  }

 private:
  /// Its address is the type's name.
  template <typename State>
  static inline char kType = 0;

  struct Entry {
    const void* type;
    std::shared_ptr<void> value;
  };
  /// A few at most.
  std::vector<Entry> entries_;
};

}  // namespace rookery::session_manager
