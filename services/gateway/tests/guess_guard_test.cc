#include "domain/guess_guard.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>

#include "fake_sign_in_ledger.h"
#include "rookery/testing/hand_clock.h"

namespace rookery::gateway {
namespace {

using std::chrono::minutes;

class GuessGuardTest : public ::testing::Test {
 protected:
  std::unique_ptr<GuessGuard::Try> Ask(GuessGuard& guard, const std::string& user,
                                       const std::string& network) {
    std::unique_ptr<GuessGuard::Try> granted;
    const auto take = [&](std::unique_ptr<GuessGuard::Try> answer) { granted = std::move(answer); };
    guard.Ask(user, generation_, network, take);
    return granted;
  }
  /// Whether a guess is let through; it is wrong.
  bool Guess(GuessGuard& guard, const std::string& user, const std::string& network) {
    const auto granted = Ask(guard, user, network);
    if (granted != nullptr) granted->Failed([](bool) {});
    return granted != nullptr;
  }
  /// What whoever guesses hears: whether that was wrong, or that it was not looked at.
  std::string Hears(GuessGuard& guard, const std::string& user, const std::string& network) {
    std::string heard = "refused";
    const auto granted = Ask(guard, user, network);
    if (granted != nullptr)
      granted->Failed([&](bool is_refused) { heard = is_refused ? "refused" : "wrong"; });
    return heard;
  }
  int GuessesLetThrough(GuessGuard& guard, const std::string& user, const std::string& network, int tries) {
    int let_through = 0;
    for (int i = 0; i < tries; ++i) let_through += Guess(guard, user, network) ? 1 : 0;
    return let_through;
  }

  testing::HandClock clock_;
  std::uint64_t generation_ = 1;
  FakeSignInLedger ledger_;
  GuessGuard guard_{clock_, {minutes(10), 3, 20, 10}, ledger_};
  GuessGuard other_{clock_, {minutes(10), 3, 20, 10}, ledger_};
};

TEST_F(GuessGuardTest, AnAccountCanBeGuessedAtSoOftenInAWindow_FromWhateverNetworks) {
  int let_through = 0;
  for (int i = 0; i < 50; ++i) let_through += Guess(guard_, "ann", "net" + std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(let_through, 3);
  EXPECT_TRUE(Guess(guard_, "ben", "net1"));
  clock_.Advance(minutes(10));
  ledger_.failures.clear();
  EXPECT_EQ(GuessesLetThrough(guard_, "ann", "net1", 50), 3);
}

TEST_F(GuessGuardTest, ANetworkCanGuessSoOftenInAWindow_AtWhateverAccounts) {
  int let_through = 0;
  for (int i = 0; i < 50; ++i) let_through += Guess(guard_, "user" + std::to_string(i), "net") ? 1 : 0;
  EXPECT_EQ(let_through, 20);
  EXPECT_TRUE(Guess(guard_, "user1", "elsewhere"));
}

TEST_F(GuessGuardTest, OnAnotherGatewayNoMoreAreLetThrough) {
  EXPECT_EQ(GuessesLetThrough(guard_, "ann", "net", 10), 3);
  EXPECT_EQ(GuessesLetThrough(other_, "ann", "net", 10), 0);
}

TEST_F(GuessGuardTest, GuessesAtOnceCountOnAllGateways_UntilTheyWereNone) {
  auto first = Ask(guard_, "ann", "net1");
  auto second = Ask(other_, "ann", "net2");
  auto third = Ask(guard_, "ann", "net3");
  EXPECT_EQ(Ask(other_, "ann", "net4"), nullptr);
  first->Succeeded();
  first.reset();
  EXPECT_NE(Ask(other_, "ann", "net4"), nullptr);
  second.reset();  // has told nothing
  third.reset();
  EXPECT_TRUE(ledger_.failures.empty());
}

TEST_F(GuessGuardTest, TheNextAccountOfTheNameIsKnownNowhere) {
  Ask(guard_, "ann", "home")->Succeeded();
  GuessesLetThrough(guard_, "ann", "net", 10);
  EXPECT_NE(Ask(guard_, "ann", "home"), nullptr);
  ++generation_;
  EXPECT_EQ(Ask(guard_, "ann", "home"), nullptr);
}

TEST_F(GuessGuardTest, GuessesAtOnceCountBeforeTheyHaveFailed) {
  std::deque<std::unique_ptr<GuessGuard::Try>> under_way;
  int let_through = 0;
  for (int i = 0; i < 50; ++i) {
    under_way.push_back(Ask(guard_, "ann", "net" + std::to_string(i)));
    let_through += under_way.back() != nullptr ? 1 : 0;
  }
  EXPECT_EQ(let_through, 3);
  under_way.clear();
  EXPECT_TRUE(Guess(guard_, "ann", "net"));
}

TEST_F(GuessGuardTest, GuessesAtOnceCountForTheirNetwork_AtWhateverAccountsAndOnAllGateways) {
  GuessGuard here(clock_, {minutes(10), 10, 100, 100}, ledger_);
  GuessGuard there(clock_, {minutes(10), 10, 100, 100}, ledger_);
  Ask(here, "ann", "net")->Succeeded();
  std::deque<std::unique_ptr<GuessGuard::Try>> under_way;
  for (int i = 0; i < 150; ++i) {
    auto granted = Ask(i % 2 == 0 ? here : there, "user" + std::to_string(i), "net");
    if (granted != nullptr) under_way.push_back(std::move(granted));
  }
  EXPECT_EQ(under_way.size(), 100u);
  EXPECT_NE(Ask(there, "ann", "net"), nullptr) << "known there";
  EXPECT_NE(Ask(here, "ben", "elsewhere"), nullptr);
  // One succeeds, and one ends before it has told anything: each gives its place back.
  under_way.front()->Succeeded();
  under_way.pop_front();
  under_way.pop_front();
  for (const bool is_granted : {true, true, false}) {
    auto granted = Ask(here, "ben", "net");
    EXPECT_EQ(granted != nullptr, is_granted);
    if (granted != nullptr) under_way.push_back(std::move(granted));
  }
  // One that fails does not.
  under_way.front()->Failed([](bool) {});
  under_way.pop_front();
  EXPECT_EQ(Ask(here, "ben", "net"), nullptr);
  EXPECT_EQ(Ask(there, "ben", "net"), nullptr);
}

TEST_F(GuessGuardTest, WithoutTheLedger_GuessesAtOnceCountForTheirNetworkOnEachGateway) {
  ledger_.is_away = true;
  std::deque<std::unique_ptr<GuessGuard::Try>> under_way;
  int let_through = 0;
  for (int i = 0; i < 50; ++i) {
    under_way.push_back(Ask(guard_, "user" + std::to_string(i), "net"));
    let_through += under_way.back() != nullptr ? 1 : 0;
  }
  EXPECT_EQ(let_through, 20);
  under_way.clear();
  EXPECT_TRUE(Guess(guard_, "user1", "net"));
}

TEST_F(GuessGuardTest, NamesThatAreOnlyAskedForLeaveNothing) {
  for (int i = 0; i < 100; ++i) Ask(guard_, "user" + std::to_string(i), "net");
  EXPECT_TRUE(ledger_.failures.empty());
}

TEST_F(GuessGuardTest, WhatWaitsForTheLedgerMayOutliveTheGuard) {
  {
    GuessGuard guard(clock_, {minutes(10), 3, 20, 10}, ledger_);
    ledger_.is_slow = true;
    guard.Ask("ann", generation_, "net", [](std::unique_ptr<GuessGuard::Try>) { FAIL(); });
    ledger_.AnswerOne();  // of the account: now for the network
  }
  ledger_.AnswerOne();
  EXPECT_TRUE(ledger_.waiting.empty());
}

TEST_F(GuessGuardTest, TheOwnerSignsInAllTheSame_FromWhereItHasBefore) {
  Ask(guard_, "ann", "home")->Succeeded();
  EXPECT_EQ(GuessesLetThrough(guard_, "ann", "net", 50), 3);
  EXPECT_NE(Ask(guard_, "ann", "home"), nullptr);
  EXPECT_NE(Ask(other_, "ann", "home"), nullptr);
  EXPECT_EQ(Ask(guard_, "ann", "cafe"), nullptr);
}

TEST_F(GuessGuardTest, FromWhereTheAccountIsKnown_ItIsGuessedAtNoMoreThanSoOften_AndElsewhereTheOwnerGoesOn) {
  Ask(guard_, "ann", "office")->Succeeded();
  Ask(guard_, "ann", "home")->Succeeded();
  // Those before it is suspect, then as many as are allowed there.
  EXPECT_EQ(GuessesLetThrough(guard_, "ann", "office", 50), 3 + 10);
  EXPECT_EQ(GuessesLetThrough(other_, "ann", "office", 50), 0);
  EXPECT_NE(Ask(guard_, "ann", "home"), nullptr);
  EXPECT_TRUE(Guess(guard_, "ben", "office"));
  clock_.Advance(minutes(10));
  ledger_.failures.clear();
  EXPECT_NE(Ask(guard_, "ann", "office"), nullptr);
}

TEST_F(GuessGuardTest, FromWhereTheAccountIsKnown_GuessesAtOnceCountBeforeTheyHaveFailed) {
  Ask(guard_, "ann", "office")->Succeeded();
  GuessesLetThrough(guard_, "ann", "elsewhere", 3);
  std::deque<std::unique_ptr<GuessGuard::Try>> under_way;
  int let_through = 0;
  for (int i = 0; i < 50; ++i) {
    under_way.push_back(Ask(guard_, "ann", "office"));
    let_through += under_way.back() != nullptr ? 1 : 0;
  }
  EXPECT_EQ(let_through, 10);
}

TEST_F(GuessGuardTest, WithoutFailuresTheLedgerIsNotAsked) {
  for (int i = 0; i < 100; ++i) Ask(guard_, "ann", "net")->Succeeded();
  EXPECT_EQ(ledger_.asked, 0);
}

TEST_F(GuessGuardTest, WhereTheGatewayHasSeenTheAccountSignIn_TheLedgerIsNotAsked) {
  Ask(guard_, "ann", "home")->Succeeded();
  ledger_.taken = 0;
  ledger_.remembers = true;
  for (int i = 0; i < 100; ++i) {
    const auto granted = Ask(guard_, "ann", "home");
    ASSERT_NE(granted, nullptr);
    granted->Succeeded();
  }
  EXPECT_EQ(ledger_.taken, 0);
  EXPECT_TRUE(ledger_.failures.empty());
}

TEST_F(GuessGuardTest, WhereGatewaysHaveSeenTheAccountSignIn_ItIsGuessedAtNoMoreOften) {
  GuessGuard here(clock_, {minutes(10), 3, 20, 30}, ledger_);
  GuessGuard there(clock_, {minutes(10), 3, 20, 30}, ledger_);
  Ask(here, "ann", "office")->Succeeded();
  ledger_.remembers = true;
  int let_through = 0;
  for (int i = 0; i < 100; ++i) let_through += Guess(i % 2 == 0 ? here : there, "ann", "office") ? 1 : 0;
  // Those that the ledger was not asked for count for all gateways. One is as a stranger's.
  EXPECT_EQ(let_through, 1 + 30);
  EXPECT_EQ((ledger_.failures[{SignInLedger::Subject::kAccountInNetwork, std::string("ann\0office", 10)}]),
            30u);
}

TEST_F(GuessGuardTest, WhereTheGatewayHasSeenTheAccountSignIn_GuessesAtOnceCountBeforeTheyHaveFailed) {
  GuessGuard guard(clock_, {minutes(10), 3, 20, 30}, ledger_);
  Ask(guard, "ann", "office")->Succeeded();
  ledger_.remembers = true;
  std::deque<std::unique_ptr<GuessGuard::Try>> under_way;
  for (int i = 0; i < 100; ++i) {
    if (auto granted = Ask(guard, "ann", "office")) under_way.push_back(std::move(granted));
  }
  // Three as a stranger's, and what is allowed where it is known, one of which the ledger was not asked for.
  EXPECT_EQ(under_way.size(), 3u + 30u);
}

TEST_F(GuessGuardTest, TheNextAccountOfTheNameAsksAnew_WhereTheGatewayHasSeenTheOneBefore) {
  Ask(guard_, "ann", "home")->Succeeded();
  ledger_.remembers = true;
  ++generation_;
  ledger_.taken = 0;
  Ask(guard_, "ann", "home")->Succeeded();
  EXPECT_EQ(ledger_.taken, 2) << "the one before was known";
  // Nor is it known where strangers have guessed at it.
  ++generation_;
  GuessesLetThrough(guard_, "ann", "net", 10);
  EXPECT_EQ(Ask(guard_, "ann", "home"), nullptr);
}

TEST_F(GuessGuardTest, WhoGuessesHearsNotWhetherTheAccountIsKnownThere) {
  for (const bool remembers : {false, true}) {
    ledger_.remembers = remembers;
    for (const bool is_network_full : {false, true}) {
      ledger_.failures.clear();
      ledger_.known.clear();
      GuessGuard guard(clock_, {minutes(10), 3, 20, 10}, ledger_);
      Ask(guard, "ann", "net")->Succeeded();
      if (is_network_full) {
        for (int i = 0; i < 20; ++i) EXPECT_TRUE(Guess(guard, "user" + std::to_string(i), "net"));
      }
      for (int i = 0; i < 6; ++i) {
        const std::string expected = !is_network_full && i < 3 ? "wrong" : "refused";
        EXPECT_EQ(Hears(guard, "ann", "net"), expected) << remembers << is_network_full << i;
        EXPECT_EQ(Hears(guard, "nobody", "net"), expected) << remembers << is_network_full << i;
      }
    }
  }
}

TEST_F(GuessGuardTest, OfWhomTheGatewayRemembers_TheOtherGatewaysFailuresCountAsWell) {
  Ask(guard_, "ann", "net")->Succeeded();
  ledger_.remembers = true;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Guess(other_, "ann", "elsewhere"));
  EXPECT_EQ(Hears(guard_, "ann", "net"), "refused");
}

TEST_F(GuessGuardTest, WithoutTheLedger_EachGatewayCountsItsOwn) {
  ledger_.is_away = true;
  EXPECT_EQ(GuessesLetThrough(guard_, "ann", "net", 10), 3);
  EXPECT_EQ(GuessesLetThrough(other_, "ann", "net", 10), 3);
}

TEST_F(GuessGuardTest, Zero_NoLimit) {
  GuessGuard open(clock_, {minutes(10), 0, 0, 0}, ledger_);
  EXPECT_EQ(GuessesLetThrough(open, "ann", "net", 1000), 1000);
}

TEST(FailureCounts, OfTooManyNames_TheOldestIsForgotten) {
  FailureCounts counts(minutes(10), 3);
  SteadyTime now{};
  for (const char* name : {"a", "b", "c", "d"}) counts.Add(name, now);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts.Of("a", now), 0u);
  EXPECT_EQ(counts.Of("d", now), 1u);
  counts.Learn("b", 7, minutes(1), now);
  EXPECT_EQ(counts.Of("b", now), 7u);
  EXPECT_EQ(counts.Of("b", now + minutes(1)), 0u);
}

}  // namespace
}  // namespace rookery::gateway
