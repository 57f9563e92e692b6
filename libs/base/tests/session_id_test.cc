#include "rookery/base/session_id.h"

#include <gtest/gtest.h>

#include <string>

namespace rookery {
namespace {

TEST(SessionId, OnlySixteenBytesName) {
  const SessionId none;
  for (const std::string& bytes : {std::string(), std::string("short"), std::string(17, 'x')}) {
    EXPECT_EQ(SessionId::FromBytes(bytes), std::nullopt);
    EXPECT_EQ(SessionId(bytes), none);
  }
  const std::string bytes("\0abcdefghijklmn\0", 16);
  EXPECT_EQ(SessionId(bytes).str(), bytes);
  EXPECT_EQ(SessionId::FromBytes(bytes), SessionId(bytes));
}

TEST(SessionId, RandomOnesDiffer) {
  EXPECT_NE(SessionId::Random(), SessionId::Random());
  EXPECT_NE(SessionId::Random(), SessionId());
}

}  // namespace
}  // namespace rookery
