#include "domain/account_names.h"

#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

TEST(AccountNames, ReservedNamesAreRefused_AndWhatLooksLikeThem) {
  const AccountNames names({"admin", "root"}, /*may_mix_scripts=*/true);
  EXPECT_FALSE(names.Allows("admin"));
  EXPECT_FALSE(names.Allows("root"));
  EXPECT_FALSE(names.Allows("\u0430dmin"));  // a Cyrillic a
  EXPECT_FALSE(names.Allows("r\u043e\u043et"));
  EXPECT_FALSE(names.Allows("admi\u0307n"));  // a second dot above the i
  EXPECT_FALSE(names.Allows("\u00e1dmin"));
  EXPECT_TRUE(names.Allows("admiral"));
  EXPECT_TRUE(names.Allows("roots"));
}

TEST(AccountNames, Tr39_5_2_ScriptsThatAreNotWrittenTogetherAreRefused) {
  const AccountNames names({}, /*may_mix_scripts=*/false);
  for (const char* name :
       {"ann", "ann.o-neil_7", "ren\u00e9", "\u0430\u043d\u043d\u0430", "\u03b1\u03bd\u03bd\u03b1",
        // Han, Hiragana and Katakana, and Latin with them.
        "\u5c71\u7530\u305f\u308d\u3046", "\u5c71\u7530taro", "\ud55c\uae00kim"}) {
    EXPECT_TRUE(names.Allows(name)) << name;
  }
  for (const char* name : {"p\u0430ypal", "\u03b1nn", "\u0430\u03bd\u03bd\u0430"}) {
    EXPECT_FALSE(names.Allows(name)) << name;
  }
  EXPECT_TRUE(AccountNames({}, /*may_mix_scripts=*/true).Allows("p\u0430ypal"));
}

}  // namespace
}  // namespace rookery::gateway
