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

TEST(Options, AUserNeedsAPasswordAndAnAuthorityTls) {
  Options options;
  options.user = "muc";
  EXPECT_THAT(Wrong(options), ElementsAre(HasSubstr("`kafka.password`")));
  options.password = "secret";
  EXPECT_THAT(Wrong(options), IsEmpty());
  options.brokers = {"127.0.0.1:9092", "localhost:9092", "[::1]:9092", "kafka:9092"};
  EXPECT_THAT(Wrong(options),
              ElementsAre(AllOf(HasSubstr("`kafka.tls` is needed"), HasSubstr("kafka:9092"))));
  options.sasl_mechanism = "SCRAM-SHA-512";
  EXPECT_THAT(Wrong(options), IsEmpty());
  options.ca_file = "/nonexistent/ca.pem";
  EXPECT_THAT(Wrong(options), ElementsAre(HasSubstr("without `kafka.tls`")));
  options.tls = true;
  EXPECT_THAT(Wrong(options), ElementsAre(HasSubstr("/nonexistent/ca.pem")));
}

TEST(Options, ABrokerIsNeeded) {
  Options options;
  options.brokers.clear();
  EXPECT_THAT(Wrong(options), ElementsAre(HasSubstr("`kafka.brokers`")));
}

}  // namespace
}  // namespace rookery::kafka
