#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "accounts.h"
#include "client.h"
#include "gmock/gmock.h"
#include "latencies.h"
#include "metrics_page.h"
#include "processes.h"
#include "rookery/net/connection.h"
#include "scram.h"
#include "scram_server.h"
#include "stanza_scanner.h"

namespace rookery::load {
namespace {

using ::testing::ElementsAre;

TEST(MetricsPage, FindsTheHighestBucketThatHasGrown) {
  const MetricsPage before(
      "lag_bucket{le=\"0.001\"} 10\nlag_bucket{le=\"0.5\"} 11\nlag_bucket{le=\"+Inf\"} 11\nlag_count 11\n");
  const MetricsPage after(
      "lag_bucket{le=\"0.001\"} 20\nlag_bucket{le=\"0.5\"} 21\nlag_bucket{le=\"+Inf\"} 21\nlag_count 21\n");
  EXPECT_EQ(after.LargestSince(before, "lag"), 0.001);
  EXPECT_EQ(after.LargestSince(MetricsPage(), "lag"), 0.5);
  EXPECT_EQ(after.LargestSince(after, "lag"), 0);
}

TEST(MetricsPage, AddsUpACounterWithLabels) {
  const MetricsPage page("# TYPE records counter\nrecords{topic=\"a\"} 3\nrecords{topic=\"b\"} 4\nother 1\n");
  EXPECT_EQ(page.Sum("records"), 7);
  EXPECT_EQ(page.Sum("none"), 0);
}

TEST(StanzaScanner, CutsElementsWhereverTheBytesAreCut) {
  const std::string stream =
      "<?xml version='1.0'?><stream:stream id='a>b' "
      "xmlns='x'><stream:features><a/><b>t</b></stream:features>\n"
      "<r xmlns='urn:xmpp:sm:3'/><message to=\"x/>\"><body>a &gt; b</body></message> <iq/></stream:stream>";
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    std::vector<std::string> seen;
    StanzaScanner scanner([&](std::string_view e) { seen.emplace_back(e); });
    for (std::size_t at = 0; at < stream.size(); at += step)
      scanner.Feed(std::string_view(stream).substr(at, step));
    EXPECT_THAT(
        seen, ElementsAre("<stream:stream id='a>b' xmlns='x'>",
                          "<stream:features><a/><b>t</b></stream:features>", "<r xmlns='urn:xmpp:sm:3'/>",
                          "<message to=\"x/>\"><body>a &gt; b</body></message>", "<iq/>", "</stream:stream>"))
        << step;
  }
}

TEST(StanzaScanner, ResetWithinAnElementDropsTheRest) {
  std::vector<std::string> seen;
  StanzaScanner* self = nullptr;
  StanzaScanner scanner([&](std::string_view e) {
    seen.emplace_back(e);
    if (NameOf(e) == "success") self->Reset();
  });
  self = &scanner;
  scanner.Feed("<s:s><success>x</success><junk/>");
  scanner.Feed("<s:s><a/>");
  EXPECT_THAT(seen, ElementsAre("<s:s>", "<success>x</success>", "<s:s>", "<a/>"));
}

TEST(StanzaScanner, ReadsNamesAttributesAndText) {
  const std::string_view element =
      "<message xid='no' id='m\"1' to=\"b@c\"><x id='inner'/><body lang='de'>12 x</body></message>";
  EXPECT_EQ(NameOf(element), "message");
  EXPECT_EQ(AttributeOf(element, "id"), "m\"1");
  EXPECT_EQ(AttributeOf(element, "to"), "b@c");
  EXPECT_EQ(AttributeOf(element, "from"), "");
  EXPECT_EQ(TextOf(element, "body"), "12 x");
  EXPECT_EQ(TextOf(element, "subject"), "");
}

// RFC 7677 section 3.
TEST(ScramClient, MakesTheExampleOfRfc7677) {
  ScramKeys keys;
  ScramClient scram("user", "pencil", keys, "rOprNGfwEbeRWgbNEkqO");
  EXPECT_EQ(scram.First(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  const std::string first =
      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
  auto final = scram.Final(first);
  ASSERT_TRUE(final.ok()) << final.status();
  EXPECT_EQ(*final,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_TRUE(scram.derived());
  EXPECT_TRUE(scram.Verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").ok());
  EXPECT_FALSE(scram.Verify("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").ok());
  EXPECT_FALSE(scram.Verify("e=invalid-proof").ok());
  // The keys stay good for the same salt.
  ScramClient again("user", "forgotten", keys, "rOprNGfwEbeRWgbNEkqO");
  EXPECT_EQ(*again.Final(first), *final);
  EXPECT_FALSE(again.derived());
}

TEST(ScramClient, RefusesAForeignNonceAndNonsense) {
  ScramKeys keys;
  ScramClient scram("user", "pencil", keys, "abc");
  for (const char* bad :
       {"r=abd123,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=abc1,s=,i=4096", "r=abc1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        "r=abc1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000", "junk"}) {
    EXPECT_FALSE(scram.Final(bad).ok()) << bad;
  }
  EXPECT_FALSE(scram.Verify("v=").ok());
}

TEST(Accounts, KeepTheirKeysInAFile) {
  const std::string file =
      (std::filesystem::temp_directory_path() / ("rookery-load-test-" + std::to_string(::getpid())) / "keys")
          .string();
  {
    Accounts accounts(file, 3);
    EXPECT_EQ(accounts.seeded(), 0u);
    accounts[1].keys = DeriveScramKeys(accounts[1].password, "salt", 2);
    ASSERT_TRUE(accounts.Save().ok());
  }
  std::ofstream(file, std::ios::app) << "junk\nload99 zz 1 2 3\n";
  Accounts accounts(file, 3);
  EXPECT_EQ(accounts.seeded(), 1u);
  EXPECT_EQ(accounts[1].keys.salt, "salt");
  EXPECT_EQ(accounts[1].keys.iterations, 2u);
  EXPECT_EQ(accounts[1].keys.client_key, DeriveScramKeys(accounts[1].password, "salt", 2).client_key);
  EXPECT_EQ(SeededIn(file), 2u);
  EXPECT_EQ(SeededIn(file + ".missing"), 0u);
  std::filesystem::remove_all(std::filesystem::path(file).parent_path());
}

TEST(Latencies, GivePercentilesOfAllSamples) {
  Latencies latencies;
  EXPECT_EQ(latencies.PercentileMs(0.5), 0);
  for (int i = 100; i >= 1; --i) latencies.Add(std::chrono::milliseconds(i));
  EXPECT_EQ(latencies.PercentileMs(0.5), 50);
  EXPECT_EQ(latencies.PercentileMs(0.99), 99);
  EXPECT_EQ(latencies.MaxMs(), 100);
  latencies.Add(std::chrono::seconds(1));
  EXPECT_EQ(latencies.MaxMs(), 1000);
}

TEST(Processes, ReadsTheStatusOfTheCluster) {
  auto cluster = ParseStatus(R"({"processes": [
    {"service": "gateway", "instance": 1, "pid": 11, "listeners": {"xmpp": "127.0.0.1:5222", "xmpp-tls": "127.0.0.1:5223"}, "log": "x"},
    {"service": "gateway", "instance": 2, "pid": null, "listeners": {"xmpp": "127.0.0.1:5322"}},
    {"service": "kafka", "instance": 1, "pid": 12, "listeners": {}}],
   "domain": "example.org", "state": "/srv/cluster", "service_tls": true})");
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->domain, "example.org");
  EXPECT_EQ(cluster->state, "/srv/cluster");
  EXPECT_TRUE(cluster->service_tls);
  ASSERT_EQ(cluster->processes.size(), 2u);
  EXPECT_EQ(cluster->processes[1].service, "kafka");
  EXPECT_EQ(cluster->processes[1].pid, 12);
  ASSERT_EQ(cluster->gateways.size(), 1u);
  EXPECT_EQ(cluster->gateways[0].xmpp, "127.0.0.1:5222");
  EXPECT_EQ(cluster->gateways[0].xmpp_tls, "127.0.0.1:5223");
  EXPECT_FALSE(ParseStatus("").ok());
  EXPECT_FALSE(ParseStatus("{\"processes\": [").ok());
}

TEST(Processes, CountsCpuAndMemory) {
  const std::string stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 1 0 12345";
  EXPECT_EQ(TicksOf(stat, false), 120);
  EXPECT_EQ(TicksOf(stat, true), 127);
  EXPECT_EQ(TicksOf("", false), -1);
  Cluster self;
  self.processes.push_back({"gateway", ::getpid()});
  EXPECT_GT(AnonymousMemoryKb(self)["gateway"], 1000);
  EXPECT_TRUE(CpuSeconds(self).contains("gateway"));
  EXPECT_TRUE(CpuSeconds(self).contains("rookery-load"));
  EXPECT_TRUE(IsOurs("session-manager"));
  EXPECT_FALSE(IsOurs("kafka"));
}

/// A server that answers by the book, and nothing else.
class ClientTest : public ::testing::Test, public net::ConnectionHandler {
 protected:
  ClientTest() {
    auto listener = net::Listener::Create(io_, {.address = "127.0.0.1:0", .tls = nullptr},
                                          [this](std::unique_ptr<net::Connection> c) {
                                            connection_ = std::move(c);
                                            scanner_.Reset();
                                            connection_->Start(this);
                                          });
    listener_ = std::move(*listener);
    account_.user = "user";
    account_.password = "pencil";
  }
  void OnData(std::string_view data) override { scanner_.Feed(data); }
  void OnDrained() override {}
  void OnTlsEstablished() override {}
  void OnClosed(const absl::Status&) override { connection_.reset(); }

  void OnElement(std::string_view e) {
    received_.emplace_back(NameOf(e));
    const std::string_view name = NameOf(e);
    if (name == "stream:stream" && !e.starts_with("</")) {
      connection_->Write(
          "<?xml version='1.0'?><stream:stream "
          "xmlns='jabber:client'><stream:features><x/></stream:features>");
    } else if (name == "iq" && AttributeOf(e, "id") == "register") {
      connection_->Write("<iq type='error' id='register'><error><conflict/></error></iq>");
    } else if (name == "auth") {
      connection_->Write("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" +
                         scram_.Challenge(TextOf(e, "auth")) + "</challenge>");
    } else if (name == "response") {
      const std::optional<std::string> success = scram_.Success(TextOf(e, "response"));
      ASSERT_TRUE(success.has_value());
      connection_->Write(good_signature_ ? "<success>" + *success + "</success>" : "<success>dj1h</success>");
      scanner_.Reset();
    } else if (name == "iq" && AttributeOf(e, "id") == "bind") {
      connection_->Write("<iq type='result' id='bind'><bind><jid>user@localhost/r</jid></bind></iq>");
    } else if (name == "enable") {
      connection_->Write(
          "<enabled xmlns='urn:xmpp:sm:3' id='sm-1' resume='true'/><message><body>1</body></message><r "
          "xmlns='urn:xmpp:sm:3'/>");
    } else if (name == "resume") {
      EXPECT_EQ(AttributeOf(e, "previd"), "sm-1");
      EXPECT_EQ(AttributeOf(e, "h"), "1");
      connection_->Write("<resumed xmlns='urn:xmpp:sm:3' previd='sm-1' h='0'/>");
    } else if (name == "a") {
      acknowledged_ = std::string(AttributeOf(e, "h"));
    }
  }

  void RunUntil(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(100));
    }
  }

  asio::io_context io_{1};
  Network network_{io_, "localhost", nullptr};
  Account account_;
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<net::Connection> connection_;
  StanzaScanner scanner_{[this](std::string_view e) { OnElement(e); }};
  std::vector<std::string> received_;
  ScramServer scram_{"pencil"};
  std::string acknowledged_;
  bool good_signature_ = true;
};

TEST_F(ClientTest, RegistersSignsInBindsAcknowledgesAndResumes) {
  Client client(network_, account_, {.registers = true, .binds = true, .stream_management = true});
  bool ready = false;
  std::vector<std::string> stanzas;
  client.on_ready = [&] { ready = true; };
  client.on_stanza = [&](std::string_view stanza) { stanzas.emplace_back(stanza); };
  client.Connect(listener_->bound_address());
  RunUntil([&] { return ready && !acknowledged_.empty(); });
  EXPECT_EQ(client.jid(), "user@localhost/r");
  EXPECT_EQ(client.bare_jid(), "user@localhost");
  EXPECT_THAT(stanzas, ElementsAre("<message><body>1</body></message>"));
  EXPECT_EQ(acknowledged_, "1");
  EXPECT_EQ(account_.keys.iterations, 10u);

  client.Cut();
  RunUntil([&] { return connection_ == nullptr; });
  ready = false;
  received_.clear();
  client.Connect(listener_->bound_address(), true);
  RunUntil([&] { return ready; });
  EXPECT_EQ(received_.back(), "resume");

  bool ended = false;
  client.on_end = [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    ended = true;
  };
  client.Close();
  RunUntil([&] { return ended; });
}

TEST_F(ClientTest, AServerThatDoesNotKnowThePasswordIsRefused) {
  good_signature_ = false;
  Client client(network_, account_, {});
  absl::Status end;
  client.on_ready = [] { ADD_FAILURE(); };
  client.on_end = [&](const absl::Status& status) { end = status; };
  client.Connect(listener_->bound_address());
  RunUntil([&] { return !end.ok(); });
  EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(ClientTest, NobodyListens) {
  const std::string address = listener_->bound_address();
  listener_.reset();
  Client client(network_, account_, {});
  absl::Status end;
  client.on_end = [&](const absl::Status& status) { end = status; };
  client.Connect(address);
  EXPECT_TRUE(end.ok());
  RunUntil([&] { return !end.ok(); });
}

}  // namespace
}  // namespace rookery::load
