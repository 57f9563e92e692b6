#pragma once

#include <compare>
#include <cstdint>

namespace rookery {

/// Tells the lives of processes that have one name apart: the greater one is the newer. A default
/// one is of a process that says nothing of it, and older than any other.
struct Incarnation {
  std::int64_t started_at_ms = 0;  // since 1970, UTC
  std::uint64_t random = 0;

  bool is_known() const { return started_at_ms != 0; }
  friend auto operator<=>(const Incarnation&, const Incarnation&) = default;
};

}  // namespace rookery
