#include "domain/presence/caps_hash.h"

#include <gtest/gtest.h>

#include <string>

namespace rookery::session_manager {
namespace {

std::optional<std::string> VerOf(const std::string& children, std::string_view hash = "sha-1") {
  auto info =
      xmpp::ParsePayload("<query xmlns=\"http://jabber.org/protocol/disco#info\">" + children + "</query>");
  EXPECT_TRUE(info.ok()) << info.status();
  return CapsVer(info->front(), hash);
}

std::string Form(const std::string& fields) {
  return "<x xmlns=\"jabber:x:data\" type=\"result\">" + fields + "</x>";
}
std::string Typed(const std::string& type, const std::string& fields = {}) {
  return Form("<field var=\"FORM_TYPE\" type=\"hidden\"><value>" + type + "</value></field>" + fields);
}

constexpr char kFeatures[] =
    "<feature var=\"http://jabber.org/protocol/muc\"/>"
    "<feature var=\"http://jabber.org/protocol/disco#info\"/>"
    "<feature var=\"http://jabber.org/protocol/caps\"/>"
    "<feature var=\"http://jabber.org/protocol/disco#items\"/>";

TEST(CapsHash, Section52_SimpleExample) {
  EXPECT_EQ(
      VerOf(std::string("<identity category=\"client\" type=\"pc\" name=\"Exodus 0.9.1\"/>") + kFeatures),
      "QgayPKawpkPSDYmwT/WM94uAlu0=");
}

TEST(CapsHash, Section53_ComplexExample) {
  const std::string identities =
      "<identity xml:lang=\"en\" category=\"client\" name=\"Psi 0.11\" type=\"pc\"/>"
      "<identity xml:lang=\"el\" category=\"client\" name=\"\u03a8 0.11\" type=\"pc\"/>";
  const std::string form = Typed(
      "urn:xmpp:dataforms:softwareinfo",
      "<field var=\"software_version\"><value>0.11</value></field>"
      "<field var=\"ip_version\" type=\"text-multi\"><value>ipv6</value><value>ipv4</value></field>"
      "<field var=\"os\"><value>Mac</value></field><field var=\"os_version\"><value>10.5.1</value></field>"
      "<field var=\"software\"><value>Psi</value></field>");
  EXPECT_EQ(VerOf(identities + kFeatures + form), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
  EXPECT_EQ(VerOf(form + kFeatures + identities), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
}

TEST(CapsHash, SeveralForms_InTheOrderOfTheirTypes) {
  const std::string a = Typed("urn:a", "<field var=\"x\"><value>1</value></field>");
  const std::string b = Typed("urn:b", "<field var=\"a\"><value>2</value></field>");
  EXPECT_EQ(VerOf(a + b), VerOf(b + a));
  EXPECT_NE(VerOf(a + b), VerOf(a));
}

TEST(CapsHash, FormsWithoutAHiddenType_AreLeftOut) {
  EXPECT_EQ(VerOf(kFeatures + Form("<field var=\"x\"><value>1</value></field>")), VerOf(kFeatures));
  EXPECT_EQ(VerOf(kFeatures + Form("<field var=\"FORM_TYPE\" type=\"text-single\"><value>a</value></field>")),
            VerOf(kFeatures));
}

TEST(CapsHash, IllFormedResultsProveNothing) {
  EXPECT_EQ(VerOf("<feature var=\"a\"/><feature var=\"a\"/>"), std::nullopt);
  EXPECT_EQ(VerOf("<identity category=\"c\" type=\"t\"/><identity category=\"c\" type=\"t\"/>"),
            std::nullopt);
  EXPECT_EQ(VerOf(Typed("urn:a") + Typed("urn:a")), std::nullopt);
  EXPECT_EQ(VerOf(Form("<field var=\"FORM_TYPE\" type=\"hidden\"><value>a</value><value>b</value></field>")),
            std::nullopt);
  // Two results with one string: a value that ends a part of its own.
  EXPECT_EQ(VerOf("<feature var=\"a&lt;b\"/>"), std::nullopt);
  EXPECT_EQ(VerOf("<identity category=\"c/t\" type=\"\"/>"), std::nullopt);
}

TEST(CapsHash, OtherHashes) {
  EXPECT_EQ(VerOf(kFeatures, "sha-256")->size(), 44u);
  EXPECT_EQ(VerOf(kFeatures, "sha-512")->size(), 88u);
  EXPECT_EQ(VerOf(kFeatures, "md5"), std::nullopt);
  EXPECT_EQ(VerOf(kFeatures, ""), std::nullopt);
  EXPECT_TRUE(IsCapsHash("sha-1"));
  EXPECT_FALSE(IsCapsHash("SHA1"));
}

}  // namespace
}  // namespace rookery::session_manager
