#include "domain/users/address_set.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rookery::session_manager {
namespace {

bool Matches(const std::string& listed, std::string_view address) {
  const std::vector<std::string> addresses{listed};
  return AddressSet(addresses).Matches(address);
}

TEST(AddressSet, AFullJid_ThatResourceOnly) {
  EXPECT_TRUE(Matches("bob@far.example/desk", "bob@far.example/desk"));
  EXPECT_FALSE(Matches("bob@far.example/desk", "bob@far.example/phone"));
  EXPECT_FALSE(Matches("bob@far.example/desk", "bob@far.example"));
  EXPECT_FALSE(Matches("bob@far.example/desk", "far.example/desk"));
}

TEST(AddressSet, ABareJid_AllItsResources) {
  EXPECT_TRUE(Matches("bob@far.example", "bob@far.example"));
  EXPECT_TRUE(Matches("bob@far.example", "bob@far.example/desk"));
  EXPECT_TRUE(Matches("bob@far.example", "bob@far.example/a/b@c"));
  EXPECT_FALSE(Matches("bob@far.example", "eve@far.example/desk"));
  EXPECT_FALSE(Matches("bob@far.example", "far.example"));
}

TEST(AddressSet, ADomainWithAResource_ThatOnly) {
  EXPECT_TRUE(Matches("far.example/echo", "far.example/echo"));
  EXPECT_FALSE(Matches("far.example/echo", "far.example"));
  EXPECT_FALSE(Matches("far.example/echo", "far.example/other"));
  EXPECT_FALSE(Matches("far.example/echo", "bob@far.example/echo"));
}

TEST(AddressSet, ADomain_ItselfAndEveryAddressOfIt) {
  for (const char* address : {"far.example", "far.example/echo", "bob@far.example", "bob@far.example/desk"})
    EXPECT_TRUE(Matches("far.example", address)) << address;
  EXPECT_FALSE(Matches("far.example", "bob@sub.far.example"));
  EXPECT_FALSE(Matches("far.example", "far.example@other.example"));
}

TEST(AddressSet, OneOfManyIsEnough_AndNoneMatchesNothing) {
  const std::vector<std::string> many{"eve@localhost", "far.example", "bob@localhost/desk"};
  const AddressSet set(many);
  EXPECT_FALSE(set.empty());
  EXPECT_TRUE(set.Matches("eve@localhost/phone"));
  EXPECT_TRUE(set.Matches("carol@far.example"));
  EXPECT_FALSE(set.Matches("bob@localhost"));
  EXPECT_TRUE(AddressSet().empty());
  EXPECT_FALSE(AddressSet().Matches("eve@localhost"));
}

}  // namespace
}  // namespace rookery::session_manager
