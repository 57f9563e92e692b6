// OwnerClient and InstanceClient over a registry and a transport that the test answers for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rookery/routing/instance_client.h"
#include "rookery/routing/owner_client.h"
#include "rookery/runtime/task.h"
#include "rookery/testing/fake_registry.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::routing {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ClientsTest : public ::testing::Test {
 protected:
  using Answer = absl::StatusOr<std::string>;

  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> result;
    asio::co_spawn(io_, std::move(task),
                   [&](std::exception_ptr, T value) { result.emplace(std::move(value)); });
    io_.restart();
    io_.run();
    return *std::move(result);
  }
  /// Returns what the process at the address says; one that nobody has described does the work.
  Task<Answer> Reply(std::string address) {
    asked_.push_back(address);
    const auto error = errors_.find(address);
    if (error != errors_.end()) co_return error->second;
    co_return "done by " + address;
  }
  /// Returns who was asked since the last time.
  std::vector<std::string> Asked() { return std::exchange(asked_, {}); }

  asio::io_context io_;
  rookery::testing::FakeRegistry registry_;
  std::map<std::string, absl::Status> errors_;  // by address

 private:
  std::vector<std::string> asked_;
};

class OwnerClientTest : public ClientsTest {
 protected:
  static constexpr events::Home kHome{events::Service::kMuc, events::Topic::kRooms, 3};

  Answer Ask(events::Home home = kHome, Deadline deadline = Deadline::After(milliseconds(1'000))) {
    const auto call = [this](const std::string& address, milliseconds limit) {
      EXPECT_GT(limit.count(), 0);
      EXPECT_LE(limit.count(), 1'000);
      return Reply(address);
    };
    return Run(owners_.Ask<std::string>(home, deadline, call));
  }
  /// Redis: who owns the shard.
  void Publish(const std::string& address, std::uint32_t shard = kHome.partition) {
    std::erase_if(registry_.owners, [&](const OwnerEntry& owner) { return owner.shard == shard; });
    registry_.owners.push_back({shard, 1, "muc", address});
  }

  OwnerClient owners_{registry_};
};

TEST_F(OwnerClientTest, TheOwnerIsAskedAndRemembered) {
  Publish("a");
  Publish("b", 4);
  EXPECT_EQ(*Ask(), "done by a");
  EXPECT_THAT(registry_.reads, ElementsAre("muc"));
  registry_.is_away = true;
  EXPECT_EQ(*Ask(), "done by a");
  EXPECT_EQ(*Ask({events::Service::kMuc, events::Topic::kRooms, 4}), "done by b");
  EXPECT_EQ(registry_.reads.size(), 1u);
}

TEST_F(OwnerClientTest, EachServiceHasItsOwnOwners) {
  Publish("a");
  EXPECT_EQ(*Ask(), "done by a");
  Publish("s");
  EXPECT_EQ(*Ask({events::Service::kSearch, events::Topic::kMessages, 3}), "done by s");
  EXPECT_EQ(*Ask(), "done by a");
  EXPECT_THAT(registry_.reads, ElementsAre("muc", "search"));
}

TEST_F(OwnerClientTest, WhatTheOwnerSaysIsTheAnswer) {
  Publish("a");
  for (const absl::Status& error : {absl::NotFoundError("no such room"), absl::DeadlineExceededError("late"),
                                    absl::InternalError("a mistake")}) {
    errors_["a"] = error;
    EXPECT_EQ(Ask().status(), error);
    EXPECT_THAT(Asked(), ElementsAre("a"));
  }
  EXPECT_EQ(registry_.reads.size(), 1u);
}

TEST_F(OwnerClientTest, TheNextOwnerIsFoundInTheSameCall) {
  for (const absl::Status& error :
       {absl::UnavailableError("nobody listens"), absl::FailedPreconditionError("not owned here")}) {
    errors_ = {{"b", absl::UnavailableError("gone")}};
    Publish("a");
    EXPECT_EQ(*Ask(), "done by a");
    Asked();
    errors_ = {{"a", error}};
    Publish("b");
    EXPECT_EQ(*Ask(), "done by b");
    EXPECT_THAT(Asked(), ElementsAre("a", "b"));
    EXPECT_EQ(*Ask(), "done by b") << "the former owner is forgotten";
    EXPECT_THAT(Asked(), ElementsAre("b"));
  }
}

TEST_F(OwnerClientTest, OneThatIsNotTheOwnerIsNotAskedTwice) {
  Publish("a");
  EXPECT_TRUE(Ask().ok());
  Asked();
  errors_["a"] = absl::FailedPreconditionError("not owned here");
  // Redis does not know the next one yet, and then is away.
  for (const bool is_away : {false, true}) {
    registry_.is_away = is_away;
    EXPECT_EQ(Ask().status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(Asked(), ElementsAre("a"));
  }
}

TEST_F(OwnerClientTest, NoMoreThanTwoAreAsked) {
  Publish("a");
  EXPECT_TRUE(Ask().ok());
  Asked();
  errors_ = {{"a", absl::FailedPreconditionError("not owned here")},
             {"b", absl::FailedPreconditionError("not owned here yet")}};
  Publish("b");
  EXPECT_EQ(Ask().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Asked(), ElementsAre("a", "b"));
}

TEST_F(OwnerClientTest, NobodyToAskIsUnavailable) {
  EXPECT_EQ(Ask().status().code(), absl::StatusCode::kUnavailable);
  registry_.is_away = true;
  EXPECT_EQ(Ask().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Asked(), IsEmpty());
}

TEST_F(OwnerClientTest, AfterTheDeadlineNobodyIsAsked) {
  Publish("a");
  EXPECT_EQ(Ask(kHome, Deadline::After(milliseconds(0))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(Asked(), IsEmpty());
}

class InstanceClientTest : public ClientsTest {
 protected:
  Answer Ask() {
    const auto call = [this](const std::string& address) { return Reply(address); };
    return Run(instances_.Ask<std::string>(kKey, call));
  }
  void Add(const std::string& name) { known_.push_back({name, name}); }
  /// The address of whom the key belongs to.
  std::string First() const { return Choose(known_, kKey)->address; }

  static constexpr const char* kKey = "ann@localhost";
  std::vector<Instance>& known_ = registry_.instances["roster"];
  InstanceClient instances_{registry_, "roster"};
};

TEST_F(InstanceClientTest, TheInstanceOfTheKeyIsAsked) {
  for (const char* name : {"a", "b", "c"}) Add(name);
  EXPECT_EQ(*Ask(), "done by " + First());
  errors_[First()] = absl::AbortedError("changed meanwhile");
  EXPECT_EQ(Ask().status().code(), absl::StatusCode::kAborted) << "that is an answer";
  EXPECT_THAT(Asked(), ElementsAre(First(), First()));
}

TEST_F(InstanceClientTest, AnotherOneIsAskedWhenItDoesNotAnswer) {
  Add("a");
  Add("b");
  const std::string other = First() == "a" ? "b" : "a";
  for (const absl::Status& error : {absl::UnavailableError("gone"), absl::DeadlineExceededError("slow")}) {
    errors_[First()] = error;
    EXPECT_EQ(*Ask(), "done by " + other);
    EXPECT_THAT(Asked(), ElementsAre(First(), other));
  }
  errors_[other] = absl::UnavailableError("gone too");
  EXPECT_EQ(Ask().status(), errors_[other]);
  EXPECT_THAT(Asked(), ElementsAre(First(), other));
}

TEST_F(InstanceClientTest, TheOnlyOneIsAskedAgain) {
  Add("a");
  errors_["a"] = absl::UnavailableError("the connection broke");
  EXPECT_EQ(Ask().status(), errors_["a"]);
  EXPECT_THAT(Asked(), ElementsAre("a", "a"));
}

TEST_F(InstanceClientTest, NoInstanceIsUnavailable) {
  EXPECT_EQ(Ask().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Asked(), IsEmpty());
}

/// Instances that are slow, or silent until the call's limit is over.
class AskEitherTest : public InstanceClientTest {
 protected:
  static constexpr milliseconds kLimit{2'000};

  AskEitherTest() {
    for (const char* name : {"a", "b"}) Add(name);
    first_ = First();
    other_ = first_ == "a" ? "b" : "a";
  }
  ~AskEitherTest() override { EXPECT_EQ(open_calls_, 0) << "what is not needed any more is cancelled"; }

  /// The answer, and how long it took.
  std::pair<Answer, milliseconds> AskEither() {
    const SteadyTime asked = time_.Now();
    std::optional<Answer> answer;
    const auto call = [this](const std::string& address) { return ReplySlowly(address); };
    asio::co_spawn(io_, instances_.AskEither<std::string>(kKey, call),
                   [&](std::exception_ptr, Answer value) { answer.emplace(std::move(value)); });
    EXPECT_TRUE(time_.RunUntil(io_, [&] { return answer.has_value(); }));
    return {*std::move(answer), std::chrono::duration_cast<milliseconds>(time_.Now() - asked)};
  }
  Task<Answer> ReplySlowly(std::string address) {
    struct Counted {
      explicit Counted(int& calls) : open(calls) { ++open; }
      ~Counted() { --open; }
      int& open;
    } const counted(open_calls_);
    const auto slow = delays_.find(address);
    if (slow != delays_.end()) co_await runtime::Sleep(std::min(slow->second, kLimit));
    Answer answer = co_await Reply(address);
    if (slow != delays_.end() && slow->second >= kLimit) co_return absl::DeadlineExceededError("silent");
    co_return answer;
  }

  testing::VirtualTime time_;
  std::string first_, other_;
  std::map<std::string, milliseconds> delays_;  // by address
  int open_calls_ = 0;
};

TEST_F(AskEitherTest, WhileTheFirstIsWell_NobodyElseIsAsked) {
  delays_[first_] = InstanceClient::kAloneFor - milliseconds(1);
  const auto [answer, took] = AskEither();
  EXPECT_EQ(*answer, "done by " + first_);
  EXPECT_EQ(took, delays_[first_]);
  EXPECT_THAT(Asked(), ElementsAre(first_));
}

TEST_F(AskEitherTest, OneThatIsSilentCostsAMoment) {
  delays_[first_] = kLimit;
  const auto [answer, took] = AskEither();
  EXPECT_EQ(*answer, "done by " + other_);
  EXPECT_EQ(took, InstanceClient::kAloneFor);
}

TEST_F(AskEitherTest, BothAreSlow_TheQuickerOneAnswers) {
  delays_ = {{first_, milliseconds(700)}, {other_, milliseconds(700)}};
  EXPECT_EQ(*AskEither().first, "done by " + first_);
  delays_[first_] = milliseconds(1'500);
  const auto [answer, took] = AskEither();
  EXPECT_EQ(*answer, "done by " + other_);
  EXPECT_EQ(took, InstanceClient::kAloneFor + milliseconds(700));
}

TEST_F(AskEitherTest, OneThatIsGoneCostsNothing) {
  errors_[first_] = absl::UnavailableError("gone");
  const auto [answer, took] = AskEither();
  EXPECT_EQ(*answer, "done by " + other_);
  EXPECT_EQ(took, milliseconds(0));
}

TEST_F(AskEitherTest, TheOtherOneIsGone_TheFirstMayTakeItsTime) {
  delays_[first_] = milliseconds(1'000);
  errors_[other_] = absl::UnavailableError("gone");
  EXPECT_EQ(*AskEither().first, "done by " + first_);
}

TEST_F(AskEitherTest, WhatEitherSaysIsTheAnswer) {
  errors_[first_] = absl::NotFoundError("nobody of that name");
  EXPECT_EQ(AskEither().first.status(), errors_[first_]);
  EXPECT_THAT(Asked(), ElementsAre(first_));
}

TEST_F(AskEitherTest, BothAreSilent_SoIsTheAnswer) {
  delays_ = {{first_, kLimit}, {other_, kLimit}};
  const auto [answer, took] = AskEither();
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(took, InstanceClient::kAloneFor + kLimit);
}

TEST_F(AskEitherTest, TheOnlyOneIsAskedAgain_NotTwiceAtATime) {
  known_.pop_back();
  const std::string only = First();
  delays_[only] = milliseconds(1'000);
  EXPECT_EQ(*AskEither().first, "done by " + only);
  EXPECT_THAT(Asked(), ElementsAre(only));
  delays_.clear();
  errors_[only] = absl::UnavailableError("the connection broke");
  EXPECT_EQ(AskEither().first.status(), errors_[only]);
  EXPECT_THAT(Asked(), ElementsAre(only, only));
  known_.clear();
  EXPECT_EQ(AskEither().first.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(AskEitherTest, CancelledAtAnyMoment_SoAreTheCalls_AndNobodyTakesThatForAFailure) {
  delays_ = {{first_, kLimit}, {other_, kLimit}};
  for (const milliseconds after : {milliseconds(0), milliseconds(100), InstanceClient::kAloneFor,
                                   InstanceClient::kAloneFor + milliseconds(100), kLimit}) {
    const std::uint64_t failed = runtime::FailedTasks();
    bool is_over = false;
    const auto call = [this](const std::string& address) { return ReplySlowly(address); };
    const auto ask = [&]() -> Task<void> {
      (void)co_await instances_.AskEither<std::string>(kKey, call);
      is_over = true;
    };
    runtime::TaskGroup tasks(io_.get_executor());
    tasks.Spawn("ask", ask());
    time_.RunFor(io_, after);
    tasks.Cancel();
    time_.RunFor(io_, milliseconds(0));
    EXPECT_EQ(tasks.size(), 0u) << after.count();
    EXPECT_EQ(open_calls_, 0) << after.count();
    EXPECT_FALSE(is_over);
    EXPECT_EQ(runtime::FailedTasks(), failed);
  }
}

}  // namespace
}  // namespace rookery::routing
