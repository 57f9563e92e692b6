#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "rookery/base/check.h"
#include "rookery/base/clock.h"
#include "rookery/base/loopback.h"
#include "rookery/base/random.h"
#include "rookery/base/sha256.h"
#include "rookery/base/status.h"

namespace rookery {
namespace {

TEST(Random, TokensAreUrlSafeAndDiffer) {
  const std::string a = RandomToken(16);
  const std::string b = RandomToken(16);
  EXPECT_EQ(a.size(), 22u);
  EXPECT_NE(a, b);
  EXPECT_EQ(a.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  EXPECT_EQ(RandomToken(0), "");
}

TEST(Random, BytesHaveTheSizeAskedFor) {
  EXPECT_EQ(RandomBytes(0), "");
  EXPECT_EQ(RandomBytes(1000).size(), 1000u);
  EXPECT_NE(RandomBytes(32), RandomBytes(32));
}

TEST(Random, NoByteIsGivenTwice) {
  std::string all;
  for (std::size_t round = 0; round < 20; ++round)
    for (std::size_t size = 0; size < 80; ++size) all += RandomBytes(size);
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i + 8 <= all.size(); ++i)
    ASSERT_TRUE(seen.insert(std::string_view(all).substr(i, 8)).second) << "at byte " << i;
}

TEST(Random, AChildGivesOthersThanItsParent) {
  RandomBytes(8);  // the rest of what was read with it is in memory
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string bytes = RandomBytes(16);
    ::_exit(::write(ends[1], bytes.data(), bytes.size()) == 16 ? 0 : 1);
  }
  std::string bytes(16, '\0');
  ASSERT_EQ(::read(ends[0], bytes.data(), bytes.size()), 16);
  EXPECT_NE(bytes, RandomBytes(16));
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Random, U64DoesNotRepeatSoon) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(RandomU64());
  EXPECT_EQ(seen.size(), 10'000u);
}

std::string HexOfSha256(std::string_view text) {
  const Sha256Digest digest = Sha256(text);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

// Examples from FIPS 180-4.
TEST(Sha256, IsTheStandardsWhateverWasHashedBefore) {
  constexpr std::string_view kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(HexOfSha256("abc"), kOfAbc);
  EXPECT_EQ(HexOfSha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(HexOfSha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexOfSha256("abc"), kOfAbc);
}

absl::StatusOr<int> Positive(int n) {
  if (n <= 0) return absl::InvalidArgumentError("not positive");
  return n;
}

absl::StatusOr<int> Sum(int a, int b) {
  ROOKERY_ASSIGN_OR_RETURN(const int x, Positive(a));
  ROOKERY_ASSIGN_OR_RETURN(const int y, Positive(b));
  return x + y;
}

absl::Status Both(int a, int b) {
  ROOKERY_RETURN_IF_ERROR(Positive(a).status());
  ROOKERY_RETURN_IF_ERROR(Positive(b).status());
  return absl::OkStatus();
}

TEST(Status, MacrosReturnTheFirstError) {
  EXPECT_EQ(*Sum(1, 2), 3);
  EXPECT_EQ(Sum(1, 0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Both(1, 1).ok());
  EXPECT_FALSE(Both(-1, 1).ok());
}

TEST(Clock, SystemIsNowAndRises) {
  const Clock& clock = Clock::System();
  const SteadyTime before = clock.Now();
  EXPECT_LE(before, clock.Now());
  EXPECT_NEAR(static_cast<double>(clock.UnixMillisNow()), static_cast<double>(UnixMillis()), 1000);
}

TEST(Loopback, IsThisMachineForSure) {
  for (const char* address : {"127.0.0.1:0", "127.1.2.3:9000", "[::1]:9000", "localhost:9000"})
    EXPECT_TRUE(IsLoopback(address)) << address;
  for (const char* address : {"0.0.0.0:9000", "[::]:9000", "10.0.0.1:9000", "[2001:db8::1]:1", "kafka:9092",
                              ":9000", "", "127.0.0.1.example.org:1", "localhost.example.org:1"})
    EXPECT_FALSE(IsLoopback(address)) << address;
}

TEST(CheckDeathTest, NamesTheInvariant) {
  EXPECT_DEATH(ROOKERY_CHECK(1 + 1 == 3), "broken invariant: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace rookery
