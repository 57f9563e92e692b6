#include "rookery/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace rookery {

void CheckFailed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expression);
  std::fflush(nullptr);
  std::abort();
}

}  // namespace rookery
