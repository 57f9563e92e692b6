#pragma once

// The promises of claims, whatever keeps them. A fixture gives `io()` and two processes, `one()` and
// `other()`, each with `Claim(shard, epoch)`, `ClaimedBy(shard)` and `Write(shard, epoch, value)`, a
// statement under the claim. What was written is `ValueOf(shard)` (-1: nothing). The next `to_lose()` of what
// `one()` asks for is answered with UNAVAILABLE and not done, but by `DoLost(which)`. It has asked for
// something `asked()` times. `Restore(shard, epoch, turn)` puts another claim in the place of the last one,
// as an older backup does; epoch -1: none.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/task.h"
#include "rookery/testing/run_task.h"

namespace rookery::testing {

template <typename Fixture>
class ClaimScenarios : public Fixture {
 protected:
  ClaimScenarios() {
    static std::uint32_t shards = 0;
    shard_ = ++shards;
  }
  template <typename T>
  T Run(Task<T> task) {
    return RunTask(this->io(), std::move(task));
  }
  absl::Status Claim(std::int64_t epoch) { return Run(this->one().Claim(shard_, epoch)); }
  absl::Status ClaimByOther(std::int64_t epoch) { return Run(this->other().Claim(shard_, epoch)); }
  absl::Status Write(std::int64_t epoch, std::int64_t value) {
    return Run(this->one().Write(shard_, epoch, value));
  }
  /// All at once.
  std::vector<absl::Status> WriteMany(std::int64_t epoch, std::int64_t value, std::size_t many) {
    std::vector<absl::Status> answers;
    for (std::size_t i = 0; i < many; ++i)
      asio::co_spawn(this->io(), this->one().Write(shard_, epoch, value),
                     [&](std::exception_ptr, const absl::Status& status) { answers.push_back(status); });
    EXPECT_TRUE(RunUntil(this->io(), [&] { return answers.size() == many; }));
    return answers;
  }
  std::int64_t Value() { return this->ValueOf(shard_); }

  std::uint32_t shard_ = 0;
};

TYPED_TEST_SUITE_P(ClaimScenarios);

// ---- whose claim stands -----------------------------------------------------

TYPED_TEST_P(ClaimScenarios, TheNewestStands) {
  EXPECT_EQ(this->Claim(5), absl::OkStatus());
  EXPECT_EQ(this->Claim(5), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->ClaimByOther(4)));
  EXPECT_EQ(this->ClaimByOther(6), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Claim(5)));
  // Each shard has its own.
  EXPECT_EQ(this->Run(this->other().Claim(this->shard_ + 1'000, 1)), absl::OkStatus());
}

TYPED_TEST_P(ClaimScenarios, ByWhom) {
  EXPECT_EQ(*this->Run(this->one().ClaimedBy(this->shard_)), -1);
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  EXPECT_EQ(*this->Run(this->other().ClaimedBy(this->shard_)), 5);
}

TYPED_TEST_P(ClaimScenarios, WithoutOneNothingIsDone) {
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(1, 1)));
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(4, 2)));
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(6, 3)));
  EXPECT_EQ(this->Value(), -1);
  EXPECT_EQ(this->Write(5, 4), absl::OkStatus());
  EXPECT_EQ(this->Value(), 4);
}

TYPED_TEST_P(ClaimScenarios, AnOlderOwnerChangesNothing) {
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  ASSERT_EQ(this->Write(5, 1), absl::OkStatus());
  ASSERT_EQ(this->ClaimByOther(6), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(5, 2)));
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(5, 3))) << "nor does it claim the shard again";
  EXPECT_EQ(this->Value(), 1);
  EXPECT_EQ(this->Run(this->other().Write(this->shard_, 6, 4)), absl::OkStatus());
  EXPECT_EQ(this->Value(), 4);
}

TYPED_TEST_P(ClaimScenarios, TheOwnerComesBack_ItsFormerLifeIsOver) {
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  this->to_lose() = 1;
  EXPECT_TRUE(absl::IsUnavailable(this->Write(5, 1)));
  ASSERT_EQ(this->ClaimByOther(6), absl::OkStatus());
  ASSERT_EQ(this->Claim(7), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(5, 2)));
  ASSERT_EQ(this->Write(7, 3), absl::OkStatus());
  this->DoLost(0);
  EXPECT_EQ(this->Value(), 3);
}

// ---- answers that are lost --------------------------------------------------

TYPED_TEST_P(ClaimScenarios, ALostStatementIsNotDoneAfterTheNextOne) {
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  ASSERT_EQ(this->Write(5, 1), absl::OkStatus());
  this->to_lose() = 1;
  EXPECT_TRUE(absl::IsUnavailable(this->Write(5, 2)));
  ASSERT_EQ(this->Write(5, 3), absl::OkStatus());
  this->DoLost(0);
  EXPECT_EQ(this->Value(), 3);
  EXPECT_EQ(this->Write(5, 4), absl::OkStatus());
}

TYPED_TEST_P(ClaimScenarios, ALostStatement_TheShardIsClaimedAgainOnceForAll) {
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  this->to_lose() = 1;
  EXPECT_TRUE(absl::IsUnavailable(this->Write(5, 1)));
  const std::size_t before = this->asked();
  for (const absl::Status& answer : this->WriteMany(5, 2, 5)) EXPECT_EQ(answer, absl::OkStatus());
  EXPECT_EQ(this->asked() - before, 6u);
  // The claim is lost, too: nothing is done without it.
  this->to_lose() = 2;
  EXPECT_TRUE(absl::IsUnavailable(this->Write(5, 3)));
  for (const absl::Status& answer : this->WriteMany(5, 4, 5))
    EXPECT_TRUE(absl::IsUnavailable(answer)) << answer;
  EXPECT_EQ(this->Value(), 2);
  EXPECT_EQ(this->Write(5, 5), absl::OkStatus());
  EXPECT_EQ(this->Value(), 5);
}

TYPED_TEST_P(ClaimScenarios, ALostStatement_MeanwhileSomebodyElseHasTheShard) {
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  this->to_lose() = 1;
  EXPECT_TRUE(absl::IsUnavailable(this->Write(5, 1)));
  ASSERT_EQ(this->ClaimByOther(6), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(5, 2)));
  this->DoLost(0);
  EXPECT_EQ(this->Value(), -1);
}

TYPED_TEST_P(ClaimScenarios, ALostClaimThatIsDoneLateCostsOneStatement) {
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  this->to_lose() = 1;
  EXPECT_TRUE(absl::IsUnavailable(this->Claim(5)));
  ASSERT_EQ(this->Write(5, 1), absl::OkStatus());
  this->DoLost(0);
  // Nobody else has the shard.
  EXPECT_TRUE(absl::IsAborted(this->Write(5, 2)));
  EXPECT_EQ(this->Value(), 1);
  EXPECT_EQ(this->Write(5, 3), absl::OkStatus());
  EXPECT_EQ(this->Value(), 3);
}

TYPED_TEST_P(ClaimScenarios, ALostFirstClaim_NothingIsDoneBeforeItIsSaidAgain) {
  this->to_lose() = 1;
  EXPECT_TRUE(absl::IsUnavailable(this->Claim(5)));
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(5, 1)));
  this->DoLost(0);
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(5, 1))) << "its turn is not known";
  EXPECT_EQ(this->Value(), -1);
  ASSERT_EQ(this->Claim(5), absl::OkStatus());
  EXPECT_EQ(this->Write(5, 2), absl::OkStatus());
}

// ---- a store or a log that is not what it was -------------------------------

TYPED_TEST_P(ClaimScenarios, AnOlderBackupIsRestored_TheOwnerClaimsTheShardAgain) {
  std::size_t lost = 0;
  for (const std::int64_t epoch : {-1, 3, 5}) {
    for (int i = 0; i < 10; ++i) ASSERT_EQ(this->Claim(5), absl::OkStatus());
    this->to_lose() = 1;
    EXPECT_TRUE(absl::IsUnavailable(this->Write(5, 1)));
    ASSERT_EQ(this->Write(5, 2), absl::OkStatus());
    this->Restore(this->shard_, epoch, 2);
    EXPECT_TRUE(absl::IsAborted(this->Write(5, 3)));
    EXPECT_EQ(this->Write(5, 4), absl::OkStatus());
    this->DoLost(lost++);
    EXPECT_EQ(this->Value(), 4);
    EXPECT_EQ(*this->Run(this->one().ClaimedBy(this->shard_)), 5);
  }
}

TYPED_TEST_P(ClaimScenarios, ALogThatBeganAnew_TheEpochInTheStoreIsToldAndTheNextOneIsAboveIt) {
  ASSERT_EQ(this->Claim(900), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->ClaimByOther(3)));
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Run(this->other().Write(this->shard_, 3, 1))));
  const auto newer = this->Run(this->other().ClaimedBy(this->shard_));
  ASSERT_TRUE(newer.ok()) << newer.status();
  ASSERT_EQ(this->ClaimByOther(*newer + 1), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Write(900, 2)));
  EXPECT_EQ(this->Run(this->other().Write(this->shard_, 901, 3)), absl::OkStatus());
  EXPECT_EQ(this->Value(), 3);
}

REGISTER_TYPED_TEST_SUITE_P(ClaimScenarios, TheNewestStands, ByWhom, WithoutOneNothingIsDone,
                            AnOlderOwnerChangesNothing, TheOwnerComesBack_ItsFormerLifeIsOver,
                            ALostStatementIsNotDoneAfterTheNextOne,
                            ALostStatement_TheShardIsClaimedAgainOnceForAll,
                            ALostStatement_MeanwhileSomebodyElseHasTheShard,
                            ALostClaimThatIsDoneLateCostsOneStatement,
                            ALostFirstClaim_NothingIsDoneBeforeItIsSaidAgain,
                            AnOlderBackupIsRestored_TheOwnerClaimsTheShardAgain,
                            ALogThatBeganAnew_TheEpochInTheStoreIsToldAndTheNextOneIsAboveIt);

}  // namespace rookery::testing
