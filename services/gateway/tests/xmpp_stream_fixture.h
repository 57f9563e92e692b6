#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "domain/address_limiter.h"
#include "domain/scram_crypto.h"
#include "fake_cluster.h"
#include "fake_connection.h"
#include "fake_sign_in_ledger.h"
#include "protocols/xmpp/tcp_connection.h"
#include "protocols/xmpp/websocket_connection.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

inline constexpr char kHeaderText[] =
    "<?xml version='1.0'?><stream:stream to='example.com' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>";

/// An XMPP connection without network and without cluster.
class XmppStreamTest : public testing::Test {
 protected:
  XmppStreamTest()
      : metrics_("gateway_test"), xmpp_metrics_(metrics_), peers_(metrics_), limiter_(2), set_(io_) {
    settings_.domains = {"example.com", "example.org"};
    for (const auto mechanism : kSaslMechanisms) settings_.sasl.mechanisms.emplace_back(mechanism);
    settings_.sasl.fake_salt_key = "secret";
    settings_.sasl.plain_without_tls = true;
    settings_.registration = true;
    settings_.limits_before_auth.max_stanza_bytes = 10'000;
    settings_.max_unconfirmed = 4;
    settings_.max_queued_bytes = 10'000;
  }

  void Connect(TlsMode mode = TlsMode::kOptional) {
    auto made = std::make_unique<TcpConnection>(
        services(), set_, std::make_unique<FakeConnection>(socket_), mode,
        mode == TlsMode::kOff ? nullptr : std::make_shared<FakeTls>(), Admission::Ticket());
    XmppConnection* connection = made.get();
    set_.Add(std::move(made));
    connection->Start();
  }
  void ConnectWebSocket() {
    auto made = std::make_unique<WebSocketConnection>(
        services(), set_, std::make_unique<FakeConnection>(socket_), Admission::Ticket());
    XmppConnection* connection = made.get();
    set_.Add(std::move(made));
    connection->Start();
  }
  const StreamServices& services() {
    if (!account_budgets_) account_budgets_.emplace(settings_.stanza_rate);
    if (!network_budgets_) network_budgets_.emplace(settings_.network_stanza_rate);
    if (!services_)
      services_.emplace(StreamServices{cluster_, passwords_, settings_, xmpp_metrics_, limiter_, names_,
                                       guesses_, peers_, *account_budgets_, *network_budgets_});
    return *services_;
  }

  /// The bytes arrive; what was sent because of them.
  std::string Feed(std::string_view data) {
    socket_.handler->OnData(data);
    return socket_.Take();
  }

  /// Up to the features after authentication.
  void SignIn(TlsMode mode = TlsMode::kOptional) {
    Connect(mode);
    Feed(kHeaderText);
    Feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHBlbmNpbA==</auth>");
    cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
    ASSERT_TRUE(passwords_.waiting);
    passwords_.waiting(true);
    ASSERT_NE(socket_.Take().find("<success"), std::string::npos);
    features_ = Feed(kHeaderText);
    ASSERT_NE(features_.find("<bind"), std::string::npos);
  }
  void Bind() {
    SignIn();
    Feed(
        "<iq type='set' id='b'><bind "
        "xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>");
    cluster_.AnswerStart("romeo@example.com/r");
    socket_.Take();
  }
  void BindWithStreamManagement() {
    Bind();
    Feed("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
  }
  static xmpp::Stanza Message(std::string_view body = "hi") {
    xmpp::Stanza stanza = xmpp::MakeMessage("chat", "juliet@example.com/x", "romeo@example.com");
    stanza.set_payload("<body>" + std::string(body) + "</body>");
    return stanza;
  }
  bool Closed() const { return socket_.closed; }

  asio::io_context io_;
  telemetry::Metrics metrics_;
  XmppMetrics xmpp_metrics_;
  PeerLog peers_;
  AddressLimiter limiter_;
  AccountNames names_{{"admin"}, false};
  FakeSignInLedger sign_ins_;
  GuessGuard guesses_{Clock::System(), {std::chrono::minutes(10), 10, 100}, sign_ins_};
  FakeCluster cluster_;
  FakePasswords passwords_;
  XmppSettings settings_;
  std::optional<StanzaBudgets> account_budgets_;
  std::optional<StanzaBudgets> network_budgets_;
  std::optional<StreamServices> services_;
  FakeConnection::State socket_;
  std::string features_;  // after authentication
  ConnectionSet set_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
#define EXPECT_HAS_NOT(text, part) EXPECT_EQ((text).find(part), std::string::npos) << (text)

}  // namespace rookery::gateway
