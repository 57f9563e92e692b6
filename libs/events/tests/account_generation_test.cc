#include "rookery/events/account_generation.h"

#include <gtest/gtest.h>

#include <optional>

#include "rookery/base/random.h"

namespace rookery::events {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'123;

TEST(AccountGeneration, TellsAccountsApartAndIsNeverNone) {
  EXPECT_NE(MakeAccountGeneration(kNow), MakeAccountGeneration(kNow + 1'000));
  EXPECT_NE(MakeAccountGeneration(0), 0u);
}

TEST(AccountGeneration, SaysWhenTheAccountWasMade) {
  EXPECT_EQ(AccountMadeAtMs(MakeAccountGeneration(kNow)), 1'800'000'000'000);
  EXPECT_EQ(AccountMadeAtMs(MakeAccountGeneration(4'000'000'000'000)), 4'000'000'000'000);
}

TEST(AccountGeneration, ThoseOfBeforeTheRuleSayNothing) {
  for (const std::uint64_t generation : {0u, 1u, 7u}) EXPECT_EQ(AccountMadeAtMs(generation), std::nullopt);
  int telling = 0;
  for (int i = 0; i < 100'000; ++i) telling += AccountMadeAtMs(RandomU64()).has_value() ? 1 : 0;
  EXPECT_LT(telling, 200);
}

}  // namespace
}  // namespace rookery::events
