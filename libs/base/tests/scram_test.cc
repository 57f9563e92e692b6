#include "rookery/base/scram.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"

namespace rookery {
namespace {

std::string FromBase64(const char* text) {
  std::string bytes;
  EXPECT_TRUE(absl::Base64Unescape(text, &bytes));
  return bytes;
}

struct Exchange {
  ScramHash hash;
  const char* salt;
  const char* auth_message;
  const char* proof;
  const char* signature;
};

// The examples of RFC 5802 section 5 and RFC 7677 section 3: user `user`, password `pencil`.
constexpr Exchange kExchanges[] = {
    {ScramHash::kSha1, "QSXCR+Q6sek8bf92",
     "n=user,r=fyko+d2lbbFgONRv9qkxdawL,"
     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
     "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="},
    {ScramHash::kSha256, "W22ZaJ0SNY7soEsUEjb6gQ==",
     "n=user,r=rOprNGfwEbeRWgbNEkqO,"
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
     "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

TEST(Scram, KeysAreThoseOfTheStandardsExamples) {
  for (const Exchange& exchange : kExchanges) {
    const std::string salt = FromBase64(exchange.salt);
    const ScramKey key = MakeScramKey(exchange.hash, "pencil", salt, 4096);
    EXPECT_EQ(key.salt, salt);
    EXPECT_EQ(key.iterations, 4096u);
    EXPECT_EQ(key.stored_key.size(), DigestSize(exchange.hash));
    EXPECT_EQ(Hmac(exchange.hash, key.server_key, exchange.auth_message), FromBase64(exchange.signature));
    // The proof is the client's key under a signature made with what is stored.
    std::string client_key = Hmac(exchange.hash, key.stored_key, exchange.auth_message);
    const std::string proof = FromBase64(exchange.proof);
    ASSERT_EQ(client_key.size(), proof.size());
    for (std::size_t i = 0; i < proof.size(); ++i) client_key[i] ^= proof[i];
    EXPECT_EQ(Digest(exchange.hash, client_key), key.stored_key) << MechanismOf(exchange.hash);
  }
}

TEST(Scram, SecretsAreEqualOrNot) {
  EXPECT_TRUE(EqualSecret("abc", "abc"));
  EXPECT_FALSE(EqualSecret("abc", "abd"));
  EXPECT_FALSE(EqualSecret("abc", "ab"));
  EXPECT_TRUE(EqualSecret("", ""));
}

}  // namespace
}  // namespace rookery
