#include <algorithm>
#include <map>
#include <vector>

#include "client_certificate.h"
#include "domain/base64.h"
#include "protocols/xmpp/sm_id.h"
#include "xmpp_stream_fixture.h"

namespace rookery::gateway {
namespace {

class StreamNegotiation : public XmppStreamTest {};

constexpr char kPlain[] =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHBlbmNpbA==</auth>";

std::string Header(std::string_view attributes) {
  return "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' " +
         std::string(attributes) + ">";
}

TEST_F(StreamNegotiation, Rfc6120_4_7_ResponseHeader) {
  Connect();
  const std::string out =
      Feed(Header("to='Example.COM.' from='romeo@example.com' version='1.0' xml:lang='de'"));
  EXPECT_HAS(out, "<?xml version=\"1.0\"?><stream:stream xmlns=\"jabber:client\"");
  EXPECT_HAS(out, "from=\"example.com\"");
  EXPECT_HAS(out, "to=\"romeo@example.com\"");
  EXPECT_HAS(out, "version=\"1.0\"");
  EXPECT_HAS(out, "xml:lang=\"en\"");
  EXPECT_HAS(out, " id=\"");
}

TEST_F(StreamNegotiation, Rfc6120_4_9_3_6_HostUnknownAfterOurOwnHeader) {
  for (const auto& [attributes, condition] :
       std::map<std::string, std::string>{{"to='example.net' version='1.0'", "host-unknown"},
                                          {"to='xn--bcher-kva.example' version='1.0'", "host-unknown"},
                                          // Section 4.9.3.7: no address at all.
                                          {"version='1.0'", "improper-addressing"},
                                          {"to='' version='1.0'", "improper-addressing"},
                                          {"to='a b' version='1.0'", "improper-addressing"},
                                          {"to='romeo@example.com' version='1.0'", "improper-addressing"}}) {
    socket_ = {};
    Connect();
    const std::string out = Feed(Header(attributes));
    EXPECT_HAS(out, "from=\"example.com\"");
    EXPECT_LT(out.find("<stream:stream"), out.find("<stream:error><" + condition)) << out;
    EXPECT_HAS(out,
               condition + " xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/></stream:error></stream:stream>");
    EXPECT_TRUE(Closed());
  }
}

std::string IdOf(const std::string& header) {
  const auto begin = header.find(" id=\"") + 5;
  return header.substr(begin, header.find('"', begin) - begin);
}

TEST_F(StreamNegotiation, Rfc6120_4_7_3_EachStreamHasAnIdOfItsOwn) {
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    socket_ = {};
    Connect();
    ids.push_back(IdOf(Feed(kHeaderText)));
    Feed(kPlain);
    cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
    passwords_.waiting(true);
    socket_.Take();
    ids.push_back(IdOf(Feed(kHeaderText)));
  }
  for (const auto& id : ids) {
    EXPECT_GE(id.size(), 16u);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), id), 1);
  }
}

TEST_F(StreamNegotiation, Rfc6120_4_7_1_OurToIsTheBareAddressThatTheClientGave) {
  for (const auto& [from, to] :
       std::map<std::string, std::string>{{"from='Romeo@example.com/x'", "to=\"romeo@example.com\""},
                                          {"from='a b'", ""},
                                          {"from=''", ""},
                                          {"", ""}}) {
    socket_ = {};
    Connect();
    const std::string out = Feed(Header("to='example.com' version='1.0' " + from));
    EXPECT_HAS(out, "<stream:features>");
    if (to.empty()) {
      EXPECT_HAS_NOT(out, " to=");
    } else {
      EXPECT_HAS(out, to);
    }
  }
}

TEST_F(StreamNegotiation, Rfc6120_4_9_3_WhatXmlCanBeWrongWith) {
  for (const auto& [xml, condition] : std::map<std::string, std::string>{
           {"<message></presence>", "not-well-formed"},
           {"<message a='1' a='2'/>", "not-well-formed"},
           {"<message>\xff</message>", "not-well-formed"},
           {"<message>&amp</message>", "not-well-formed"},
           {"<!-- comment -->", "restricted-xml"},
           {"<?pi?>", "restricted-xml"},
           {"<message>&unknown;</message>", "restricted-xml"},
           {"<x:message/>", "bad-namespace-prefix"},
           {"<message x:a=''/>", "bad-namespace-prefix"},
           {"text", "bad-format"},
           {"<message><body>" + std::string(10'001, 'x'), "policy-violation"}}) {
    socket_ = {};
    Connect();
    Feed(kHeaderText);
    const std::string out = Feed(xml);
    EXPECT_HAS(out, "<stream:error><" + condition + " ");
    EXPECT_HAS(out, "</stream:error></stream:stream>");
    EXPECT_TRUE(Closed());
  }
  for (const auto& [xml, condition] : std::map<std::string, std::string>{
           {"<?xml version='1.0' encoding='iso-8859-1'?><a/>", "unsupported-encoding"},
           {"\xfe\xff", "unsupported-encoding"},
           {"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "restricted-xml"},
           {"hello", "not-well-formed"},
           {"<a:stream/>", "bad-namespace-prefix"}}) {
    socket_ = {};
    Connect();
    const std::string out = Feed(xml);
    EXPECT_LT(out.find("<stream:stream"), out.find("<stream:error><" + condition + " ")) << out;
  }
}

TEST_F(StreamNegotiation, Rfc6120_4_9_3_24_ElementsThatNobodyKnowsAtEachStage) {
  constexpr char kUnknown[] = "<foo xmlns='urn:example'/>";
  Connect();
  Feed(kHeaderText);
  EXPECT_HAS(Feed(kUnknown), "<unsupported-stanza-type");
  socket_ = {};
  SignIn();
  EXPECT_HAS(Feed(kUnknown), "<unsupported-stanza-type");
  socket_ = {};
  SignIn();  // SASL and TLS are over
  EXPECT_HAS(Feed(kPlain), "<unsupported-stanza-type");
  socket_ = {};
  SignIn();
  EXPECT_HAS(Feed("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "<unsupported-stanza-type");
  socket_ = {};
  Bind();  // a stanza of another namespace is none (section 4.8.3)
  EXPECT_HAS(Feed("<message xmlns='jabber:server'/>"), "<unsupported-stanza-type");
}

TEST_F(StreamNegotiation, Rfc6120_4_2_AfterSuccessTheClientMustOpenANewStream) {
  Connect();
  Feed(kHeaderText);
  Feed(kPlain);
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  passwords_.waiting(true);
  socket_.Take();
  const std::string out = Feed("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  EXPECT_HAS(out, "<stream:error><invalid-namespace");
  EXPECT_FALSE(cluster_.start);
}

TEST_F(StreamNegotiation, Rfc6120_4_9_3_10_InvalidNamespace) {
  Connect();
  EXPECT_HAS(Feed("<stream:stream xmlns='jabber:client' xmlns:stream='http://example.com/' to='example.com' "
                  "version='1.0'>"),
             "<invalid-namespace");
  socket_ = {};
  Connect();
  EXPECT_HAS(Feed("<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
                  "to='example.com' version='1.0'>"),
             "<invalid-namespace");
}

TEST_F(StreamNegotiation, Rfc6120_4_9_3_25_UnsupportedVersion) {
  for (const char* version : {"", "version='0.9'", "version='x'", "version='1'"}) {
    socket_ = {};
    Connect();
    EXPECT_HAS(Feed(Header(std::string("to='example.com' ") + version)), "<unsupported-version");
  }
  socket_ = {};
  Connect();
  EXPECT_HAS(Feed(Header("to='example.com' version='2.13'")), "<stream:features>");
}

TEST_F(StreamNegotiation, Rfc6120_4_9_1_2_AnErrorBeforeAnyHeaderComesWithOurs) {
  Connect();
  const std::string out = Feed("<!DOCTYPE x><stream:stream>");
  EXPECT_LT(out.find("<stream:stream"), out.find("<stream:error>"));
  EXPECT_HAS(out, "<restricted-xml");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, Rfc6120_5_3_1_RequiredTlsIsAllThatIsOffered) {
  Connect(TlsMode::kRequired);
  const std::string out = Feed(kHeaderText);
  EXPECT_HAS(out,
             "<stream:features><starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"><required/></starttls>"
             "</stream:features>");
  EXPECT_HAS(Feed(kPlain), "<encryption-required/>");
  EXPECT_HAS(Feed("<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>"), "<not-authorized");
}

TEST_F(StreamNegotiation, Rfc6120_5_4_StartTls) {
  Connect(TlsMode::kRequired);
  Feed(kHeaderText);
  EXPECT_EQ(Feed("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\n"),
            "<proceed xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/>");
  EXPECT_TRUE(socket_.start_tls);
  EXPECT_FALSE(socket_.paused);
  socket_.tls = true;
  socket_.end_point = std::string(32, 's');
  socket_.handler->OnTlsEstablished();
  const std::string out = Feed(kHeaderText);
  EXPECT_HAS_NOT(out, "starttls");
  EXPECT_HAS(out, "<mechanism>SCRAM-SHA-256-PLUS</mechanism>");
  EXPECT_HAS(out, "<channel-binding type=\"tls-server-end-point\"/>");
  EXPECT_HAS_NOT(out, "tls-exporter");
}

TEST_F(StreamNegotiation, Rfc6120_5_4_3_3_WhatStandsBehindStartTlsIsRefused) {
  Connect();
  Feed(kHeaderText);
  const std::string out = Feed(std::string("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") + kPlain);
  EXPECT_HAS(out, "<failure xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/></stream:stream>");
  EXPECT_FALSE(socket_.start_tls);
  EXPECT_TRUE(Closed());
  EXPECT_FALSE(cluster_.lookup);
}

TEST_F(StreamNegotiation, Rfc6120_5_4_2_2_NoStartTlsWhereThereIsNone) {
  Connect(TlsMode::kOff);
  EXPECT_HAS_NOT(Feed(kHeaderText), "starttls");
  EXPECT_HAS(Feed("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "<failure");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, Xep0478_LimitsAreAnnouncedAndKept) {
  Connect();
  EXPECT_HAS(Feed(kHeaderText), "<limits xmlns=\"urn:xmpp:stream-limits:0\"><max-bytes>10000</max-bytes>");
  EXPECT_HAS(Feed("<message><body>" + std::string(20'000, 'x')), "<policy-violation");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, Xep0478_AfterAuthenticationTheyAreOthers) {
  Bind();
  EXPECT_EQ(Feed("<message><body>" + std::string(20'000, 'x') + "</body></message>"), "");
  EXPECT_EQ(cluster_.sent.size(), 1u);
}

TEST_F(StreamNegotiation, Rfc6120_6_4_WholeExchange) {
  SignIn();
  EXPECT_EQ(cluster_.asked_user, "romeo@example.com");
}

TEST_F(StreamNegotiation, Rfc6120_6_4_NothingIsReadWhileCredentialsAreLookedUp) {
  Connect();
  Feed(kHeaderText);
  Feed(std::string(kPlain) + "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
  EXPECT_TRUE(socket_.paused);
  cluster_.AnswerLookup({});
  EXPECT_EQ(socket_.Take(), "");
  passwords_.waiting(false);
  const std::string out = socket_.Take();
  EXPECT_LT(out.find("<not-authorized/>"), out.find("<aborted/>"));
  EXPECT_HAS(out, "<aborted/>");
  EXPECT_FALSE(socket_.paused);
}

TEST_F(StreamNegotiation, Rfc6120_6_4_WhoBeginsAnewInAnExchangeUsesUpHisTries) {
  Connect();
  Feed(kHeaderText);
  constexpr char kScram[] = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'/>";
  std::string out;
  for (int i = 0; i < 9; ++i) out += Feed(kScram);
  EXPECT_HAS(out, "<malformed-request/>");
  EXPECT_FALSE(Closed());
  EXPECT_HAS(Feed(kScram), "<policy-violation");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, Xep0178_2_ACertificateOfAUserHereSignsIn) {
  constexpr char kExternal[] = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
  socket_.tls = true;
  socket_.certificate = ClientCertificate().Xmpp("Romeo@example.com").Xmpp("romeo@example.org").Der();
  Connect();
  EXPECT_HAS(Feed(kHeaderText),
             "<mechanisms xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"><mechanism>EXTERNAL<");
  Feed(kExternal);
  EXPECT_EQ(cluster_.asked_user, "romeo@example.com");
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  EXPECT_EQ(socket_.Take(), "<success xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>");
}

TEST_F(StreamNegotiation, Rfc6120_6_3_4_ExternalIsNotOfferedToOthers) {
  constexpr char kExternal[] = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
  for (const std::string& certificate :
       {std::string(), ClientCertificate().Xmpp("romeo@example.net").Der(), ClientCertificate("romeo").Der(),
        ClientCertificate().Ia5(GEN_EMAIL, "romeo@example.com").Der()}) {
    socket_ = {};
    socket_.tls = true;
    socket_.certificate = certificate;
    Connect();
    EXPECT_HAS_NOT(Feed(kHeaderText), "EXTERNAL");
    EXPECT_HAS(Feed(kExternal), "<invalid-mechanism/>");
  }
  settings_.certificate_identity = CertificateIdentity::kCommonName;
  socket_.certificate = ClientCertificate("romeo").Der();
  Connect();
  EXPECT_HAS(Feed(kHeaderText), "EXTERNAL");
}

TEST_F(StreamNegotiation, WhoAsksForMoreThanHeReadsIsClosed) {
  Connect();
  Feed(kHeaderText);
  constexpr char kForm[] = "<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>";
  socket_.queued = settings_.max_queued_bytes;
  EXPECT_HAS(Feed(kForm), "<username/>");
  socket_.queued = settings_.max_queued_bytes + 1;
  const std::string out = Feed(kForm);
  EXPECT_HAS_NOT(out, "<username/>");
  EXPECT_HAS(out, "<stream:error><resource-constraint");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, WhoIsNotSignedInAndReadsNothingHasLittleKeptForHim) {
  settings_.max_queued_bytes = 1 << 20;
  Connect();
  Feed(kHeaderText);
  socket_.takes_nothing = true;
  std::string forms;
  for (int i = 0; i < 2'000; ++i) forms += "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>";
  EXPECT_HAS(Feed(forms), "<stream:error><resource-constraint");
  EXPECT_TRUE(Closed());
  EXPECT_LE(socket_.queued, 5 * settings_.limits_before_auth.max_stanza_bytes);
}

TEST_F(StreamNegotiation, WhoFillsInAFormAndTakesNothingIsClosed) {
  Connect();
  Feed(kHeaderText);
  socket_.takes_nothing = true;
  EXPECT_HAS(Feed("<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"), "<username/>");
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  connection->OnTick(now);
  connection->OnTick(now + settings_.write_timeout - std::chrono::seconds(1));
  EXPECT_FALSE(Closed());
  connection->OnTick(now + settings_.write_timeout + std::chrono::seconds(1));
  EXPECT_HAS(socket_.Take(), "<connection-timeout");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, AClientIsReadAtItsRate_BeforeAndAfterItHasSignedIn) {
  settings_.read_rate = 4321;
  Connect();
  EXPECT_EQ(std::exchange(socket_.read_rate, 0), 4321u);
  SignIn();
  EXPECT_EQ(socket_.read_rate, 4321u);
}

TEST_F(StreamNegotiation, Rfc6120_6_5_Failures) {
  const auto failure = [&](const std::string& element) {
    socket_ = {};
    Connect();
    Feed(kHeaderText);
    return Feed(element);
  };
  const std::string ns = " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
  EXPECT_HAS(failure("<auth" + ns + " mechanism='SCRAM-SHA-256'>bixs !</auth>"), "<incorrect-encoding/>");
  EXPECT_HAS(failure("<auth" + ns + " mechanism='NONE'/>"), "<invalid-mechanism/>");
  EXPECT_HAS(failure("<auth" + ns + " mechanism='SCRAM-SHA-256'>=</auth>"), "<malformed-request/>");
  EXPECT_HAS(failure("<response" + ns + "/>"), "<malformed-request/>");
  EXPECT_HAS(failure("<abort" + ns + "/>"), "<aborted/>");
  EXPECT_HAS(failure("<auth" + ns + " mechanism='SCRAM-SHA-256'/>"), "<challenge");
  EXPECT_HAS(failure("<other" + ns + "/>"), "<unsupported-stanza-type");
}

TEST_F(StreamNegotiation, Rfc6120_6_5_10_TheAccountStoreIsAway) {
  Connect();
  Feed(kHeaderText);
  for (int i = 0; i < 8; ++i) {
    Feed(kPlain);
    cluster_.FailLookup();
    EXPECT_HAS(socket_.Take(), "<temporary-auth-failure/>");
  }
  EXPECT_FALSE(Closed());
  passwords_.full = true;
  Feed(kPlain);
  cluster_.AnswerLookup({});
  EXPECT_HAS(socket_.Take(), "<temporary-auth-failure/>");
}

TEST_F(StreamNegotiation, Rfc6120_6_4_4_AfterSoManyTriesTheStreamEnds) {
  Connect();
  Feed(kHeaderText);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(Closed());
    Feed(kPlain);
    cluster_.AnswerLookup({});
    passwords_.waiting(false);
  }
  const std::string out = socket_.Take();
  EXPECT_HAS(out, "<not-authorized/></failure><stream:error><policy-violation");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, AfterTooManyFailuresNoPasswordIsLookedAt_ButOfWhoSignedInFromThereBefore) {
  for (int i = 0; i < 10; ++i) {
    if (i % 5 == 0) {
      socket_ = {};
      Connect();
      Feed(kHeaderText);
    }
    Feed(kPlain);
    cluster_.AnswerLookup({});
    passwords_.waiting(false);
  }
  socket_ = {};
  Connect();
  Feed(kHeaderText);
  passwords_.waiting = nullptr;
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(Closed());
    Feed(kPlain);
    cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
    EXPECT_HAS(socket_.Take(), "<temporary-auth-failure/>");
  }
  EXPECT_FALSE(passwords_.waiting);
  EXPECT_TRUE(Closed());

  // Nor from where somebody else was known who had the name before.
  sign_ins_.known[{"romeo@example.com", socket_.peer}] = 8;
  socket_ = {};
  Connect();
  Feed(kHeaderText);
  Feed(kPlain);
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  EXPECT_HAS(socket_.Take(), "<temporary-auth-failure/>");

  socket_ = {};
  sign_ins_.known[{"romeo@example.com", socket_.peer}] = 9;
  SignIn();
}

TEST_F(StreamNegotiation, WhoDoesNotWaitForTheAnswerToAPasswordHasGuessedAllTheSame) {
  for (int i = 0; i < 10; ++i) {
    socket_ = {};
    Connect();
    Feed(kHeaderText);
    Feed(kPlain);
    cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
    static_cast<net::ConnectionHandler*>(socket_.handler)->OnClosed(absl::OkStatus());
    io_.restart();
    io_.poll();
  }
  socket_ = {};
  Connect();
  Feed(kHeaderText);
  Feed(kPlain);
  cluster_.AnswerLookup({});
  EXPECT_HAS(socket_.Take(), "<temporary-auth-failure/>");
}

/// What a client of SCRAM-SHA-256 says, and hears.
class ScramSignIn {
 public:
  explicit ScramSignIn(const std::string& user) : bare_("n=" + user + ",r=abc") {}

  std::string First() const {
    return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>" +
           EncodeBase64("n,," + bare_) + "</auth>";
  }
  /// The proof of `password`, where `out` has the challenge.
  std::string Final(const std::string& out, const std::string& password) const {
    const auto begin = out.find('>', out.find("<challenge")) + 1;
    const auto server_first = DecodeBase64(out.substr(begin, out.find("</challenge>") - begin));
    if (!server_first) return "no challenge";
    const auto salt_at = server_first->find(",s="), iterations_at = server_first->find(",i=");
    const std::string salt = *DecodeBase64(server_first->substr(salt_at + 3, iterations_at - salt_at - 3));
    const auto iterations = static_cast<std::uint32_t>(std::stoul(server_first->substr(iterations_at + 3)));
    const std::string without_proof = "c=biws," + server_first->substr(0, salt_at);
    const std::string salted = SaltedPassword(ScramHash::kSha256, password, salt, iterations);
    std::string proof = Hmac(ScramHash::kSha256, salted, "Client Key");
    const std::string signature = Hmac(ScramHash::kSha256, Digest(ScramHash::kSha256, proof),
                                       bare_ + "," + *server_first + "," + without_proof);
    for (std::size_t i = 0; i < proof.size(); ++i) proof[i] ^= signature[i];
    return "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" +
           EncodeBase64(without_proof + ",p=" + EncodeBase64(proof)) + "</response>";
  }

 private:
  std::string bare_;
};

class GuessedFromOneNetwork : public StreamNegotiation {
 protected:
  /// On a connection of its own. `exists`: with the password "pencil".
  std::string Challenge(const std::string& user, bool exists) {
    socket_ = {};
    Connect();
    Feed(kHeaderText);
    const std::string refused = Feed(ScramSignIn(user).First());
    if (!cluster_.lookup) return refused;
    cluster_.AnswerLookup(KeysOf(exists));
    return socket_.Take();
  }
  std::string Answer(const std::string& user, bool exists, const std::string& password) {
    const std::string challenge = Challenge(user, exists);
    EXPECT_HAS(challenge, "<challenge");
    return Feed(ScramSignIn(user).Final(challenge, password));
  }
  std::string AnswerToPlain(const std::string& user, bool exists) {
    socket_ = {};
    Connect();
    Feed(kHeaderText);
    Feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
         EncodeBase64(std::string(1, '\0') + user + std::string(1, '\0') + "wrong") + "</auth>");
    cluster_.AnswerLookup(KeysOf(exists));
    if (passwords_.waiting) std::exchange(passwords_.waiting, nullptr)(false);
    return socket_.Take();
  }
  static std::vector<ScramKey> KeysOf(bool exists) {
    if (!exists) return {};
    return {MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)};
  }
  void IsKnownHere(const std::string& user) { sign_ins_.known[{user + "@example.com", socket_.peer}] = 9; }
};

TEST_F(GuessedFromOneNetwork, SignInsThatAreUnderWayHoldUpNobody_AndTellNothing) {
  IsKnownHere("romeo");
  for (int i = 0; i < 150; ++i) Challenge("u" + std::to_string(i), false);
  EXPECT_HAS(Answer("romeo", true, "wrong"), "<not-authorized/>");
  EXPECT_HAS(Answer("nobody", false, "wrong"), "<not-authorized/>");
  EXPECT_HAS(Answer("juliet", true, "pencil"), "<success");
}

TEST_F(GuessedFromOneNetwork, WhoIsKnownThereIsNotToldFromOthers_WhenTooManyHaveFailed) {
  IsKnownHere("romeo");
  IsKnownHere("mercutio");
  for (int i = 0; i < 100; ++i)
    EXPECT_HAS(Answer("u" + std::to_string(i), false, "wrong"), "<not-authorized/>");
  for (const bool remembers : {false, true}) {
    sign_ins_.remembers = remembers;
    const std::string known = remembers ? "mercutio" : "romeo";
    const std::string answer = Answer(known, true, "wrong");
    EXPECT_HAS(answer, "<temporary-auth-failure/>");
    EXPECT_EQ(Answer("juliet", true, "wrong"), answer);
    EXPECT_EQ(Answer("juliet", true, "pencil"), answer);
    EXPECT_EQ(Answer("nobody", false, "wrong"), answer);
    EXPECT_EQ(AnswerToPlain(known, true), AnswerToPlain("nobody", false));
    EXPECT_HAS(Answer(known, true, "pencil"), "<success");
  }
}

TEST_F(GuessedFromOneNetwork, WhoIsKnownThereIsNotToldFromOthers_WhenTheAccountHasFailedTooOften) {
  IsKnownHere("romeo");
  sign_ins_.remembers = true;
  for (const std::string user : {"romeo", "nobody"}) {
    const bool exists = user == "romeo";
    for (int i = 0; i < 12; ++i)
      EXPECT_HAS(Answer(user, exists, "wrong"), i < 10 ? "<not-authorized/>" : "<temporary-auth-failure/>")
          << user << i;
  }
  EXPECT_HAS(Answer("romeo", true, "pencil"), "<success");
}

TEST_F(StreamNegotiation, TheAccountAndItsCredentialsGoWithTheSession_AndOldOnesEndTheStream) {
  const ActionFailure changed{"not-authorized", "", false};
  SignIn();
  Feed("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  EXPECT_EQ(cluster_.asked_version, 7u);
  EXPECT_EQ(cluster_.asked_generation, 9u);
  cluster_.RefuseStart(changed);
  EXPECT_HAS(socket_.Take(), "<stream:error><not-authorized");
  EXPECT_TRUE(Closed());

  socket_ = {};
  SignIn();
  cluster_.asked_version = cluster_.asked_generation = 0;
  Feed("<resume xmlns='urn:xmpp:sm:3' previd='" + SmId{SessionId::Random(), 0}.ToText() + "' h='0'/>");
  EXPECT_EQ(cluster_.asked_version, 7u);
  EXPECT_EQ(cluster_.asked_generation, 9u);
  Cluster::Resumption refused;
  refused.refusal = changed;
  std::exchange(cluster_.resume, nullptr)(refused);
  EXPECT_HAS(socket_.Take(), "<stream:error><not-authorized");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, WhoSignedInIsRememberedWithTheNetwork_AndAFailureIsNot) {
  Connect();
  Feed(kHeaderText);
  Feed(kPlain);
  cluster_.AnswerLookup({});
  passwords_.waiting(false);
  EXPECT_TRUE(sign_ins_.known.empty());
  EXPECT_EQ(sign_ins_.failures.size(), 2u);
  socket_ = {};
  SignIn();
  EXPECT_EQ((sign_ins_.known[{"romeo@example.com", socket_.peer}]), 9u);
}

TEST_F(StreamNegotiation, Rfc6120_7_FeaturesAfterAuthentication) {
  SignIn();
  Feed("</stream:stream>");
  socket_ = {};
  Connect();
  Feed(kHeaderText);
  Feed(kPlain);
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  passwords_.waiting(true);
  socket_.Take();
  const std::string out = Feed(kHeaderText);
  EXPECT_HAS(out,
             "<bind xmlns=\"urn:ietf:params:xml:ns:xmpp-bind\"/>"
             "<session xmlns=\"urn:ietf:params:xml:ns:xmpp-session\"><optional/></session>"
             "<sm xmlns=\"urn:xmpp:sm:3\"/>");
  EXPECT_HAS_NOT(out, "mechanism");
  EXPECT_HAS_NOT(out, "http://jabber.org/protocol/caps");
}

TEST_F(StreamNegotiation, Xep0115_6_3_CapsOfTheDomainAreAStreamFeature) {
  cluster_.known.caps["example.com"] = {"https://example.com/?a&b", "q07IKJEyjvHSyhy//CH0CxmKi8w="};
  cluster_.known.caps["example.org"] = {"n", "other"};
  SignIn();
  EXPECT_HAS(
      features_,
      "<c xmlns=\"http://jabber.org/protocol/caps\" hash=\"sha-1\" node=\"https://example.com/?a&amp;b\" "
      "ver=\"q07IKJEyjvHSyhy//CH0CxmKi8w=\"/>");
  EXPECT_HAS_NOT(features_, "other");
}

TEST_F(StreamNegotiation, WhoAuthenticatedForOneDomainIsNobodyInAnother) {
  Connect();
  Feed(kHeaderText);
  Feed(kPlain);
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  passwords_.waiting(true);
  EXPECT_HAS(Feed(Header("to='example.org' version='1.0'")), "<stream:error><not-authorized");
}

TEST_F(StreamNegotiation, Rfc6120_4_9_3_12_StanzasBeforeAuthenticationAndBeforeBinding) {
  Connect();
  Feed(kHeaderText);
  EXPECT_HAS(Feed("<message to='a@b'/>"), "<stream:error><not-authorized");
  EXPECT_TRUE(Closed());
  socket_ = {};
  SignIn();
  EXPECT_HAS(Feed("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"),
             "<stream:error><not-authorized");
}

TEST_F(StreamNegotiation, Rfc6120_7_6_Bind) {
  SignIn();
  Feed(
      "<iq type='set' id='b1'><bind "
      "xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>");
  EXPECT_EQ(cluster_.asked_text, "balcony");
  EXPECT_TRUE(socket_.paused);
  cluster_.AnswerStart("romeo@example.com/balcony");
  const std::string out = socket_.Take();
  EXPECT_HAS(out, "type=\"result\"");
  EXPECT_HAS(out, "id=\"b1\"");
  EXPECT_HAS(out, "<jid>romeo@example.com/balcony</jid>");
  EXPECT_FALSE(socket_.paused);
}

TEST_F(StreamNegotiation, Rfc6120_7_7_2_BindErrorsLeaveTheStreamOpen) {
  SignIn();
  EXPECT_HAS(Feed("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" +
                  std::string(2000, 'x') + "</resource></bind></iq>"),
             "<bad-request");
  Feed("<iq type='set' id='b2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  EXPECT_EQ(cluster_.asked_text, "");
  std::exchange(cluster_.start, nullptr)(nullptr, {"not-allowed", "", false});
  EXPECT_HAS(socket_.Take(), "<not-allowed");
  Feed("<iq type='set' id='b3'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  std::exchange(cluster_.start, nullptr)(nullptr, {"", "", true});
  EXPECT_HAS(socket_.Take(), "type=\"wait\"");
  // Section 8.2.3.
  EXPECT_HAS(Feed("<iq type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"), "<bad-request");
  EXPECT_FALSE(cluster_.start);
  EXPECT_FALSE(Closed());
}

TEST_F(StreamNegotiation, AConnectionThatIsLostTakesItsRequestBack) {
  SignIn();
  Feed("<iq type='set' id='b2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  socket_.handler->OnClosed(absl::UnavailableError("reset"));
  EXPECT_EQ(cluster_.cancelled, 1);
  io_.poll();
  EXPECT_EQ(set_.size(), 0u);
}

TEST_F(StreamNegotiation, APasswordCheckMayOutliveItsStream) {
  Connect();
  Feed(kHeaderText);
  Feed(kPlain);
  cluster_.AnswerLookup({});
  socket_.handler->OnClosed(absl::OkStatus());
  io_.poll();
  ASSERT_EQ(set_.size(), 0u);
  socket_.sent.clear();
  passwords_.waiting(false);
  EXPECT_EQ(socket_.sent, "");
}

TEST_F(StreamNegotiation, WhoTakesTooLongIsSentAway) {
  Connect();
  Feed(kHeaderText);
  static_cast<ClientConnection*>(socket_.handler)->OnTick(Clock::System().Now() + std::chrono::seconds(121));
  EXPECT_HAS(socket_.Take(), "<connection-timeout");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, Xep0077_3_1_RegistersAndThenSignsIn) {
  Connect();
  EXPECT_HAS(Feed(kHeaderText), "<register xmlns=\"http://jabber.org/features/iq-register\"/>");
  const std::string form =
      Feed("<iq type='get' id='r1' to='example.com'><query xmlns='jabber:iq:register'/></iq>");
  EXPECT_HAS(form, "<username/><password/>");
  EXPECT_HAS(form, "id=\"r1\"");
  Feed(
      "<iq type='set' id='r2'><query xmlns='jabber:iq:register'><username>Romeo</username>"
      "<password>pencil</password></query></iq>");
  EXPECT_EQ(cluster_.asked_user, "romeo@example.com");
  EXPECT_EQ(cluster_.asked_text, "pencil");
  EXPECT_TRUE(socket_.paused);
  std::exchange(cluster_.create, nullptr)(nullptr);
  EXPECT_HAS(socket_.Take(), "type=\"result\"");
  Feed(kPlain);
  EXPECT_TRUE(cluster_.lookup);
}

TEST_F(StreamNegotiation, Xep0077_3_1_TheAnswerIsFromWhomTheRequestWasTo) {
  Connect();
  Feed(kHeaderText);
  const auto get = [](const std::string& attributes) {
    return "<iq type='get' id='r'" + attributes + "><query xmlns='jabber:iq:register'/></iq>";
  };
  const auto set = [](const std::string& attributes, const std::string& fields) {
    return "<iq type='set' id='r'" + attributes + "><query xmlns='jabber:iq:register'>" + fields +
           "</query></iq>";
  };
  const std::string account = "<username>a</username><password>x</password>";
  for (const bool addressed : {false, true}) {
    const std::string to = addressed ? " to='example.com'" : "";
    std::string answers = Feed(get(to + " from='romeo@example.com'"));
    EXPECT_HAS(answers, "<username/>");
    std::string error = Feed(set(to, "<remove/>"));
    EXPECT_HAS(error, "<unexpected-request");
    Feed(set(to, account));
    std::exchange(cluster_.create, nullptr)(nullptr);
    std::string result = socket_.Take();
    EXPECT_HAS(result, "type=\"result\"");
    for (const std::string& answer : {answers, error, result}) {
      EXPECT_EQ(answer.find(" from=\"example.com\"") != std::string::npos, addressed) << answer;
      EXPECT_EQ(answer.find(" from=") != std::string::npos, addressed) << answer;
      EXPECT_HAS_NOT(answer, " to=");
    }
  }
}

// A password that PLAIN would not send in clear is not sent so here either.
TEST_F(StreamNegotiation, Xep0077_WithoutTlsWherePlainIsNotAllowed_ThereIsNone) {
  settings_.sasl.plain_without_tls = false;
  Connect();
  EXPECT_EQ(Feed(kHeaderText).find("iq-register"), std::string::npos);
  EXPECT_HAS(Feed("<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>"), "<service-unavailable");
  EXPECT_HAS(Feed("<iq type='set' id='r2'><query xmlns='jabber:iq:register'><username>romeo</username>"
                  "<password>secret</password></query></iq>"),
             "<not-allowed");
}

TEST_F(StreamNegotiation, Xep0077_WithTls_ThereIsRegistration) {
  settings_.sasl.plain_without_tls = false;
  socket_.tls = true;
  Connect();
  EXPECT_HAS(Feed(kHeaderText), "iq-register");
  EXPECT_HAS(Feed("<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>"), "<username/>");
}

TEST_F(StreamNegotiation, Xep0077_3_1_Refusals) {
  Connect();
  Feed(kHeaderText);
  const auto set = [&](const std::string& fields) {
    return Feed("<iq type='set' id='r'><query xmlns='jabber:iq:register'>" + fields + "</query></iq>");
  };
  EXPECT_HAS(set("<username>a</username>"), "<not-acceptable");
  EXPECT_HAS(set("<username>a</username><password/>"), "<not-acceptable");
  EXPECT_HAS(set("<username>a@b</username><password>x</password>"), "<not-acceptable");
  EXPECT_HAS(set("<username>Admin</username><password>x</password>"), "<not-acceptable");
  EXPECT_HAS(set("<username>p\u0430ypal</username><password>x</password>"), "<not-acceptable");
  EXPECT_HAS(set("<remove/>"), "<unexpected-request");
  set("<username>a</username><password>x</password>");
  const ActionFailure conflict{"conflict", "", false};
  std::exchange(cluster_.create, nullptr)(&conflict);
  EXPECT_HAS(socket_.Take(), "<conflict");
  set("<username>b</username><password>x</password>");
  const ActionFailure away{"", "", true};
  std::exchange(cluster_.create, nullptr)(&away);
  EXPECT_HAS(socket_.Take(), "type=\"wait\"");
  // The limit of this address: two a minute.
  EXPECT_HAS(set("<username>c</username><password>x</password>"), "<resource-constraint");
  EXPECT_FALSE(cluster_.create);
  settings_.registration = false;
  EXPECT_HAS(set("<username>d</username><password>x</password>"), "<not-allowed");
  EXPECT_HAS(Feed("<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>"), "<service-unavailable");
}

TEST_F(StreamNegotiation, GarbageAtAnyPointEndsTheStreamAsNotWellFormed) {
  const std::string whole = std::string(kHeaderText) + kPlain;
  for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
    socket_ = {};
    Connect();
    Feed(whole.substr(0, cut));
    // U+0001 is no character of XML, wherever it stands (RFC 6120 section 4.9.3.13).
    const std::string out = Feed("\x01<");
    EXPECT_HAS(out,
               "<stream:error><not-well-formed "
               "xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/></stream:error></stream:stream>")
        << "after " << cut << " bytes";
    EXPECT_TRUE(Closed()) << "after " << cut << " bytes";
    io_.poll();
  }
}

TEST_F(StreamNegotiation, APersonWhoFillsInAFormHasMoreTime) {
  Connect();
  Feed(kHeaderText);
  EXPECT_HAS(Feed("<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"), "<username/>");
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  connection->OnTick(now + std::chrono::seconds(290));
  EXPECT_FALSE(Closed());
  connection->OnTick(now + std::chrono::seconds(301));
  EXPECT_HAS(socket_.Take(), "<connection-timeout");
}

TEST_F(StreamNegotiation, WhoIsNotSignedInSendsABoundedAmount) {
  Connect();
  Feed(kHeaderText);
  const std::string form = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>";
  std::size_t sent = 0;
  while (!Closed() && sent < 1'000'000) {
    Feed(form);
    sent += form.size();
  }
  EXPECT_LE(sent, 17 * settings_.limits_before_auth.max_stanza_bytes);
  EXPECT_GE(sent, 15 * settings_.limits_before_auth.max_stanza_bytes);
}

constexpr char kAckRequest[] = "<a:r xmlns:a='urn:xmpp:sm:3'/>";

TEST_F(StreamNegotiation, WhoHasSignedInIsReadNoFasterBeforeBindingThanInASession) {
  settings_.stanza_rate = 2;
  SignIn();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  std::string requests;
  for (int i = 0; i < 5'000; ++i) requests += kAckRequest;
  const auto answered = [](const std::string& out) {
    int count = 0;
    for (auto at = out.find("<failed"); at != std::string::npos; at = out.find("<failed", at + 1)) ++count;
    return count;
  };
  const int at_once = answered(Feed(requests));
  EXPECT_GE(at_once, 19);
  EXPECT_LE(at_once, 25);
  EXPECT_TRUE(socket_.paused);
  connection->OnTick(Clock::System().Now() + std::chrono::seconds(2));
  const int later = answered(socket_.Take());
  EXPECT_GE(later, 2);
  EXPECT_LE(later, 10);
  EXPECT_TRUE(socket_.paused);
  EXPECT_FALSE(Closed());
}

TEST_F(StreamNegotiation, WhoHasSignedInAndSendsWhiteSpaceIsReadNoFaster_AndBindsAllTheSame) {
  settings_.stanza_rate = 2;
  SignIn();
  int fed = 0;
  for (; fed < 50 && !socket_.paused; ++fed) Feed(" ");
  EXPECT_TRUE(socket_.paused);
  EXPECT_GE(fed, 18);
  Feed("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  EXPECT_FALSE(cluster_.start);
  static_cast<ClientConnection*>(socket_.handler)->OnTick(Clock::System().Now() + std::chrono::seconds(1));
  ASSERT_TRUE(cluster_.start);
  cluster_.AnswerStart("romeo@example.com/r");
  EXPECT_HAS(socket_.Take(), "<jid>");
  EXPECT_FALSE(socket_.paused);
}

TEST_F(StreamNegotiation, ASignInAnewBringsNoNewBudget) {
  settings_.stanza_rate = 2;
  SignIn();
  for (int i = 0; i < 50 && !socket_.paused; ++i) Feed(kAckRequest);
  static_cast<net::ConnectionHandler*>(socket_.handler)->OnClosed(absl::OkStatus());
  socket_ = {};
  SignIn();
  Feed(kAckRequest);
  EXPECT_TRUE(socket_.paused);
}

TEST_F(StreamNegotiation, AllAccountsOfANetworkShareABudget) {
  settings_.stanza_rate = 20;
  settings_.network_stanza_rate = 2;
  SignIn();
  const auto of_another = account_budgets_->Of("another@example.com", Clock::System().Now());
  InputBudget another;
  another.Begin(of_another, network_budgets_->Of(socket_.peer, Clock::System().Now()));
  while (another.OnBrought()) continue;
  EXPECT_FALSE(of_another->IsUsedUp());
  Feed(kAckRequest);
  EXPECT_TRUE(socket_.paused);
  EXPECT_FALSE(network_budgets_->Of("elsewhere", Clock::System().Now())->IsUsedUp());
  static_cast<ClientConnection*>(socket_.handler)->OnTick(Clock::System().Now() + std::chrono::seconds(2));
  EXPECT_FALSE(socket_.paused);
}

TEST_F(StreamNegotiation, ARefusedRequestIsAnsweredAndNotReadOnBeyondTheBudget) {
  settings_.stanza_rate = 2;
  SignIn();
  const std::string resume =
      "<resume xmlns='urn:xmpp:sm:3' previd='" + SmId{SessionId::Random(), 0}.ToText() + "' h='0'/>";
  for (int i = 0; i < 50 && !socket_.paused; ++i) Feed(kAckRequest);
  Feed(resume);
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  // It is read, and takes what there is again.
  connection->OnTick(now + std::chrono::milliseconds(600));
  ASSERT_TRUE(cluster_.resume);
  Cluster::Resumption gone;
  gone.refusal.condition = "item-not-found";
  std::exchange(cluster_.resume, nullptr)(gone);
  EXPECT_HAS(socket_.Take(), "<item-not-found");
  EXPECT_TRUE(socket_.paused);
  connection->OnTick(now + std::chrono::seconds(2));
  EXPECT_FALSE(socket_.paused);
}

TEST_F(StreamNegotiation, WhoAsksForFiveSessionsThatThereAreNotIsSentAway) {
  SignIn();
  const std::string resume =
      "<resume xmlns='urn:xmpp:sm:3' previd='" + SmId{SessionId::Random(), 0}.ToText() + "' h='0'/>";
  Cluster::Resumption gone;
  gone.refusal.condition = "item-not-found";
  for (int i = 0; i < 4; ++i) {
    Feed(resume);
    std::exchange(cluster_.resume, nullptr)(gone);
    EXPECT_HAS(socket_.Take(), "<item-not-found");
    ASSERT_FALSE(Closed());
  }
  Feed(resume);
  std::exchange(cluster_.resume, nullptr)(gone);
  EXPECT_HAS(socket_.Take(), "<policy-violation");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamNegotiation, AClientThatSendsByteByByteIsWaitedForLikeASilentOne) {
  Admission::Options options;
  options.control.min_under_way = 100;
  Admission admission(io_, options, metrics_);
  Connect();
  Admission::Ticket given;
  const Admission::Begin begin = [&given](std::unique_ptr<net::Connection>, Admission::Ticket ticket) {
    given = std::move(ticket);
  };
  FakeConnection::State other;
  admission.Arrive(std::make_unique<FakeConnection>(other), begin);
  const SteadyTime start = Clock::System().Now();
  ClientStream stream(services(), *static_cast<XmppConnection*>(socket_.handler), TlsMode::kOptional, start,
                      std::move(given));
  stream.OnTick(start + std::chrono::milliseconds(900), start + std::chrono::milliseconds(900));
  EXPECT_EQ(admission.under_way(), 1u);
  stream.OnTick(start + std::chrono::milliseconds(1'800), start + std::chrono::milliseconds(1'800));
  EXPECT_EQ(admission.under_way(), 0u);
}

TEST_F(StreamNegotiation, ASignInCountsUntilItIsDoneOrWaitsForItsClient) {
  Admission::Options options;
  options.control.min_under_way = 100;
  Admission admission(io_, options, metrics_);
  const Admission::Begin begin = [this](std::unique_ptr<net::Connection> connection,
                                        Admission::Ticket ticket) {
    auto made = std::make_unique<TcpConnection>(services(), set_, std::move(connection), TlsMode::kOptional,
                                                std::make_shared<FakeTls>(), std::move(ticket));
    XmppConnection* client = made.get();
    set_.Add(std::move(made));
    client->Start();
  };
  const auto arrive = [&] { admission.Arrive(std::make_unique<FakeConnection>(socket_), begin); };
  const SteadyTime start = Clock::System().Now();
  const auto tick = [this, start](std::chrono::milliseconds after) {
    static_cast<ClientConnection*>(socket_.handler)->OnTick(start + after);
  };
  arrive();
  EXPECT_EQ(admission.under_way(), 1u);
  tick(std::chrono::milliseconds(500));
  EXPECT_EQ(admission.under_way(), 1u);
  tick(std::chrono::seconds(60));
  EXPECT_EQ(admission.under_way(), 0u);

  socket_ = {};
  arrive();
  Feed("</nonsense>");
  EXPECT_TRUE(Closed());
  EXPECT_EQ(admission.under_way(), 0u);

  socket_ = {};
  arrive();
  Feed(kHeaderText);
  Feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHBlbmNpbA==</auth>");
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  passwords_.waiting(true);
  Feed(kHeaderText);
  EXPECT_EQ(admission.under_way(), 1u);
  Feed("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  cluster_.AnswerStart("romeo@example.com/r");
  EXPECT_EQ(admission.under_way(), 0u);
}

TEST_F(StreamNegotiation, AnIdThatIsTooLongIsNotWrittenBack) {
  SignIn();
  const std::string out = Feed("<iq type='set' id=\"" + std::string(9'000, '\'') +
                               "\"><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  EXPECT_HAS(out, "<bad-request");
  EXPECT_LT(out.size(), 500u);
  EXPECT_FALSE(cluster_.start);
}

}  // namespace
}  // namespace rookery::gateway
