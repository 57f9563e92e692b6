#include <gtest/gtest.h>
#include <netdb.h>

#include <atomic>
#include <string_view>

#include "rookery/pg/pool.h"
#include "rookery/testing/run_task.h"

namespace {
constexpr std::string_view kSilent = "silent.example";
std::atomic<bool> names_are_answered = false;
}  // namespace

// In place of the C library's: a name server that says nothing.
extern "C" int getaddrinfo(const char* node, const char*, const addrinfo*, addrinfo**) {
  if (node != nullptr && node == kSilent) names_are_answered.wait(false);
  return EAI_AGAIN;
}

namespace rookery::pg {
namespace {

struct AnswerNames {
  ~AnswerNames() {
    names_are_answered = true;
    names_are_answered.notify_all();
  }
};

TEST(Connect, ANameThatIsNotLookedUpInTimeEndsTheAttempt) {
  asio::io_context io;
  // Its end waits for the look-up.
  const AnswerNames at_the_end;
  Options options;
  options.connection = "host=silent.example";
  options.timeout = std::chrono::milliseconds(50);
  const absl::Status status = testing::RunTask(io, Migrate(io, options, "test", {}));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "looking up silent.example took too long");
}

}  // namespace
}  // namespace rookery::pg
