#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "rookery/base/random.h"
#include "rookery/config/config.h"
#include "rookery/config/files.h"

namespace rookery::config {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class SchemaTest : public testing::Test {
 protected:
  SchemaTest() {
    schema.Bind("instance", &instance, "Name");
    schema.Bind("redis.addresses", &addresses, "Where Redis is");
    schema.Bind("redis.cluster", &cluster, "A Redis Cluster");
    schema.BindSecret("redis.password", &password, "Its password");
    schema.Bind("limits.stanza-bytes", &stanza_bytes, "Largest stanza", 100, 1'000'000);
    schema.Bind("drain-timeout", &drain, "Drain");
    schema.BindChoice("log.level", &level, {"debug", "info"}, "Level");
    std::filesystem::create_directory(directory);
  }
  ~SchemaTest() override { std::filesystem::remove_all(directory); }

  std::string File(std::string_view text, const std::string& name = "service.yaml") {
    const std::filesystem::path path = directory / name;
    std::ofstream(path) << text;
    return path.string();
  }

  /// The only thing that is wrong.
  std::string Wrong(std::string_view yaml, const std::map<std::string, std::string>& environment = {}) {
    const Problems problems = schema.Load({File(yaml)}, environment);
    EXPECT_THAT(problems.lines(), SizeIs(1)) << yaml;
    if (problems.empty()) return "";
    EXPECT_EQ(problems.lines()[0].find('\n'), std::string::npos) << problems.lines()[0];
    return problems.lines()[0];
  }

  std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("rookery-config-test-" + RandomToken(8));
  Schema schema{"session-manager"};
  std::string instance, password, level = "info";
  std::vector<std::string> addresses{"127.0.0.1:6379"};
  bool cluster = false;
  std::int64_t stanza_bytes = 65'536;
  milliseconds drain{20'000};
};

TEST_F(SchemaTest, KeepsDefaultsWithoutFileAndEnvironment) {
  ASSERT_TRUE(schema.Load({}, {{"PATH", "/bin"}, {"ROOKERY_GATEWAY__X", "other service"}}).empty());
  EXPECT_THAT(addresses, ElementsAre("127.0.0.1:6379"));
  EXPECT_EQ(drain, milliseconds(20'000));
}

TEST_F(SchemaTest, ReadsEveryTypeFromTheFile) {
  const Problems problems = schema.Load({File("instance: one\n"
                                              "redis:\n"
                                              "  addresses: [a:1, 'b:2']\n"
                                              "  cluster: true\n"
                                              "limits: {stanza-bytes: 1000}\n"
                                              "drain-timeout: 1500ms\n"
                                              "log: {level: debug}\n")},
                                        {});
  ASSERT_THAT(problems.lines(), IsEmpty());
  EXPECT_EQ(instance, "one");
  EXPECT_THAT(addresses, ElementsAre("a:1", "b:2"));
  EXPECT_TRUE(cluster);
  EXPECT_EQ(stanza_bytes, 1000);
  EXPECT_EQ(drain, milliseconds(1'500));
  EXPECT_EQ(level, "debug");
}

TEST_F(SchemaTest, EnvironmentGoesOverTheFile) {
  const Problems problems = schema.Load({File("instance: one\nredis: {addresses: [a:1]}\n")},
                                        {{"ROOKERY_SESSION_MANAGER__INSTANCE", "two"},
                                         {"ROOKERY_SESSION_MANAGER__REDIS__ADDRESSES", "c:3, d:4"},
                                         {"ROOKERY_SESSION_MANAGER__LIMITS__STANZA_BYTES", "2000"},
                                         {"ROOKERY_SESSION_MANAGER__DRAIN_TIMEOUT", "1m"}});
  ASSERT_THAT(problems.lines(), IsEmpty());
  EXPECT_EQ(instance, "two");
  EXPECT_THAT(addresses, ElementsAre("c:3", "d:4"));
  EXPECT_EQ(stanza_bytes, 2000);
  EXPECT_EQ(drain, milliseconds(60'000));
}

TEST_F(SchemaTest, AnEmptyListInTheEnvironmentIsEmpty) {
  ASSERT_TRUE(schema.Load({}, {{"ROOKERY_SESSION_MANAGER__REDIS__ADDRESSES", ""}}).empty());
  EXPECT_THAT(addresses, IsEmpty());
}

TEST_F(SchemaTest, EmptyFilesAndSectionsAreFine) {
  EXPECT_TRUE(schema.Load({File("")}, {}).empty());
  EXPECT_TRUE(schema.Load({File("# only a comment\n")}, {}).empty());
  EXPECT_TRUE(schema.Load({File("redis:\n")}, {}).empty());
}

TEST_F(SchemaTest, UnknownKeysAreErrorsThatNameFileAndKey) {
  EXPECT_THAT(Wrong("redis: {adresses: [a:1]}\n"),
              AllOf(HasSubstr("service.yaml"), HasSubstr("unknown key `redis.adresses`"),
                    HasSubstr("did you mean `redis.addresses`?")));
  EXPECT_THAT(Wrong("kafka: {brokers: [a]}\n"), HasSubstr("unknown key `kafka`"));
  EXPECT_THAT(Wrong("instance: one\ninstance: two\n"), HasSubstr("`instance` is there twice"));
}

TEST_F(SchemaTest, UnknownVariablesAreErrors) {
  EXPECT_THAT(Wrong("", {{"ROOKERY_SESSION_MANAGER__REDIS__CLUSTERED", "true"}}),
              AllOf(HasSubstr("ROOKERY_SESSION_MANAGER__REDIS__CLUSTERED: unknown variable"),
                    HasSubstr("did you mean `ROOKERY_SESSION_MANAGER__REDIS__CLUSTER`?")));
}

TEST_F(SchemaTest, WrongTypesNameTheKeyAndWhatIsExpected) {
  EXPECT_THAT(Wrong("redis: {cluster: 7}\n"), HasSubstr("`redis.cluster` must be true or false"));
  EXPECT_THAT(Wrong("redis: {addresses: a}\n"), HasSubstr("`redis.addresses` must be a list of texts"));
  EXPECT_THAT(Wrong("redis: {addresses: [[a]]}\n"), HasSubstr("`redis.addresses` must be a list of texts"));
  EXPECT_THAT(Wrong("redis: yes\n"), HasSubstr("`redis` must be a section"));
  EXPECT_THAT(Wrong("instance: [a]\n"), HasSubstr("`instance` must be a text"));
  EXPECT_THAT(Wrong("instance:\n"), HasSubstr("`instance` must be a text"));
  EXPECT_THAT(Wrong("limits: {stanza-bytes: 99}\n"),
              HasSubstr("`limits.stanza-bytes` must be a whole number from 100 to 1000000"));
  EXPECT_THAT(Wrong("drain-timeout: 5\n"), HasSubstr("`drain-timeout` must be a duration such as"));
  EXPECT_THAT(Wrong("log: {level: loud}\n"), HasSubstr("`log.level` must be one of debug, info"));
  EXPECT_THAT(Wrong("", {{"ROOKERY_SESSION_MANAGER__REDIS__CLUSTER", "maybe"}}),
              HasSubstr("ROOKERY_SESSION_MANAGER__REDIS__CLUSTER: `redis.cluster` must be true or false"));
}

TEST_F(SchemaTest, WhatIsNotYamlIsToldWithItsLine) {
  EXPECT_THAT(Wrong("instance: one\nredis: [\n"), HasSubstr("not YAML"));
  EXPECT_THAT(Wrong("- a\n- b\n"), HasSubstr("must be a map"));
}

TEST_F(SchemaTest, AMissingFileIsToldByName) {
  const std::string file = (directory / "none.yaml").string();
  EXPECT_THAT(schema.Load({file}, {}).lines(),
              ElementsAre(AllOf(HasSubstr(file), HasSubstr("No such file"))));
  EXPECT_THAT(schema.Load({directory.string()}, {}).lines(), SizeIs(1)) << "a directory is no file";
}

TEST_F(SchemaTest, AllMistakesAreToldEachWithItsLineOrVariable) {
  const std::string file = File(
      "instance: one\n"
      "redis:\n"
      "  cluster: perhaps\n"
      "  adresses: [a:1]\n"
      "drain-timeout: soon\n"
      "kafka: {}\n");
  const Problems problems =
      schema.Load({file}, {{"ROOKERY_SESSION_MANAGER__LIMITS__STANZA_BYTES", "many"},
                           {"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE", "/nonexistent/secret"},
                           {"ROOKERY_SESSION_MANAGER__NOTHING_LIKE_IT", "1"}});
  EXPECT_THAT(
      problems.lines(),
      UnorderedElementsAre(
          file + ":3: `redis.cluster` must be true or false",
          file + ":4: unknown key `redis.adresses` (did you mean `redis.addresses`?)",
          file + ":5: `drain-timeout` must be a duration such as 250ms, 5s, 10m or 1h",
          file + ":6: unknown key `kafka`",
          "ROOKERY_SESSION_MANAGER__LIMITS__STANZA_BYTES: `limits.stanza-bytes` must be a whole number "
          "from 100 to 1000000",
          AllOf(HasSubstr("ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE: `redis.password` "),
                HasSubstr("/nonexistent/secret")),
          HasSubstr("ROOKERY_SESSION_MANAGER__NOTHING_LIKE_IT: unknown variable")));
  EXPECT_EQ(instance, "one") << "what is right is taken";
  EXPECT_EQ(drain, milliseconds(20'000)) << "what is wrong is not";
}

TEST_F(SchemaTest, AServiceTellsWhatIsWrongWithItsLineToo) {
  const std::string file = File("log:\n  level: debug\ninstance: one\n");
  Problems problems = schema.Load({file}, {{"ROOKERY_SESSION_MANAGER__REDIS__ADDRESSES", "a:1"}});
  problems.Add("instance", "must be two");
  problems.Add("instance", "must be even");
  problems.Add("redis.addresses", "must name c");
  problems.Add("redis.cluster", "is needed");
  EXPECT_THAT(problems.lines(),
              ElementsAre(file + ":3: `instance` must be two",
                          "ROOKERY_SESSION_MANAGER__REDIS__ADDRESSES: `redis.addresses` must name c",
                          "`redis.cluster` is needed"));
}

TEST_F(SchemaTest, OfSeveralFilesTheLaterWins) {
  const std::string base = File("instance: one\nredis: {addresses: [a:1, b:2], cluster: true}\n");
  const std::string over = File("redis:\n  addresses: [c:3]\nlog: {level: debug}\n", "over.yaml");
  EXPECT_THAT(schema.Load({base, over}, {}).lines(), IsEmpty());
  EXPECT_EQ(instance, "one");
  EXPECT_THAT(addresses, ElementsAre("c:3"));
  EXPECT_TRUE(cluster);
  EXPECT_EQ(schema.Origin("redis.addresses"), over + ":2");
  EXPECT_EQ(schema.Origin("redis.cluster"), base + ":2");
  EXPECT_EQ(schema.Origin("drain-timeout"), "");
}

TEST_F(SchemaTest, UnknownSectionsAndKeysInAWrongSectionGetAHint) {
  EXPECT_THAT(Wrong("reddis: {addresses: [a:1]}\n"), HasSubstr("did you mean `redis`?"));
  EXPECT_THAT(Wrong("limits: {addresses: [a:1]}\n"), HasSubstr("did you mean `redis.addresses`?"));
  EXPECT_THAT(Wrong("level: debug\n"), HasSubstr("did you mean `log.level`?"));
}

TEST_F(SchemaTest, SecretsComeFromTheEnvironmentOrAFile) {
  EXPECT_THAT(Wrong("redis: {password: x}\n"), HasSubstr("ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE"));
  ASSERT_TRUE(schema.Load({}, {{"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD", "env"}}).empty());
  EXPECT_EQ(password, "env");
  const std::string file = File("from file\n", "secret");
  std::filesystem::permissions(file, std::filesystem::perms(0604));
  EXPECT_THAT(Wrong("", {{"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE", file}}),
              HasSubstr("others can read"));
  EXPECT_NE(password, "from file");
  std::filesystem::permissions(file, std::filesystem::perms(0660));
  EXPECT_THAT(Wrong("", {{"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE", file}}), HasSubstr("others can"));
  std::filesystem::permissions(file, std::filesystem::perms(0640));
  EXPECT_THAT(Wrong("", {{"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE", file}}), HasSubstr("others can"));
  std::filesystem::permissions(file, std::filesystem::perms(0400));
  ASSERT_TRUE(schema.Load({}, {{"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE", file}}).empty());
  EXPECT_EQ(password, "from file");
  EXPECT_THAT(Wrong("", {{"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE", file},
                         {"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD", "env"}}),
              HasSubstr("both"));
  EXPECT_THAT(Wrong("", {{"ROOKERY_SESSION_MANAGER__INSTANCE_FILE", file}}), HasSubstr("unknown variable"));
}

TEST(SecretFile, IsItsReadersAlone_OrRootsAndItsGroups) {
  constexpr uid_t kRoot = 0, kReader = 1000, kSomebody = 1001;
  EXPECT_TRUE(IsSecret(0600, kReader, kReader));
  EXPECT_TRUE(IsSecret(0400, kRoot, kRoot));
  EXPECT_FALSE(IsSecret(0640, kReader, kReader));
  EXPECT_FALSE(IsSecret(0440, kRoot, kRoot));
  EXPECT_FALSE(IsSecret(0604, kReader, kReader));
  // As Kubernetes gives it to a pod that does not run as root.
  EXPECT_TRUE(IsSecret(0440, kRoot, kReader));
  EXPECT_TRUE(IsSecret(0640, kRoot, kReader));
  EXPECT_FALSE(IsSecret(0660, kRoot, kReader));
  EXPECT_FALSE(IsSecret(0444, kRoot, kReader));
  EXPECT_FALSE(IsSecret(0400, kSomebody, kReader)) << "who can change it at will";
  EXPECT_FALSE(IsSecret(0400, kSomebody, kRoot));
}

TEST_F(SchemaTest, PrintHidesSecretsAndCanBeReadBack) {
  ASSERT_TRUE(schema
                  .Load({}, {{"ROOKERY_SESSION_MANAGER__INSTANCE", "a: \"b\" # c"},
                             {"ROOKERY_SESSION_MANAGER__REDIS__ADDRESSES", "a:1,b:2"}})
                  .empty());
  const std::string printed = schema.Print();
  EXPECT_THAT(printed, Not(HasSubstr("***")));
  ASSERT_TRUE(schema.Load({}, {{"ROOKERY_SESSION_MANAGER__REDIS__PASSWORD", "hidden"}}).empty());
  EXPECT_THAT(schema.Print(), AllOf(HasSubstr("***"), Not(HasSubstr("hidden"))));

  std::string again = printed;
  const std::size_t secret = again.find("  password:");
  ASSERT_NE(secret, std::string::npos) << again;
  again.erase(secret, again.find('\n', secret) + 1 - secret);
  instance.clear();
  addresses.clear();
  const Problems problems = schema.Load({File(again)}, {});
  ASSERT_THAT(problems.lines(), IsEmpty()) << again;
  EXPECT_EQ(instance, "a: \"b\" # c");
  EXPECT_THAT(addresses, ElementsAre("a:1", "b:2"));
}

TEST_F(SchemaTest, PrintHidesSecretsAmongProperties) {
  addresses = {"sasl.username=me", "sasl.password=hidden", "ssl.key.pem=hidden", "Client.Secret=hidden"};
  const std::string printed = schema.Print();
  EXPECT_THAT(printed,
              AllOf(HasSubstr("sasl.username=me"), HasSubstr("sasl.password=***"), Not(HasSubstr("hidden"))));
}

TEST_F(SchemaTest, ReferenceNamesEveryKeyOnce) {
  const std::string reference = schema.Reference();
  EXPECT_THAT(reference,
              HasSubstr("| `drain-timeout` | `20s` | `ROOKERY_SESSION_MANAGER__DRAIN_TIMEOUT` | Drain |"));
  EXPECT_THAT(reference, HasSubstr("`ROOKERY_SESSION_MANAGER__REDIS__PASSWORD_FILE`"));
  EXPECT_THAT(reference, HasSubstr("Level (debug, info)"));
  EXPECT_THAT(schema.Help(), HasSubstr("redis.addresses (127.0.0.1:6379): Where Redis is\n"));
}

}  // namespace
}  // namespace rookery::config
