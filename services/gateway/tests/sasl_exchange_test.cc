#include "domain/sasl_exchange.h"

#include <gsasl.h>
#include <gtest/gtest.h>

#include <map>

#include "domain/base64.h"
#include "domain/scram_crypto.h"
#include "domain/scram_end_point.h"
#include "domain/text.h"

namespace rookery::gateway {
namespace {

using Kind = SaslExchange::Outcome::Kind;

// ---- vectors -------------------------------------------------------------------

ScramKey Key(ScramHash hash, const char* password, const char* salt64) {
  return MakeScramKey(hash, password, *DecodeBase64(salt64), 4096);
}

TEST(Scram, Rfc5802_5_Sha1Vector) {
  const auto first = ParseScramClientFirst("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
  ASSERT_TRUE(first);
  const ScramEndPoint scram(*first, Key(ScramHash::kSha1, "pencil", "QSXCR+Q6sek8bf92"), "",
                            "3rfcNHYJY1ZVvWVs7j");
  EXPECT_EQ(scram.server_first(), "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");
  std::string final;
  EXPECT_EQ(scram.Verify("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                         &final),
            ScramEndPoint::Verdict::kVerified);
  EXPECT_EQ(final, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
}

TEST(Scram, Rfc7677_3_Sha256Vector) {
  const auto first = ParseScramClientFirst("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  ASSERT_TRUE(first);
  const ScramEndPoint scram(*first, Key(ScramHash::kSha256, "pencil", "W22ZaJ0SNY7soEsUEjb6gQ=="), "",
                            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  std::string final;
  EXPECT_EQ(scram.Verify("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                         "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                         &final),
            ScramEndPoint::Verdict::kVerified);
  EXPECT_EQ(final, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Scram, Rfc5802_7_Grammar) {
  const auto first = ParseScramClientFirst("p=tls-exporter,a=ju=2Cliet,n=ro=3Dmeo,r=abc,x=ext");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->flag, 'p');
  EXPECT_EQ(first->binding, "tls-exporter");
  EXPECT_EQ(first->authzid, "ju,liet");
  EXPECT_EQ(first->user, "ro=meo");
  EXPECT_EQ(first->nonce, "abc");
  EXPECT_EQ(first->gs2_header, "p=tls-exporter,a=ju=2Cliet,");
  EXPECT_EQ(first->bare, "n=ro=3Dmeo,r=abc,x=ext");
  for (const char* bad : {"", "n", "n,", "n,,", "x,,n=a,r=b", "n,,r=b,n=a", "n,,n=a",
                          "n,,n=a,r=", "n,,n=,r=b", "n,,n=a=2,r=b", "n,,n=a=2c,r=b", "p=,,n=a,r=b",
                          "p,,n=a,r=b", "n,x,n=a,r=b", "n,,m=x,n=a,r=b", "n,,n=a,r=b c", "nn,,n=a,r=b"}) {
    EXPECT_FALSE(ParseScramClientFirst(bad)) << bad;
  }
  EXPECT_FALSE(ParseScramClientFirst(std::string_view("n,,n=a\0,r=b", 11)));
  for (const char* bad : {"", "c=biws", "c=biws,r=x", "c=biws,r=x,p=", "c=biws,p=YQ==,r=x",
                          "c=b,r=x,p=YQ==", "r=x,c=biws,p=YQ=="}) {
    const auto parsed = ParseScramClientFinal(bad);
    EXPECT_TRUE(!parsed || parsed->proof.empty()) << bad;
  }
}

TEST(Base64, Rfc6120_6_4_2_Strict) {
  EXPECT_EQ(DecodeBase64("Zm9vYmFy"), "foobar");
  EXPECT_EQ(DecodeBase64("Zm9vYg=="), "foob");
  EXPECT_EQ(DecodeBase64(""), "");
  EXPECT_EQ(EncodeBase64("foob"), "Zm9vYg==");
  EXPECT_EQ(EncodeBase64("fooba"), "Zm9vYmE=");
  for (const char* bad :
       {"Zm9vYg=", "Zm9vYg", "Zm9v Yg==", "Zm9vYh==", "=", "====", "Zm=vYg==", "Zm9vYg==\n", "Zg==="}) {
    EXPECT_FALSE(DecodeBase64(bad)) << bad;
  }
  EXPECT_EQ(DecodeBase64Url(EncodeBase64Url("\xff\xfe\xfd")), "\xff\xfe\xfd");
  EXPECT_FALSE(DecodeBase64Url("A"));
}

// ---- exchanges with libgsasl's client --------------------------------------------

/// libgsasl on the client's side.
class Client {
 public:
  Client(const char* mechanism, std::string user, std::string password) {
    EXPECT_EQ(gsasl_init(&library_), GSASL_OK);
    EXPECT_EQ(gsasl_client_start(library_, mechanism, &session_), GSASL_OK);
    gsasl_property_set(session_, GSASL_AUTHID, user.c_str());
    gsasl_property_set(session_, GSASL_PASSWORD, password.c_str());
  }
  ~Client() {
    gsasl_finish(session_);
    gsasl_done(library_);
  }
  void Set(Gsasl_property property, const std::string& value) {
    gsasl_property_set(session_, property, value.c_str());
  }
  std::string Step(std::string_view input, int expected = GSASL_NEEDS_MORE) {
    char* out = nullptr;
    std::size_t size = 0;
    EXPECT_EQ(gsasl_step(session_, input.data(), input.size(), &out, &size), expected);
    std::string result(out == nullptr ? "" : out, size);
    gsasl_free(out);
    return result;
  }

 private:
  Gsasl* library_ = nullptr;
  Gsasl_session* session_ = nullptr;
};

class SaslExchangeTest : public testing::Test {
 protected:
  SaslExchangeTest() {
    for (const auto mechanism : kSaslMechanisms) policy_.mechanisms.emplace_back(mechanism);
    policy_.fake_salt_key = "secret";
    policy_.iterations = 4096;
    for (const auto hash : {ScramHash::kSha1, ScramHash::kSha256}) {
      keys_.push_back(MakeScramKey(hash, "pencil", "0123456789abcdef", 4096));
    }
    encrypted_.encrypted = true;
    encrypted_.tls_exporter = std::string(32, 'e');
    encrypted_.tls_server_end_point = std::string(32, 's');
  }

  SaslExchange Make(const SaslChannel& channel) { return {policy_, channel, "example.com"}; }

  /// A whole SCRAM exchange; the last outcome.
  SaslExchange::Outcome RunScram(const SaslChannel& channel, const char* mechanism, Client& client,
                                 const std::vector<ScramKey>& keys, SaslExchange& exchange) {
    (void)channel;
    auto outcome = exchange.Start(mechanism, client.Step(""));
    EXPECT_EQ(outcome.kind, Kind::kLookUp);
    if (outcome.kind != Kind::kLookUp) return outcome;
    outcome = exchange.CredentialsFound(keys);
    EXPECT_EQ(outcome.kind, Kind::kChallenge);
    if (outcome.kind != Kind::kChallenge) return outcome;
    return exchange.Respond(client.Step(outcome.data));
  }

  SaslPolicy policy_;
  SaslChannel plain_;
  SaslChannel encrypted_;
  std::vector<ScramKey> keys_;
};

TEST_F(SaslExchangeTest, ScramWithoutBinding) {
  for (const char* mechanism : {"SCRAM-SHA-1", "SCRAM-SHA-256"}) {
    auto exchange = Make(plain_);
    Client client(mechanism, "user", "pencil");
    const auto outcome = RunScram(plain_, mechanism, client, keys_, exchange);
    ASSERT_EQ(outcome.kind, Kind::kSuccess) << mechanism;
    EXPECT_EQ(exchange.user(), "user@example.com");
    client.Step(outcome.data, GSASL_OK);
  }
}

TEST_F(SaslExchangeTest, ScramBoundToTlsExporter) {
  for (const char* mechanism : {"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"}) {
    auto exchange = Make(encrypted_);
    Client client(mechanism, "user", "pencil");
    client.Set(GSASL_CB_TLS_EXPORTER, EncodeBase64(encrypted_.tls_exporter));
    const auto outcome = RunScram(encrypted_, mechanism, client, keys_, exchange);
    ASSERT_EQ(outcome.kind, Kind::kSuccess) << mechanism;
    client.Step(outcome.data, GSASL_OK);
  }
}

TEST_F(SaslExchangeTest, Rfc5802_6_AnotherBindingIsAnotherConnection) {
  auto exchange = Make(encrypted_);
  Client client("SCRAM-SHA-256-PLUS", "user", "pencil");
  client.Set(GSASL_CB_TLS_EXPORTER, EncodeBase64(std::string(32, 'x')));
  const auto outcome = RunScram(encrypted_, "SCRAM-SHA-256-PLUS", client, keys_, exchange);
  EXPECT_EQ(outcome.failure, SaslFailure::kNotAuthorized);
}

/// The client's side of an exchange bound to the certificate, which libgsasl cannot do either.
std::string ClientFinal(const ScramKey& key, const std::string& password, const std::string& first_bare,
                        const std::string& server_first, const std::string& binding) {
  const auto nonce = server_first.substr(2, server_first.find(',') - 2);
  const std::string without_proof = Cat("c=", EncodeBase64(binding), ",r=", nonce);
  const std::string message = Cat(first_bare, ",", server_first, ",", without_proof);
  // SaltedPassword again, to get ClientKey.
  const ScramKey made = MakeScramKey(key.hash, password, key.salt, key.iterations);
  std::string salted = Hmac(key.hash, password, key.salt + std::string("\0\0\0\1", 4));
  std::string last = salted;
  for (std::uint32_t i = 1; i < key.iterations; ++i) {
    last = Hmac(key.hash, password, last);
    for (std::size_t j = 0; j < salted.size(); ++j) salted[j] ^= last[j];
  }
  std::string proof = Hmac(key.hash, salted, "Client Key");
  const std::string signature = Hmac(key.hash, made.stored_key, message);
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] ^= signature[i];
  return Cat(without_proof, ",p=", EncodeBase64(proof));
}

TEST_F(SaslExchangeTest, Rfc5929_4_ScramBoundToTheCertificate) {
  for (const auto& key : keys_) {
    const std::string mechanism = key.hash == ScramHash::kSha1 ? "SCRAM-SHA-1-PLUS" : "SCRAM-SHA-256-PLUS";
    for (const bool right : {true, false}) {
      auto exchange = Make(encrypted_);
      const std::string gs2 = "p=tls-server-end-point,,";
      ASSERT_EQ(exchange.Start(mechanism, gs2 + "n=user,r=abc").kind, Kind::kLookUp);
      const auto challenge = exchange.CredentialsFound(keys_);
      ASSERT_EQ(challenge.kind, Kind::kChallenge);
      const std::string binding = gs2 + (right ? encrypted_.tls_server_end_point : std::string(32, 'x'));
      const auto outcome =
          exchange.Respond(ClientFinal(key, "pencil", "n=user,r=abc", challenge.data, binding));
      EXPECT_EQ(outcome.kind, right ? Kind::kSuccess : Kind::kFailure) << mechanism;
      if (!right) EXPECT_EQ(outcome.failure, SaslFailure::kNotAuthorized);
    }
  }
}

TEST_F(SaslExchangeTest, Rfc5802_6_WhoSawNoPlusAlthoughItWasOfferedIsBeingDowngraded) {
  auto exchange = Make(encrypted_);
  EXPECT_EQ(exchange.Start("SCRAM-SHA-256", "y,,n=user,r=abc").failure, SaslFailure::kNotAuthorized);
  auto without = Make(plain_);
  EXPECT_EQ(without.Start("SCRAM-SHA-256", "y,,n=user,r=abc").kind, Kind::kLookUp);
  EXPECT_EQ(without.CredentialsFound(keys_).kind, Kind::kChallenge);
}

TEST_F(SaslExchangeTest, Rfc5802_6_PlusNeedsABindingThatBothHave) {
  for (const char* first : {"n,,n=user,r=abc", "y,,n=user,r=abc", "p=tls-unique,,n=user,r=abc"}) {
    auto exchange = Make(encrypted_);
    EXPECT_EQ(exchange.Start("SCRAM-SHA-256-PLUS", first).failure, SaslFailure::kNotAuthorized) << first;
  }
  SaslChannel only_end_point = encrypted_;  // TLS 1.2
  only_end_point.tls_exporter.clear();
  auto exchange = Make(only_end_point);
  EXPECT_EQ(exchange.Start("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=user,r=abc").failure,
            SaslFailure::kNotAuthorized);
  auto bound_without_plus = Make(encrypted_);
  EXPECT_EQ(bound_without_plus.Start("SCRAM-SHA-256", "p=tls-exporter,,n=user,r=abc").failure,
            SaslFailure::kMalformedRequest);
}

TEST_F(SaslExchangeTest, WrongPassword) {
  auto exchange = Make(plain_);
  Client client("SCRAM-SHA-256", "user", "pen");
  EXPECT_EQ(RunScram(plain_, "SCRAM-SHA-256", client, keys_, exchange).failure, SaslFailure::kNotAuthorized);
}

TEST_F(SaslExchangeTest, AnUnknownUserTakesTheSameStepsAndSeesTheSameSaltEachTime) {
  std::string salts[3];
  for (int i = 0; i < 3; ++i) {
    auto exchange = Make(plain_);
    const std::string user = i < 2 ? "nobody" : "noone";
    ASSERT_EQ(exchange.Start("SCRAM-SHA-256", Cat("n,,n=", user, ",r=abc")).kind, Kind::kLookUp);
    const auto challenge = exchange.CredentialsFound({});
    ASSERT_EQ(challenge.kind, Kind::kChallenge);
    salts[i] = challenge.data.substr(challenge.data.find(",s="));
    EXPECT_NE(salts[i].find(",i=4096"), std::string::npos);
    EXPECT_EQ(DecodeBase64(salts[i].substr(3, salts[i].find(",i=") - 3))->size(), 16u);
  }
  EXPECT_EQ(salts[0], salts[1]);
  EXPECT_NE(salts[0], salts[2]);
  auto exchange = Make(plain_);
  Client client("SCRAM-SHA-256", "nobody", "pencil");
  EXPECT_EQ(RunScram(plain_, "SCRAM-SHA-256", client, {}, exchange).failure, SaslFailure::kNotAuthorized);
}

TEST_F(SaslExchangeTest, Rfc6120_6_5_10_ABackendThatIsAwayIsTemporary) {
  auto exchange = Make(plain_);
  ASSERT_EQ(exchange.Start("SCRAM-SHA-256", "n,,n=user,r=abc").kind, Kind::kLookUp);
  EXPECT_EQ(exchange.CredentialsUnavailable().failure, SaslFailure::kTemporaryAuthFailure);
}

TEST_F(SaslExchangeTest, Rfc6120_6_5_6_NobodyActsForAnother) {
  for (const auto& [authzid, ok] : std::map<std::string, bool>{{"user@example.com", true},
                                                               {"USER@Example.COM", true},
                                                               {"user@example.com/x", false},
                                                               {"user@example.org", false},
                                                               {"other@example.com", false},
                                                               {"user", false}}) {
    auto exchange = Make(encrypted_);
    const auto outcome = exchange.Start("PLAIN", authzid + std::string("\0user\0pencil", 12));
    EXPECT_EQ(outcome.kind == Kind::kLookUp, ok) << authzid;
    if (!ok) EXPECT_EQ(outcome.failure, SaslFailure::kInvalidAuthzid);
    auto scram = Make(plain_);
    EXPECT_EQ(scram.Start("SCRAM-SHA-1", Cat("n,a=", authzid, ",n=user,r=abc")).kind == Kind::kLookUp, ok)
        << authzid;
  }
}

TEST_F(SaslExchangeTest, PlainIsCheckedAgainstTheKeys) {
  auto exchange = Make(encrypted_);
  ASSERT_EQ(exchange.Start("PLAIN", std::string_view("\0User\0pencil", 12)).kind, Kind::kLookUp);
  EXPECT_EQ(exchange.user(), "user@example.com");
  ASSERT_EQ(exchange.CredentialsFound(keys_).kind, Kind::kCheckPassword);
  const auto& check = exchange.password_check();
  EXPECT_TRUE(VerifyPassword(check.key, check.password));
  EXPECT_EQ(exchange.PasswordChecked(true).kind, Kind::kSuccess);
  EXPECT_EQ(exchange.PasswordChecked(true).kind, Kind::kFailure);
}

TEST_F(SaslExchangeTest, PlainDoesTheSameWorkForAnUnknownUserAndNeverLetsItIn) {
  auto exchange = Make(encrypted_);
  ASSERT_EQ(exchange.Start("PLAIN", std::string_view("\0nobody\0pencil", 14)).kind, Kind::kLookUp);
  ASSERT_EQ(exchange.CredentialsFound({}).kind, Kind::kCheckPassword);
  EXPECT_EQ(exchange.password_check().key.iterations, 4096u);
  EXPECT_EQ(exchange.PasswordChecked(true).failure, SaslFailure::kNotAuthorized);
}

TEST_F(SaslExchangeTest, AnUnknownUserHasOneOfTheCountsThatRealOnesHave_AlwaysTheSame) {
  const auto challenge = [this](const char* mechanism, const std::string& user) {
    auto exchange = Make(plain_);
    EXPECT_EQ(exchange.Start(mechanism, "n,,n=" + user + ",r=nonce").kind, Kind::kLookUp);
    const std::string text = exchange.CredentialsFound({}).data;
    const auto salt = text.find(",s=") + 3, count = text.find(",i=") + 3;
    return std::pair(std::stoi(text.substr(count)), text.substr(salt, count - 3 - salt));
  };
  policy_.iterations = 20'000;
  std::map<std::string, std::pair<int, std::string>> before;
  for (int i = 0; i < 200; ++i) {
    const std::string user = "user" + std::to_string(i);
    before[user] = challenge("SCRAM-SHA-256", user);
    ASSERT_EQ(before[user].first, 20'000);
  }
  policy_.earlier_iterations = {10'000};
  int changed = 0;
  for (const auto& [user, shown] : before) {
    const auto now = challenge("SCRAM-SHA-256", user);
    EXPECT_EQ(challenge("SCRAM-SHA-256", user), now);
    EXPECT_EQ(challenge("SCRAM-SHA-1", user).first, now.first);
    // Another count comes with another salt, as where somebody has a new password.
    EXPECT_EQ(now.first == shown.first, now.second == shown.second);
    ASSERT_TRUE(now.first == 20'000 || now.first == 10'000);
    changed += now.first == 10'000 ? 1 : 0;
  }
  EXPECT_GT(changed, 50);
  EXPECT_LT(changed, 150);

  std::map<std::string, int> with_two;
  for (const auto& [user, shown] : before) with_two[user] = challenge("SCRAM-SHA-256", user).first;
  policy_.earlier_iterations.push_back(15'000);
  for (const auto& [user, count] : with_two) {
    const int now = challenge("SCRAM-SHA-256", user).first;
    EXPECT_TRUE(now == count || now == 15'000) << now;
  }
}

TEST_F(SaslExchangeTest, Rfc6120_6_5_4_PlainNeedsEncryption) {
  auto exchange = Make(plain_);
  EXPECT_EQ(exchange.Start("PLAIN", std::string_view("\0user\0pencil", 12)).failure,
            SaslFailure::kEncryptionRequired);
  policy_.plain_without_tls = true;
  auto allowed = Make(plain_);
  EXPECT_EQ(allowed.Start("PLAIN", std::string_view("\0user\0pencil", 12)).kind, Kind::kLookUp);
}

TEST_F(SaslExchangeTest, Rfc6120_6_5_WhatIsNotOffered) {
  policy_.mechanisms = {"SCRAM-SHA-256"};
  EXPECT_EQ(Make(encrypted_).Start("PLAIN", "").failure, SaslFailure::kMechanismTooWeak);
  EXPECT_EQ(Make(encrypted_).Start("SCRAM-SHA-1", "").failure, SaslFailure::kInvalidMechanism);
  EXPECT_EQ(Make(encrypted_).Start("CRAM-MD5", "").failure, SaslFailure::kInvalidMechanism);
  EXPECT_EQ(Make(encrypted_).Start("", std::nullopt).failure, SaslFailure::kInvalidMechanism);
}

TEST_F(SaslExchangeTest, OffersTheStrongestFirst) {
  using List = std::vector<std::string_view>;
  EXPECT_EQ(OfferedMechanisms(policy_, plain_), (List{"SCRAM-SHA-256", "SCRAM-SHA-1"}));
  EXPECT_EQ(OfferedMechanisms(policy_, encrypted_),
            (List{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"}));
  encrypted_.certificate_users = {"user@example.com"};
  EXPECT_EQ(OfferedMechanisms(policy_, encrypted_).front(), "EXTERNAL");
}

TEST_F(SaslExchangeTest, Xep0178_ExternalIsWhoTheCertificateNames) {
  encrypted_.certificate_users = {"user@example.com", "else@example.org"};
  auto one = Make(encrypted_);
  ASSERT_EQ(one.Start("EXTERNAL", "").kind, Kind::kLookUp);
  EXPECT_EQ(one.user(), "user@example.com");
  EXPECT_EQ(one.CredentialsFound(keys_).kind, Kind::kSuccess);

  auto named = Make(encrypted_);
  EXPECT_EQ(named.Start("EXTERNAL", "user@example.com").kind, Kind::kLookUp);
  auto foreign = Make(encrypted_);
  EXPECT_EQ(foreign.Start("EXTERNAL", "else@example.org").failure, SaslFailure::kInvalidAuthzid);
  auto gone = Make(encrypted_);
  ASSERT_EQ(gone.Start("EXTERNAL", "").kind, Kind::kLookUp);
  EXPECT_EQ(gone.CredentialsFound({}).failure, SaslFailure::kNotAuthorized);

  encrypted_.certificate_users = {"a@example.com", "b@example.com"};
  auto several = Make(encrypted_);
  EXPECT_EQ(several.Start("EXTERNAL", "").failure, SaslFailure::kInvalidAuthzid);
}

TEST_F(SaslExchangeTest, WithoutAnInitialResponseTheClientIsAsked) {
  auto exchange = Make(plain_);
  const auto asked = exchange.Start("SCRAM-SHA-256", std::nullopt);
  ASSERT_EQ(asked.kind, Kind::kChallenge);
  EXPECT_EQ(asked.data, "");
  EXPECT_EQ(exchange.Respond("n,,n=user,r=abc").kind, Kind::kLookUp);
}

TEST_F(SaslExchangeTest, NothingWorksOutOfTurn) {
  auto exchange = Make(plain_);
  EXPECT_EQ(exchange.Respond("n,,n=user,r=abc").failure, SaslFailure::kMalformedRequest);
  auto found = Make(plain_);
  EXPECT_EQ(found.CredentialsFound(keys_).kind, Kind::kFailure);
  auto over = Make(plain_);
  EXPECT_EQ(over.Start("SCRAM-SHA-256", "garbage").failure, SaslFailure::kMalformedRequest);
  EXPECT_EQ(over.Start("SCRAM-SHA-256", "n,,n=user,r=abc").kind, Kind::kFailure);
  EXPECT_EQ(over.Respond("n,,n=user,r=abc").kind, Kind::kFailure);
}

TEST_F(SaslExchangeTest, GarbageInTheLastMessage) {
  for (const std::string_view bad : {"", "c=biws", "p=", "c=biws,r=abc,p=AAAA", "c=!!,r=abc,p=AAAA"}) {
    auto exchange = Make(plain_);
    exchange.Start("SCRAM-SHA-256", "n,,n=user,r=abc");
    exchange.CredentialsFound(keys_);
    EXPECT_EQ(exchange.Respond(bad).kind, Kind::kFailure) << bad;
  }
  auto exchange = Make(plain_);
  exchange.Start("SCRAM-SHA-256", "n,,n=user,r=abc");
  exchange.CredentialsFound(keys_);
  EXPECT_EQ(exchange.Respond(std::string(100'000, 'a')).failure, SaslFailure::kMalformedRequest);
}

TEST_F(SaslExchangeTest, NamesThatAreNone) {
  for (const char* first : {"n,,n=a@b,r=abc", "n,,n= ,r=abc", "n,,n=a/b,r=abc", "n,,n=\xff,r=abc"}) {
    EXPECT_EQ(Make(plain_).Start("SCRAM-SHA-256", first).failure, SaslFailure::kNotAuthorized) << first;
  }
}

}  // namespace
}  // namespace rookery::gateway
