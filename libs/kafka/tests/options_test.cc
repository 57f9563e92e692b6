#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rookery/kafka/producer.h"

namespace rookery::kafka {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> Wrong(const Options& options) {
  config::Problems problems;
  options.Validate(problems);
  options.CheckFiles(problems);
  return problems.lines();
}

std::vector<std::string> WrongProperty(const std::string& property) {
  Options options;
  options.properties = {property};
  return Wrong(options);
}

TEST(Options, PropertiesAreLibrdkafkas) {
  EXPECT_THAT(WrongProperty("linger.ms=5"), IsEmpty());
  EXPECT_THAT(WrongProperty("linger.mss=5"),
              ElementsAre(AllOf(HasSubstr("`kafka.properties`"), HasSubstr("linger.mss"))));
  EXPECT_THAT(WrongProperty("linger.ms=soon"), ElementsAre(HasSubstr("linger.ms")));
  EXPECT_THAT(WrongProperty("linger.ms"), ElementsAre(HasSubstr("not name=value")));
  EXPECT_THAT(WrongProperty("sasl.pasword=hidden"), ElementsAre(Not(HasSubstr("hidden"))));
}

TEST(Options, FilesThatPropertiesNameMustBeThere) {
  EXPECT_THAT(WrongProperty("ssl.ca.location=probe"), IsEmpty());
  EXPECT_THAT(WrongProperty("ssl.ca.location=/nonexistent/ca.pem"),
              ElementsAre(HasSubstr("/nonexistent/ca.pem")));
}

TEST(Options, ABrokerIsNeeded) {
  Options options;
  options.brokers.clear();
  EXPECT_THAT(Wrong(options), ElementsAre(HasSubstr("`kafka.brokers`")));
}

}  // namespace
}  // namespace rookery::kafka
