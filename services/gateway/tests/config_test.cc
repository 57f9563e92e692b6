#include "config.h"

#include <gtest/gtest.h>

#include "domain/account_names.h"
#include "rookery/app/app.h"

namespace rookery::gateway {
namespace {

/// All that is wrong with the values, a line each.
std::string Wrong(const Config& config) {
  config::Problems problems;
  config.Validate(problems);
  std::string text;
  for (const std::string& line : problems.lines()) text += line + "\n";
  return text;
}

Config Valid() {
  Config config;
  config.xmpp_address = "127.0.0.1:0";
  config.xmpp_tls = "off";
  return config;
}

TEST(Config, TheSampleIsValidAndComplete) {
  config::Schema schema("gateway");
  app::CommonConfig common;
  common.Bind(schema);
  Config config;
  config.Bind(schema);
  ASSERT_TRUE(schema.Load({ROOKERY_GATEWAY_SAMPLE}, {}).empty());
  EXPECT_EQ(Wrong(config), "");
  EXPECT_EQ(config.tls_mode(), TlsMode::kRequired);
  EXPECT_EQ(config.MakeTlsOptions({}).certificates.front().key_file, "/etc/rookery/tls/tls.key");
}

// What holds where the operator has said nothing.
TEST(Config, StrangersAreBoundedByDefault) {
  const Config config;
  const AccountNames names(config.reserved_names, config.mixed_scripts);
  for (const char* name :
       {"admin", "root", "support", "Αdmin" /* a Greek capital */, "pаypal" /* a Cyrillic a */})
    EXPECT_FALSE(names.Allows(name)) << name;
  EXPECT_TRUE(names.Allows("romeo"));
  EXPECT_GT(config.stanzas_per_second, 0);
  EXPECT_GT(config.stanzas_per_second_per_network, config.stanzas_per_second);
  EXPECT_GT(config.bytes_per_second, 0);
  EXPECT_FALSE(config.registration);
  EXPECT_GT(config.registrations_per_minute, 0);
}

TEST(Config, NoMoreMayBeUnconfirmedThanOwnersKnowOneByOne) {
  for (const auto& [count, is_right] : {std::pair("1000", true), std::pair("1001", false)}) {
    config::Schema schema("gateway");
    Config config;
    config.Bind(schema);
    const auto problems = schema.Load({}, {{"ROOKERY_GATEWAY__LIMITS__MAX_UNCONFIRMED", count}});
    EXPECT_EQ(problems.empty(), is_right) << count;
  }
}

TEST(Config, SaysWhatIsWrong) {
  EXPECT_EQ(Wrong(Valid()), "");
  const auto message = [](auto change) {
    Config config = Valid();
    change(config);
    return Wrong(config);
  };
  EXPECT_NE(message([](Config& c) { c.domains.clear(); }).find("domains"), std::string::npos);
  EXPECT_NE(message([](Config& c) {
              c.domains = {"a.example", "b.example"};
              c.sasl_certificate_identity = "common-name";
            }).find("sasl.certificate-identity"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) { c.domains = {"a b"}; }).find("domains"), std::string::npos);
  for (const char* origin :
       {"chat.example.org", "https://chat.example.org/", "wss://chat.example.org", "null"})
    EXPECT_NE(message([&](Config& c) { c.websocket_origins = {origin}; }).find("listeners.websocket.origins"),
              std::string::npos);
  EXPECT_EQ(message([](Config& c) { c.websocket_origins = {"https://chat.example.org:8443", "*"}; }), "");
  EXPECT_NE(message([](Config& c) { c.xmpp_tls = "required"; }).find("tls.certificates"), std::string::npos);
  EXPECT_NE(message([](Config& c) { c.tls_certificates = {"x.pem"}; }).find("tls.certificates"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) { c.sasl_mechanisms = {"CRAM-MD5"}; }).find("CRAM-MD5"), std::string::npos);
  for (const char* count : {"999", "x", "10000001", ""}) {
    EXPECT_NE(message([&](Config& c) {
                c.sasl_earlier_iterations = {"4096", count};
              }).find("sasl.earlier-iterations"),
              std::string::npos);
  }
  EXPECT_NE(message([](Config& c) { c.xmpp_address.clear(); }).find("listeners"), std::string::npos);
  EXPECT_NE(message([](Config& c) { c.idle_timeout = std::chrono::milliseconds(1); }).find("idle-timeout"),
            std::string::npos);
}

TEST(Config, TheLargestStanzaFitsIntoARecord) {
  Config config = Valid();
  config.max_stanza_bytes = 934'464;  // a million without the reserve
  EXPECT_EQ(Wrong(config), "");
  config.max_stanza_bytes += 1;
  const std::string message = Wrong(config);
  EXPECT_NE(message.find("limits.max-stanza-bytes"), std::string::npos) << message;
  EXPECT_NE(message.find("message.max.bytes"), std::string::npos) << message;
  config.max_record_bytes = 1'000'001;
  EXPECT_EQ(Wrong(config), "");
}

TEST(Config, AllMistakesAreToldNotOnlyTheFirst) {
  Config config = Valid();
  config.domains.clear();
  config.idle_timeout = config.write_timeout = std::chrono::milliseconds(1);
  config.rpc.tls.ca_file = "/ca.pem";
  const std::string wrong = Wrong(config);
  for (const char* key : {"`domains`", "`limits.idle-timeout`", "`limits.write-timeout`",
                          "`rpc.tls.certificate-file`", "`rpc.tls.key-file`"}) {
    EXPECT_NE(wrong.find(key), std::string::npos) << key << " is not in " << wrong;
  }
}

TEST(Config, FilesThatAreNotThereAreToldByKey) {
  Config config = Valid();
  config.tls_certificates = {"*=/nonexistent/cert.pem:/nonexistent/key.pem"};
  config.tls_client_ca_file = "/nonexistent/authority.pem";
  config.rpc.tls = {"/nonexistent/ca.pem", "/nonexistent/service.pem", "/nonexistent/service.key"};
  config::Problems problems;
  config.CheckFiles(problems);
  std::string text;
  for (const std::string& line : problems.lines()) text += line + "\n";
  for (const char* part : {"`tls.certificates`", "/nonexistent/cert.pem", "`tls.client-ca-file`",
                           "/nonexistent/authority.pem", "`rpc.tls.ca-file`", "`rpc.tls.certificate-file`"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in " << text;
  }
}

TEST(Config, EarlierIterations) {
  Config config = Valid();
  config.sasl_earlier_iterations = {"4096", "4096", "10000"};
  ASSERT_EQ(Wrong(config), "");
  EXPECT_EQ(config.MakeXmppSettings().sasl.earlier_iterations,
            (std::vector<std::uint32_t>{4096, 4096, 10'000}));
}

TEST(Config, TcpKeepalive) {
  Config config = Valid();
  EXPECT_EQ(config.MakeKeepalive().idle, std::chrono::seconds(120));
  config.keepalive_interval = std::chrono::milliseconds(1500);
  EXPECT_EQ(config.MakeKeepalive().interval, std::chrono::seconds(2));
  config.keepalive_idle = std::chrono::hours(10);
  EXPECT_NE(Wrong(config).find("keepalive-idle"), std::string::npos);
  config.keepalive_idle = std::chrono::milliseconds(0);
  EXPECT_NE(Wrong(config), "");
}

TEST(Config, CertificatesByDomain) {
  Config config = Valid();
  config.tls_certificates = {"example.com=a.pem:a.key", "*=b.pem:b.key", "c.pem:c.key"};
  ASSERT_EQ(Wrong(config), "");
  const auto certificates = config.MakeTlsOptions({}).certificates;
  ASSERT_EQ(certificates.size(), 3u);
  EXPECT_EQ(certificates[0].domain, "example.com");
  EXPECT_EQ(certificates[1].domain, "");
  EXPECT_EQ(certificates[2].certificate_file, "c.pem");
}

}  // namespace
}  // namespace rookery::gateway
