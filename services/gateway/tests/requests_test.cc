#include "adapters/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const SteadyTime kStart = SteadyTime() + std::chrono::hours(1);
constexpr std::size_t kAnyNumber = 1000;
constexpr std::size_t kAnyBytes = 1'000'000;
/// What one costs besides its texts.
constexpr std::size_t kOverhead = 256;

LookupRequest Lookup(std::string user) { return {std::move(user), {}}; }
StartRequest Start(std::string user, std::string resource, SessionId session) {
  return {Identity(user), std::move(resource), session, nullptr, {}};
}
ResumeRequest Resume(std::string user, SessionId session) {
  return {Identity(user), session, 0, nullptr, {}};
}

TEST(Requests, TheOldestIsTheFirstThatIsDue) {
  Requests requests(kAnyNumber, kAnyBytes);
  EXPECT_EQ(requests.Due(kStart), std::nullopt);
  EXPECT_EQ(requests.FirstDeadline(), std::nullopt);
  const auto one = requests.Add(Lookup("a"), 0, kStart + seconds(1));
  const auto two = requests.Add(Lookup("b"), 0, kStart + seconds(2));
  EXPECT_EQ(requests.Due(kStart), std::nullopt);
  EXPECT_EQ(requests.Due(kStart + seconds(1)), one);
  requests.Take(one);
  EXPECT_EQ(requests.Find(one), nullptr);
  EXPECT_EQ(requests.Due(kStart + seconds(1)), std::nullopt);
  EXPECT_EQ(requests.FirstDeadline(), kStart + seconds(2));
  EXPECT_EQ(requests.Due(kStart + seconds(2)), two);
}

TEST(Requests, OneBeyondTheirNumberIsDueAtOnce_UntilAnotherIsAnswered) {
  Requests requests(2, kAnyBytes);
  const auto one = requests.Add(Lookup("a"), 0, kStart);
  const auto two = requests.Add(Lookup("b"), 0, kStart);
  const auto three = requests.Add(Lookup("c"), 0, kStart);
  EXPECT_FALSE(Requests::IsRefused(*requests.Find(one)));
  EXPECT_FALSE(Requests::IsRefused(*requests.Find(two)));
  ASSERT_TRUE(Requests::IsRefused(*requests.Find(three)));
  EXPECT_EQ(requests.Due(kStart - seconds(60)), three);
  requests.Take(three);
  requests.Take(one);
  EXPECT_FALSE(Requests::IsRefused(*requests.Find(requests.Add(Lookup("d"), 0, kStart))));
}

TEST(Requests, OneBeyondTheirBytesIsRefused_ItsTextsAmongThem) {
  const std::string text(100, 'x');
  const SessionId session = SessionId::Random();
  for (const Requests::What& what :
       {Requests::What(Lookup("romeo" + text)), Requests::What(CreateRequest{"romeo", text, {}}),
        Requests::What(Start("romeo", text, session)), Requests::What(Resume("romeo" + text, session))}) {
    constexpr std::size_t kOne = kOverhead + 5 + 100;
    Requests exact(kAnyNumber, 2 * kOne);
    const auto first = exact.Add(what, 0, kStart);
    EXPECT_FALSE(Requests::IsRefused(*exact.Find(first))) << what.index();
    EXPECT_FALSE(Requests::IsRefused(*exact.Find(exact.Add(what, 0, kStart)))) << what.index();
    const auto third = exact.Add(Lookup(""), 0, kStart);
    EXPECT_TRUE(Requests::IsRefused(*exact.Find(third))) << what.index();
    // What is answered takes nothing any more, nor what was refused.
    exact.Take(third);
    exact.Take(first);
    EXPECT_FALSE(Requests::IsRefused(*exact.Find(exact.Add(what, 0, kStart)))) << what.index();
    Requests small(kAnyNumber, kOne - 1);
    EXPECT_TRUE(Requests::IsRefused(*small.Find(small.Add(what, 0, kStart)))) << what.index();
  }
}

TEST(Requests, AreFoundByTheirKind) {
  Requests requests(kAnyNumber, kAnyBytes);
  const auto id = requests.Add(Lookup("a"), 0, kStart);
  EXPECT_NE(requests.Find<LookupRequest>(id), nullptr);
  EXPECT_EQ(requests.Find<StartRequest>(id), nullptr);
  EXPECT_EQ(requests.Find<LookupRequest>(id + 1), nullptr);
}

TEST(Requests, ASessionIsBeingResumed_UntilAllAttemptsAreAnswered) {
  Requests requests(kAnyNumber, kAnyBytes);
  const SessionId session = SessionId::Random();
  const auto start = requests.Add(Start("a", "r", session), 0, kStart);
  EXPECT_EQ(requests.StartOf(session), start);
  EXPECT_FALSE(requests.IsResuming(session));
  requests.Take(start);
  EXPECT_EQ(requests.StartOf(session), 0u);
  const auto one = requests.Add(Resume("a", session), 0, kStart);
  const auto two = requests.Add(Resume("a", session), 0, kStart);
  requests.Take(one);
  EXPECT_TRUE(requests.IsResuming(session));
  requests.Take(two);
  EXPECT_FALSE(requests.IsResuming(session));
}

TEST(Requests, TheNumberOfShardsIsLearnt_EachKeepsItsOrder) {
  Requests requests(kAnyNumber, kAnyBytes);
  const SessionId session = SessionId::Random();
  const auto one = requests.Add(Lookup("2"), 0, kStart);
  const auto two = requests.Add(Start("1", "r", session), 0, kStart);
  const auto three = requests.Add(Resume("2", session), 0, kStart);
  requests.SetShards(3, [](std::string_view user) { return static_cast<std::uint32_t>(user[0] - '0'); });
  EXPECT_THAT(requests.InShard(0), IsEmpty());
  EXPECT_THAT(requests.InShard(1), ElementsAre(two));
  EXPECT_THAT(requests.InShard(2), ElementsAre(one, three));
  EXPECT_EQ(requests.Find(three)->shard, 2u);
  requests.Take(one);
  const auto four = requests.Add(Lookup("2"), 2, kStart);
  EXPECT_THAT(requests.InShard(2), ElementsAre(three, four));
}

}  // namespace
}  // namespace rookery::gateway
