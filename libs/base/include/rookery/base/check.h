#pragma once

namespace rookery {

/// Writes the broken invariant to stderr and aborts.
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);

}  // namespace rookery

/// An invariant of our own code. Never for input or for what a backend says.
#define ROOKERY_CHECK(expression)                              \
  do {                                                         \
    if (!(expression)) [[unlikely]]                            \
      ::rookery::CheckFailed(#expression, __FILE__, __LINE__); \
  } while (false)
