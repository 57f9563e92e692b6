#include "domain/certificate_identity.h"

#include <gtest/gtest.h>

#include "client_certificate.h"

namespace rookery::gateway {
namespace {

using List = std::vector<std::string>;

TEST(CertificateIdentity, Rfc6120_13_7_1_4_AddressesAreTakenFromIdOnXmppAddr) {
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp("romeo@example.com").Der()), List{"romeo@example.com"});
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp("b@example.com").Xmpp("a@example.org").Der()),
            (List{"b@example.com", "a@example.org"}));
}

TEST(CertificateIdentity, AddressesArePrepared) {
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp("ROMEO@Example.COM.").Der()), List{"romeo@example.com"});
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp("a@xn--bcher-kva.example").Der()),
            List{"a@b\u00fccher.example"});
  // A fullwidth A and a composed e are what the account's address has.
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp("\uff21nne\u0301@example.com").Der()),
            List{"ann\u00e9@example.com"});
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp("romeo@example.com").Xmpp("Romeo@EXAMPLE.com").Der()),
            List{"romeo@example.com"});
}

TEST(CertificateIdentity, OtherNamesAreNoAddresses) {
  EXPECT_EQ(XmppAddressesOf(ClientCertificate("romeo@example.com").Der()), List{});
  EXPECT_EQ(XmppAddressesOf(ClientCertificate()
                                .Ia5(GEN_EMAIL, "romeo@example.com")
                                .Ia5(GEN_URI, "xmpp:romeo@example.com")
                                .Ia5(GEN_DNS, "romeo.example.com")
                                .Other("romeo@example.com", NID_SRVName, V_ASN1_IA5STRING)
                                .Other("romeo@example.com", NID_ms_upn)
                                .Der()),
            List{});
}

TEST(CertificateIdentity, OnlyUtf8StringsCount) {
  for (const int type : {V_ASN1_IA5STRING, V_ASN1_PRINTABLESTRING, V_ASN1_BMPSTRING, V_ASN1_OCTET_STRING}) {
    EXPECT_EQ(XmppAddressesOf(ClientCertificate().Other("romeo@example.com", NID_XmppAddr, type).Der()),
              List{})
        << type;
  }
}

TEST(CertificateIdentity, WhatIsNoBareAddressOfAUserIsLeftOut) {
  using namespace std::string_view_literals;
  for (const std::string_view bad :
       {""sv, "example.com"sv, "romeo@"sv, "@example.com"sv, "romeo@example.com/balcony"sv,
        "ro meo@example.com"sv, "romeo@@example.com"sv, "romeo@example.com\0.attacker.example"sv,
        "romeo\0x@example.com"sv, "\0romeo@example.com"sv, "romeo@example.com\0"sv, "romeo@example.com\n"sv,
        "\xff@example.com"sv, "romeo@\xc0\xaf"sv, "\u202eromeo@example.com"sv}) {
    EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp(bad).Der()), List{}) << bad;
    EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp(bad).Xmpp("romeo@example.com").Der()),
              List{"romeo@example.com"});
  }
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp(std::string(4000, 'a') + "@example.com").Der()), List{});
}

TEST(CertificateIdentity, TheNumberOfNamesIsBounded) {
  ClientCertificate many;
  for (int i = 0; i < 1000; ++i) many.Xmpp("u" + std::to_string(i) + "@example.com");
  EXPECT_EQ(XmppAddressesOf(many.Der()).size(), 16u);
}

TEST(CertificateIdentity, TwoSubjectAltNamesAreNone) {
  EXPECT_EQ(XmppAddressesOf(ClientCertificate().Xmpp("romeo@example.com").Der(2)), List{});
}

TEST(CertificateIdentity, WhatIsNoCertificateNamesNobody) {
  const std::string der = ClientCertificate().Xmpp("romeo@example.com").Der();
  EXPECT_EQ(XmppAddressesOf(""), List{});
  EXPECT_EQ(XmppAddressesOf("garbage"), List{});
  EXPECT_EQ(XmppAddressesOf(der + '\0'), List{});
  EXPECT_EQ(CommonNameUsersOf("garbage", "example.com"), List{});
  for (std::size_t size = 0; size < der.size(); ++size)
    EXPECT_EQ(XmppAddressesOf(der.substr(0, size)), List{});
  // Any byte may be wrong: nothing but well-formed addresses ever comes out.
  for (std::size_t i = 0; i < der.size(); ++i) {
    for (const int flip : {0x01, 0x20, 0x80, 0xff}) {
      std::string bad = der;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      for (const std::string& user : XmppAddressesOf(bad)) EXPECT_NE(user.find('@'), std::string::npos);
      CommonNameUsersOf(bad, "example.com");
    }
  }
}

TEST(CertificateIdentity, CommonNamesAreLocalpartsOrBareAddresses) {
  const auto users = [](std::string_view name) {
    return CommonNameUsersOf(ClientCertificate(name).Der(), "example.com");
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(users("Romeo"), List{"romeo@example.com"});
  EXPECT_EQ(users("romeo@example.org"), List{"romeo@example.org"});
  for (const std::string_view bad : {"Romeo Montague"sv, "romeo/x"sv, "romeo\0"sv, "a@b@c"sv})
    EXPECT_EQ(users(bad), List{}) << bad;
}

}  // namespace
}  // namespace rookery::gateway
