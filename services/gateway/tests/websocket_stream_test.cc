#include <map>

#include "client_certificate.h"
#include "domain/base64.h"
#include "protocols/xmpp/host_meta.h"
#include "xmpp_stream_fixture.h"

namespace rookery::gateway {
namespace {

/// A client's frame (RFC 6455 section 5.2), masked with zeros.
std::string Frame(std::string_view text, unsigned char opcode = 1) {
  std::string frame(1, static_cast<char>(0x80 | opcode));
  if (text.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | text.size()));
  } else {
    frame.push_back(static_cast<char>(0x80 | 126));
    frame.push_back(static_cast<char>(text.size() >> 8));
    frame.push_back(static_cast<char>(text.size() & 0xff));
  }
  frame.append(4, '\0');
  return frame.append(text);
}

constexpr char kUpgrade[] =
    "GET /xmpp-websocket HTTP/1.1\r\nHost: example.com:5280\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: "
    "xmpp\r\n\r\n";
constexpr char kOpen[] = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.com' version='1.0'/>";

/// As a browser asks on behalf of a page.
std::string UpgradeFrom(std::string_view origin) {
  std::string request = kUpgrade;
  return request.insert(request.size() - 2, "Origin: " + std::string(origin) + "\r\n");
}

class WebSocketStream : public XmppStreamTest {
 protected:
  void SignInOnly() {
    ConnectWebSocket();
    Feed(kUpgrade);
    Feed(Frame(kOpen));
    Feed(Frame(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHBlbmNpbA==</auth>"));
    cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
    passwords_.waiting(true);
    Feed(Frame(kOpen));
  }
  void SignInAndBind() {
    SignInOnly();
    Feed(
        Frame("<iq xmlns='jabber:client' type='set' id='b'><bind "
              "xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"));
    cluster_.AnswerStart("romeo@example.com/r");
    socket_.Take();
  }
};

TEST_F(WebSocketStream, Rfc7395_3_1_EchoesTheSubprotocol) {
  ConnectWebSocket();
  const std::string out = Feed(kUpgrade);
  EXPECT_HAS(out, "HTTP/1.1 101");
  EXPECT_HAS(out, "Sec-WebSocket-Protocol: xmpp");
  EXPECT_HAS(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_F(WebSocketStream, Rfc7395_3_1_WithoutTheSubprotocolThereIsNone) {
  ConnectWebSocket();
  std::string request = kUpgrade;
  request.replace(request.find("Protocol: xmpp"), 14, "Protocol: chat");
  EXPECT_HAS(Feed(request), "HTTP/1.1 400");
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, Rfc7395_3_3_SignsInWithOneElementPerMessage) {
  ConnectWebSocket();
  Feed(kUpgrade);
  std::string out = Feed(Frame(kOpen));
  EXPECT_HAS(out, "<open xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" from=\"example.com\"");
  EXPECT_HAS(out, "<stream:features xmlns:stream=\"http://etherx.jabber.org/streams\">");
  EXPECT_HAS_NOT(out, "starttls");
  Feed(Frame("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHBlbmNpbA==</auth>") +
       Frame(kOpen));
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  passwords_.waiting(true);
  out = socket_.Take();
  EXPECT_HAS(out, "<success");
  EXPECT_HAS(out, "<bind");
  Feed(Frame("<iq xmlns='jabber:client' type='set' id='b'><bind "
             "xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>") +
       Frame("<message xmlns='jabber:client' to='juliet@example.com'/>"));
  cluster_.AnswerStart("romeo@example.com/r");
  EXPECT_HAS(socket_.Take(), "<iq xmlns=\"jabber:client\"");
  EXPECT_EQ(cluster_.sent.size(), 1u);
  cluster_.Packet(Message());
  EXPECT_HAS(socket_.Take(), "<message xmlns=\"jabber:client\"");
  cluster_.Confirm(1);

  out = Feed(Frame("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"));
  EXPECT_HAS(out, "<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\"/>");
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, Xep0440_ThereIsNothingToBindToAlsoOverTls) {
  socket_.tls = true;
  socket_.exporter = std::string(32, 'e');
  socket_.end_point = std::string(32, 's');
  ConnectWebSocket();
  Feed(kUpgrade);
  std::string out = Feed(Frame(kOpen));
  EXPECT_HAS(out, "<mechanism>SCRAM-SHA-256</mechanism>");
  EXPECT_HAS_NOT(out, "-PLUS");
  EXPECT_HAS_NOT(out, "channel-binding");
  const auto auth = [](std::string_view mechanism, std::string_view first) {
    return Frame("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='" + std::string(mechanism) +
                 "'>" + EncodeBase64(first) + "</auth>");
  };
  EXPECT_HAS(Feed(auth("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=romeo,r=abc")), "<invalid-mechanism/>");
  // RFC 5802 section 6: the client could bind and saw no -PLUS, as it is.
  Feed(auth("SCRAM-SHA-256", "y,,n=romeo,r=abc"));
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  EXPECT_HAS(socket_.Take(), "<challenge");
}

TEST_F(WebSocketStream, Xep0440_ChannelBindingCanBeSwitchedOn) {
  settings_.websocket_channel_binding = true;
  for (const bool tls : {true, false}) {
    socket_ = {};
    socket_.tls = tls;
    if (tls) socket_.exporter = std::string(32, 'e');
    if (tls) socket_.end_point = std::string(32, 's');
    ConnectWebSocket();
    Feed(kUpgrade);
    const std::string out = Feed(Frame(kOpen));
    EXPECT_EQ(out.find("<mechanism>SCRAM-SHA-256-PLUS</mechanism>") != std::string::npos, tls) << out;
    EXPECT_EQ(out.find("<channel-binding type=\"tls-exporter\"/>") != std::string::npos, tls) << out;
  }
}

TEST_F(WebSocketStream, Rfc6455_5_5_2_WhoDoesNotAnswerAPingIsGone) {
  SignInAndBind();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  connection->OnTick(now + std::chrono::seconds(302));
  EXPECT_EQ(socket_.Take(), std::string("\x89\x00", 2));
  connection->OnTick(now + std::chrono::seconds(360));
  EXPECT_FALSE(Closed());
  connection->OnTick(now + std::chrono::seconds(363));
  EXPECT_HAS(socket_.Take(), "<connection-timeout");
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(WebSocketStream, Rfc7395_3_3_EachMessageIsOneWholeElement) {
  for (const auto& [message, condition] : std::map<std::string, std::string>{
           {"<message xmlns='jabber:client'/><message xmlns='jabber:client'/>", "not-well-formed"},
           {"<message xmlns='jabber:client'>", "not-well-formed"},
           {"text", "not-well-formed"},
           {"", "not-well-formed"},
           {" ", "not-well-formed"},
           {"<?xml version='1.0' encoding='latin1'?><message xmlns='jabber:client'/>",
            "unsupported-encoding"},
           {"<!DOCTYPE a><message xmlns='jabber:client'/>", "restricted-xml"},
           {"<message xmlns='jabber:client'/><!-- -->", "restricted-xml"},
           {"<message/>", "unsupported-stanza-type"},  // of no namespace
           {"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.com' version='1.0'/>",
            "bad-format"}}) {
    socket_ = {};
    SignInAndBind();
    const std::string out = Feed(Frame(message));
    EXPECT_HAS(out, "<stream:error xmlns:stream=\"http://etherx.jabber.org/streams\"><" + condition + " ");
    EXPECT_HAS(out, "<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\"/>");
    EXPECT_HAS(out, std::string("\x88\x02\x03\xe8", 4));
    EXPECT_TRUE(Closed());
  }
  // A declaration is no fault.
  socket_ = {};
  SignInAndBind();
  EXPECT_EQ(Feed(Frame("<?xml version='1.0' encoding='UTF-8'?><message xmlns='jabber:client'/>")), "");
  EXPECT_EQ(cluster_.sent.size(), 1u);
}

TEST_F(WebSocketStream, Rfc7395_3_4_NothingIsAnsweredBeforeOpen_ButWithTheEndOfTheStream) {
  const std::string long_id(2000, 'i');
  for (const std::string& first :
       {std::string("<enable xmlns='urn:xmpp:sm:3'/>"), std::string("<r xmlns='urn:xmpp:sm:3'/>"),
        "<iq xmlns='jabber:client' type='get' id='" + long_id + "'><ping xmlns='urn:xmpp:ping'/></iq>"}) {
    socket_ = {};
    ConnectWebSocket();
    Feed(kUpgrade);
    const std::string out = Feed(Frame(first));
    EXPECT_HAS_NOT(out, "<failed");
    EXPECT_HAS_NOT(out, "<iq");
    EXPECT_LT(out.find("<open"), out.find("<stream:error"));
    EXPECT_HAS(out, "<close");
    EXPECT_TRUE(Closed());
  }
}

TEST_F(WebSocketStream, Rfc7395_3_4_AfterSignInNothingIsAnsweredBeforeTheNextOpen) {
  ConnectWebSocket();
  Feed(kUpgrade);
  Feed(Frame(kOpen));
  Feed(Frame("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHBlbmNpbA==</auth>"));
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  passwords_.waiting(true);
  socket_.Take();
  const std::string out = Feed(Frame("<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>"));
  EXPECT_HAS_NOT(out, "<failed");
  EXPECT_HAS(out, "<open");
  EXPECT_HAS(out, "<stream:error");
}

TEST_F(WebSocketStream, Rfc7395_3_3_2_OpenMustSayWhereToAndWhichVersion) {
  for (const auto& [attributes, condition] :
       std::map<std::string, std::string>{{"version='1.0'", "improper-addressing"},
                                          {"to='example.net' version='1.0'", "host-unknown"},
                                          {"to='example.com'", "unsupported-version"}}) {
    socket_ = {};
    ConnectWebSocket();
    Feed(kUpgrade);
    const std::string out =
        Feed(Frame("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' " + attributes + "/>"));
    EXPECT_LT(out.find("<open "), out.find("<" + condition + " ")) << out;
    EXPECT_TRUE(Closed());
  }
}

TEST_F(WebSocketStream, AMessageInTooManyPiecesEndsTheConnection) {
  SignInAndBind();
  std::string pieces = Frame("<message xmlns='jabber:client'>").replace(0, 1, "\x01");
  for (std::size_t i = 0; i < net::WebSocketFramer::kMaxFragments; ++i)
    pieces += Frame("", 0).replace(0, 1, 1, '\0');
  EXPECT_HAS(Feed(pieces), std::string("\x88\x02\x03\xf0", 4));  // 1008
  EXPECT_TRUE(Closed());
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(WebSocketStream, PingsThatAreNotReadAreNotAnsweredForEver) {
  SignInAndBind();
  EXPECT_EQ(Feed(Frame("p", 9)), std::string("\x8a\x01p", 3));
  socket_.queued = settings_.max_queued_bytes + 1;
  EXPECT_HAS(Feed(Frame("p", 9)), "<resource-constraint");
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, EachPingCounts_WithASessionAndWithout) {
  settings_.stanza_rate = 10;
  std::string pings;
  for (int i = 0; i < 50; ++i) pings += Frame("p", 9);
  for (const bool bound : {false, true}) {
    socket_ = {};
    if (bound) {
      SignInAndBind();
    } else {
      SignInOnly();
    }
    int reads = 0;
    for (; reads < 100 && !socket_.paused; ++reads) Feed(pings);
    EXPECT_TRUE(socket_.paused);
    EXPECT_LE(reads, 3);
    static_cast<ClientConnection*>(socket_.handler)
        ->OnTick(Clock::System().Now() + std::chrono::seconds(bound ? 60 : 30));
    EXPECT_FALSE(socket_.paused);
    static_cast<net::ConnectionHandler*>(socket_.handler)->OnClosed(absl::OkStatus());
  }
}

TEST_F(WebSocketStream, OnePingInAReadCountsOnce) {
  settings_.stanza_rate = 2;
  SignInAndBind();
  int reads = 0;
  for (; reads < 50 && !socket_.paused; ++reads) Feed(Frame("p", 9));
  EXPECT_GE(reads, 16);
  EXPECT_TRUE(socket_.paused);
}

TEST_F(WebSocketStream, Rfc6455_4_4_AnotherVersionIsToldOurs) {
  ConnectWebSocket();
  std::string request = kUpgrade;
  request.replace(request.find("Version: 13"), 11, "Version: 8");
  const std::string out = Feed(request);
  EXPECT_HAS(out, "HTTP/1.1 426 ");
  EXPECT_HAS(out, "Sec-WebSocket-Version: 13\r\n");
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, BeforeAuthenticationALongMessageIsRefusedByItsFirstByte) {
  ConnectWebSocket();
  Feed(kUpgrade);
  Feed(Frame(kOpen));
  EXPECT_HAS(Feed(Frame(std::string(10'001, ' ')).substr(0, 9)), std::string("\x88\x02\x03\xf1"));  // 1009
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, AfterAuthenticationTheLongerLimitHolds) {
  SignInAndBind();
  Feed(Frame("<message xmlns='jabber:client' to='juliet@example.com'><body>" + std::string(20'000, 'x') +
             "</body></message>"));
  EXPECT_EQ(cluster_.sent.size(), 1u);
  EXPECT_FALSE(Closed());
}

TEST_F(WebSocketStream, Rfc7395_3_6_1_AWebSocketCloseAloneIsALostConnection) {
  ConnectWebSocket();
  Feed(kUpgrade);
  Feed(Frame(kOpen));
  Feed(Frame("\x03\xe8", 8));
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, Rfc7395_3_2_BinaryMessagesAreNoXml) {
  ConnectWebSocket();
  Feed(kUpgrade);
  EXPECT_HAS(Feed(Frame(kOpen, 2)), "<bad-format");
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, Rfc7395_3_4_AStreamHeaderIsNoOpen) {
  ConnectWebSocket();
  Feed(kUpgrade);
  Feed(
      Frame("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            "to='example.com' version='1.0'/>"));
  EXPECT_TRUE(Closed());
}

TEST_F(WebSocketStream, Xep0156_HostMeta_AsConfigured_WhateverTheRequestSays) {
  settings_.websocket_url = "wss://ws.example.com/xmpp-websocket";
  ConnectWebSocket();
  std::string out = Feed("GET /.well-known/host-meta HTTP/1.1\r\nHost: evil.example.net\r\n\r\n");
  EXPECT_HAS(out, "200");
  EXPECT_HAS(out, "Access-Control-Allow-Origin: *");
  EXPECT_HAS(out, "Cache-Control: public, max-age=600");
  EXPECT_HAS(out, "href=\"wss://ws.example.com/xmpp-websocket\"");
  EXPECT_HAS_NOT(out, "evil.example.net");
  EXPECT_TRUE(Closed());
  socket_ = {};
  ConnectWebSocket();
  out = Feed("GET /.well-known/host-meta.json HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_HAS(out, "application/json");
  EXPECT_HAS(
      out, "\"rel\":\"urn:xmpp:alt-connections:websocket\",\"href\":\"wss://ws.example.com/xmpp-websocket\"");
}

TEST_F(WebSocketStream, Xep0156_HostMeta_NothingConfigured_IsNotThere) {
  for (const std::string path : {"/.well-known/host-meta", "/.well-known/host-meta.json"}) {
    socket_ = {};
    ConnectWebSocket();
    EXPECT_HAS(Feed("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"), " 404 ");
  }
}

TEST_F(WebSocketStream, Rfc6455_10_2_OnlyPagesOfTheDomainsMayConnect_WhereNothingElseIsConfigured) {
  settings_.web_origins = WebOrigins({}, settings_.domains);
  for (const std::string origin : {"https://example.com", "http://example.org:8080"}) {
    socket_ = {};
    ConnectWebSocket();
    EXPECT_HAS(Feed(UpgradeFrom(origin)), " 101 ");
  }
  for (const std::string origin :
       {"https://evil.example.net", "https://example.com.evil.net", "null", "", "https://chat.example.com",
        "https://example.com/path", "https://evil@example.com", "file://", "example.com"}) {
    socket_ = {};
    ConnectWebSocket();
    EXPECT_HAS(Feed(UpgradeFrom(origin)), " 403 ") << origin;
    EXPECT_TRUE(Closed());
  }
}

TEST_F(WebSocketStream, Rfc6455_10_2_ConfiguredPagesMayConnect_AndOthersNot) {
  settings_.web_origins = WebOrigins({"https://chat.example.net"}, settings_.domains);
  ConnectWebSocket();
  EXPECT_HAS(Feed(UpgradeFrom("https://chat.example.net")), " 101 ");
  socket_ = {};
  ConnectWebSocket();
  EXPECT_HAS(Feed(UpgradeFrom("https://example.com")), " 403 ");
  settings_.web_origins = WebOrigins({"*"}, settings_.domains);
  socket_ = {};
  ConnectWebSocket();
  EXPECT_HAS(Feed(UpgradeFrom("null")), " 101 ");
}

TEST_F(WebSocketStream, ABrowserIsNotSignedInByItsUsersCertificate) {
  settings_.web_origins = WebOrigins({}, settings_.domains);
  for (const bool is_browser : {false, true}) {
    socket_ = {};
    socket_.tls = true;
    socket_.certificate = ClientCertificate().Xmpp("romeo@example.com").Der();
    ConnectWebSocket();
    Feed(is_browser ? UpgradeFrom("https://example.com") : kUpgrade);
    const std::string out = Feed(Frame(kOpen));
    EXPECT_EQ(out.find("EXTERNAL") == std::string::npos, is_browser) << out;
    // Nor where its page asks for what was not offered.
    const std::string answer =
        Feed(Frame("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"));
    EXPECT_EQ(answer.find("<invalid-mechanism/>") != std::string::npos, is_browser) << answer;
  }
}

TEST_F(WebSocketStream, AnythingElseIsNotThere) {
  for (const auto& [request, status] : std::map<std::string, std::string>{
           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", " 404 "},
           {"POST /xmpp-websocket HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", " 405 "},
           {"GET /xmpp-websocket HTTP/1.1\r\nHost: x\r\n\r\n", " 400 "},
           {"garbage\r\n\r\n", " 400 "}}) {
    socket_ = {};
    ConnectWebSocket();
    EXPECT_HAS(Feed(request), status);
    EXPECT_TRUE(Closed());
  }
}

/// Nobody has signed in yet who speaks HTTP.
class HttpBounds : public WebSocketStream {
 protected:
  /// Connects and sends pieces until the connection is closed. What was answered.
  std::string Flood(std::string_view beginning, std::string_view piece) {
    socket_ = {};
    ConnectWebSocket();
    std::string out = Feed(beginning);
    for (sent_ = beginning.size(); !Closed() && sent_ < 1'000'000; sent_ += piece.size()) out += Feed(piece);
    EXPECT_TRUE(Closed());
    return out;
  }
  /// Bytes of the last flood.
  std::size_t sent_ = 0;
};

TEST_F(HttpBounds, AHeaderWithoutEndEndsTheConnection_HoweverManyFieldsItHas) {
  for (const std::string& piece : {std::string("a: b\r\n"), std::string(1'000, 'x')}) {
    EXPECT_HAS(Flood("GET /xmpp-websocket HTTP/1.1\r\nX: x\r\n", piece), "HTTP/1.1 400 ");
    EXPECT_LE(sent_, 8'192 + piece.size());
    // Its end comes too late.
    EXPECT_EQ(Feed("\r\n\r\n" + std::string(kUpgrade)), "");
  }
  // A line of a request that does not end, either.
  EXPECT_HAS(Flood("GET /", std::string(1'000, 'x')), "HTTP/1.1 400 ");
  EXPECT_LE(sent_, 9'192u);
}

TEST_F(HttpBounds, AnUpgradeHasThatManyBytesToo) {
  for (const std::size_t bytes : {8'192u, 8'193u}) {
    socket_ = {};
    ConnectWebSocket();
    std::string request = kUpgrade;
    request.insert(request.size() - 2, "X: " + std::string(bytes - request.size() - 5, 'x') + "\r\n");
    ASSERT_EQ(request.size(), bytes);
    EXPECT_HAS(Feed(request), bytes == 8'192u ? "HTTP/1.1 101 " : "HTTP/1.1 400 ");
    EXPECT_EQ(Closed(), bytes != 8'192u);
  }
}

TEST_F(HttpBounds, ABodyIsBounded) {
  // Refused before it comes.
  EXPECT_HAS(Flood("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", "x"), "HTTP/1.1 400 ");
  EXPECT_LT(sent_, 100u);
  // And as it comes, in chunks of one byte, or as the trailer of none.
  const std::string chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  Flood(chunked, "1\r\nx\r\n");
  EXPECT_LT(sent_, 20 * settings_.limits_before_auth.max_stanza_bytes);
  Flood(chunked + "0\r\n", "a: b\r\n");
  EXPECT_LT(sent_, 20 * settings_.limits_before_auth.max_stanza_bytes);
}

TEST_F(WebSocketStream, AUrlCannotBreakOutOfTheDocument) {
  EXPECT_HAS(HostMetaXml("ws://\"><x/>"), "&quot;&gt;&lt;x/&gt;");
  EXPECT_HAS(HostMetaJson("ws://\"}\n"), "ws://\\\"}\"");
}

}  // namespace
}  // namespace rookery::gateway
