// Claims in memory: the scenarios, and what statements do that PostgreSQL does only by chance.
#include "rookery/pg/shard_claims.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "rookery/testing/claim_scenarios.h"
#include "rookery/testing/memory_claims.h"

namespace rookery::pg {
namespace {

class MemoryFixture : public ::testing::Test {
 protected:
  class Process {
   public:
    explicit Process(MemoryFixture& database)
        : database_(database), held_([this](std::uint32_t shard, std::int64_t epoch, std::int64_t above) {
            return Ask(shard, epoch, above);
          }) {}
    Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) { return held_.Claim(shard, epoch); }
    Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) {
      co_return database_.claims_.ClaimedBy(shard);
    }
    Task<absl::Status> Write(std::uint32_t shard, std::int64_t epoch, std::int64_t value) {
      return held_.Execute(shard, epoch,
                           [=, this](std::int64_t turn) { return Do(shard, epoch, turn, value); });
    }

    std::size_t asked = 0;
    int to_lose = 0;
    std::vector<std::function<void()>> lost;

   private:
    Task<absl::StatusOr<std::optional<std::int64_t>>> Ask(std::uint32_t shard, std::int64_t epoch,
                                                          std::int64_t above) {
      const auto claim = [=, this] { return database_.claims_.Claim(shard, epoch, above); };
      const bool is_lost = co_await IsLost([claim] { (void)claim(); });
      if (is_lost) co_return absl::UnavailableError("lost");
      co_return claim();
    }
    Task<absl::StatusOr<bool>> Do(std::uint32_t shard, std::int64_t epoch, std::int64_t turn,
                                  std::int64_t value) {
      const auto write = [=, this] {
        const bool stands = database_.claims_.Stands(shard, epoch, turn);
        if (stands) database_.values_[shard] = value;
        return stands;
      };
      const bool is_lost = co_await IsLost([write] { (void)write(); });
      if (is_lost) co_return absl::UnavailableError("lost");
      co_return write();
    }
    Task<bool> IsLost(std::function<void()> what) {
      ++asked;
      const bool is_lost = to_lose > 0;
      if (is_lost) {
        --to_lose;
        lost.push_back(std::move(what));
      }
      co_await runtime::Yield();
      co_return is_lost;
    }

    MemoryFixture& database_;
    HeldClaims held_;
  };

  asio::io_context& io() { return io_; }
  Process& one() { return one_; }
  Process& other() { return other_; }
  std::int64_t ValueOf(std::uint32_t shard) const { return values_.contains(shard) ? values_.at(shard) : -1; }
  int& to_lose() { return one_.to_lose; }
  std::size_t asked() const { return one_.asked; }
  void DoLost(std::size_t which) { one_.lost.at(which)(); }
  void Restore(std::uint32_t shard, std::int64_t epoch, std::int64_t turn) {
    claims_.rows[shard] = {epoch, turn};
    if (epoch < 0) claims_.rows.erase(shard);
  }

  asio::io_context io_;
  testing::MemoryClaims claims_;
  std::map<std::uint32_t, std::int64_t> values_;
  Process one_{*this};
  Process other_{*this};
};

}  // namespace
}  // namespace rookery::pg

namespace rookery::testing {
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ClaimScenarios, pg::MemoryFixture);
}  // namespace rookery::testing

namespace rookery::pg {
namespace {

class HeldClaimsTest : public ::testing::Test {
 protected:
  HeldClaimsTest() { EXPECT_EQ(testing::RunTask(io_, held_.Claim(1, 5)), absl::OkStatus()); }
  absl::Status Execute(absl::StatusOr<bool> answer) {
    return testing::RunTask(io_, held_.Execute(1, 5, [answer](std::int64_t) { return Answer(answer); }));
  }
  static Task<absl::StatusOr<bool>> Answer(absl::StatusOr<bool> answer) { co_return answer; }
  Task<absl::StatusOr<std::optional<std::int64_t>>> Ask() { co_return ++claims_; }

  asio::io_context io_;
  std::int64_t claims_ = 0;
  HeldClaims held_{[this](std::uint32_t, std::int64_t, std::int64_t) { return Ask(); }};
};

TEST_F(HeldClaimsTest, WhatMayStillBeDoneCostsAClaim) {
  for (const absl::Status& error :
       {absl::UnavailableError("no answer"), absl::DeadlineExceededError("late")}) {
    const std::int64_t before = claims_;
    EXPECT_EQ(Execute(error), error);
    EXPECT_EQ(claims_, before);
    EXPECT_EQ(Execute(true), absl::OkStatus());
    EXPECT_EQ(claims_, before + 1);
    EXPECT_EQ(Execute(true), absl::OkStatus());
    EXPECT_EQ(claims_, before + 1);
  }
}

TEST_F(HeldClaimsTest, WhatTheServerHasRefusedCostsNone) {
  for (const absl::Status& error : {absl::AbortedError("deadlock"), absl::InternalError("no such table"),
                                    absl::InvalidArgumentError("a text with NUL")}) {
    EXPECT_EQ(Execute(error), error);
    EXPECT_EQ(Execute(true), absl::OkStatus());
  }
  EXPECT_EQ(claims_, 1);
}

TEST_F(HeldClaimsTest, AStatementThatNobodyWaitsForAnyMoreCostsAClaim) {
  asio::cancellation_signal cancel;
  bool has_ended = false;
  const auto never = [](std::int64_t) -> Task<absl::StatusOr<bool>> {
    co_await runtime::Sleep(std::chrono::hours(1));
    co_return true;
  };
  asio::co_spawn(
      io_, held_.Execute(1, 5, never),
      asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr error, const absl::Status&) {
        has_ended = error != nullptr;
      }));
  io_.poll();
  cancel.emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return has_ended; }));
  EXPECT_EQ(Execute(true), absl::OkStatus());
  EXPECT_EQ(claims_, 2);
}

}  // namespace
}  // namespace rookery::pg
