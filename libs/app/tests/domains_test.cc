#include "rookery/app/domains.h"

#include <gtest/gtest.h>

namespace rookery::app {
namespace {

std::string ProblemsOf(std::vector<std::string>& domains) {
  config::Problems problems;
  PrepareDomains(domains, problems);
  return problems.empty() ? "" : problems.lines().front();
}

TEST(DomainsTest, NamesArePrepared) {
  std::vector<std::string> domains{"Example.ORG", "localhost"};
  EXPECT_EQ(ProblemsOf(domains), "");
  EXPECT_EQ(domains, (std::vector<std::string>{"example.org", "localhost"}));
}

TEST(DomainsTest, WhatIsNoNameIsAProblemAndStays) {
  std::vector<std::string> domains{"a b", "Example.org"};
  EXPECT_EQ(ProblemsOf(domains), "`domains` has `a b`, which is not a domain name");
  EXPECT_EQ(domains, (std::vector<std::string>{"a b", "example.org"}));
}

TEST(DomainsTest, ThereIsOneAtLeast) {
  std::vector<std::string> none;
  EXPECT_EQ(ProblemsOf(none), "`domains` must name at least one");
}

}  // namespace
}  // namespace rookery::app
