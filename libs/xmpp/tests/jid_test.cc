#include "rookery/xmpp/jid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rookery::xmpp {
namespace {

using testing::HasSubstr;

std::string Parsed(std::string_view text) {
  auto jid = Jid::Parse(text);
  return jid.ok() ? std::string(jid->str()) : "refused: " + std::string(jid.status().message());
}

bool Refused(std::string_view text) { return !Jid::Parse(text).ok(); }

TEST(JidRfc7622Section35, ValidExamples) {
  // Examples 1 to 15; the value is the prepared form.
  const std::vector<std::pair<std::string, std::string>> examples = {
      {"juliet@example.com", "juliet@example.com"},
      {"juliet@example.com/foo", "juliet@example.com/foo"},
      {"juliet@example.com/foo bar", "juliet@example.com/foo bar"},
      {"juliet@example.com/foo@bar", "juliet@example.com/foo@bar"},
      {"foo\\20bar@example.com", "foo\\20bar@example.com"},
      {"fussball@example.com", "fussball@example.com"},
      {"fu\u00DFball@example.com", "fu\u00DFball@example.com"},
      {"\u03C0@example.com", "\u03C0@example.com"},
      {"\u03A3@example.com/foo", "\u03C3@example.com/foo"},
      {"\u03C3@example.com/foo", "\u03C3@example.com/foo"},
      {"\u03C2@example.com/foo", "\u03C2@example.com/foo"},
      {"king@example.com/\u265A", "king@example.com/\u265A"},
      {"example.com", "example.com"},
      {"example.com/foobar", "example.com/foobar"},
      {"a.example.com/b@example.net", "a.example.com/b@example.net"},
  };
  for (const auto& [raw, prepared] : examples) EXPECT_EQ(Parsed(raw), prepared);
}

TEST(JidRfc7622Section35, InvalidExamples) {
  // Examples 16 to 23.
  for (const char* text :
       {"\"juliet\"@example.com", "foo bar@example.com", "juliet@example.com/", "@example.com/",
        "henry\u2163@example.com", "\u265A@example.com", "juliet@", "/foobar"}) {
    EXPECT_TRUE(Refused(text)) << text;
  }
}

TEST(JidRfc7622Section31, FirstSlashThenFirstAtSign) {
  auto jid = Jid::Parse("a@b.example/c@d/e");
  ASSERT_TRUE(jid.ok());
  EXPECT_EQ(jid->local(), "a");
  EXPECT_EQ(jid->domain(), "b.example");
  EXPECT_EQ(jid->resource(), "c@d/e");
  EXPECT_EQ(jid->bare(), "a@b.example");
  auto domain = Jid::Parse("b.example/x@y");
  ASSERT_TRUE(domain.ok());
  EXPECT_FALSE(domain->has_local());
  EXPECT_EQ(domain->domain(), "b.example");
  EXPECT_TRUE(Refused("a@b@c"));
  EXPECT_TRUE(Refused(""));
  EXPECT_TRUE(Refused("@"));
  EXPECT_TRUE(Refused("@example.com"));
  EXPECT_TRUE(Refused("example.com/"));
}

TEST(JidRfc7622Section331, ExcludedCharacters) {
  for (char c : std::string("\"&'/:<>@ ")) EXPECT_FALSE(PrepareLocal(std::string("a") + c + "b").ok()) << c;
  // A full-width form becomes the excluded character itself.
  for (const char* text : {"a\uFF02b", "a\uFF06b", "a\uFF07b", "a\uFF0Fb", "a\uFF1Ab", "a\uFF1Cb", "a\uFF1Eb",
                           "a\uFF20b", "a\u3000b"}) {
    EXPECT_FALSE(PrepareLocal(text).ok()) << text;
  }
}

TEST(JidRfc7622Lengths, Between1And1023Bytes) {
  const std::string fits(1023, 'a');
  const std::string longer(1024, 'a');
  EXPECT_TRUE(PrepareLocal(fits).ok());
  EXPECT_FALSE(PrepareLocal(longer).ok());
  EXPECT_FALSE(PrepareLocal("").ok());
  EXPECT_TRUE(PrepareResource(fits).ok());
  EXPECT_FALSE(PrepareResource(longer).ok());
  EXPECT_FALSE(PrepareResource("").ok());
  EXPECT_FALSE(PrepareDomain("").ok());
  std::string domain;
  for (int i = 0; i < 511; ++i) domain += "a.";
  EXPECT_TRUE(PrepareDomain(domain + "b").ok());
  EXPECT_FALSE(PrepareDomain(domain + "bb").ok());
  EXPECT_TRUE(PrepareDomain(domain + "b.").ok());
  // The limit is on the prepared form: 1023 full-width letters are 3069 bytes before.
  std::string wide;
  for (int i = 0; i < 1023; ++i) wide += "\uFF41";
  EXPECT_EQ(PrepareLocal(wide).value(), fits);
  EXPECT_FALSE(PrepareLocal(wide + "\uFF41").ok());
  EXPECT_FALSE(PrepareResource(std::string(1 << 20, 'a')).ok());
}

TEST(JidUsernameCaseMapped, LowerCase) {
  EXPECT_EQ(Parsed("JuLiet@EXAMPLE.com/Balcony"), "juliet@example.com/Balcony");
  EXPECT_EQ(PrepareLocal("\u00C5\u0416").value(), "\u00E5\u0436");
  // toLowercase, not case folding: sharp s stays, the Cherokee letters go down.
  EXPECT_EQ(PrepareLocal("stra\u00DFe").value(), "stra\u00DFe");
  EXPECT_EQ(PrepareLocal("\u1E9E").value(), "\u00DF");
  // The one full mapping: I with dot above.
  EXPECT_EQ(PrepareLocal("\u0130").value(), "i\u0307");
  EXPECT_EQ(PrepareLocal("\u039F\u0394\u039F\u03A3").value(), "\u03BF\u03B4\u03BF\u03C3");
}

TEST(JidUsernameCaseMapped, WidthMapping) {
  EXPECT_EQ(PrepareLocal("\uFF2A\uFF35").value(), "ju");
  EXPECT_EQ(PrepareLocal("\uFF76").value(), "\u30AB");  // half-width katakana
}

TEST(JidUsernameCaseMapped, NormalizationFormC) {
  EXPECT_EQ(PrepareLocal("e\u0301").value(), "\u00E9");
  EXPECT_EQ(PrepareLocal("E\u0301").value(), "\u00E9");
  // ANGSTROM SIGN is a compatibility form: free-form text has it normalised, an
  // identifier must not hold it.
  EXPECT_EQ(PrepareResource("\u212B").value(), "\u00C5");
  EXPECT_FALSE(PrepareLocal("\u212B").ok());
  EXPECT_EQ(PrepareResource("e\u0301").value(), "\u00E9");
}

TEST(JidUsernameCaseMapped, Rfc8265Section35Table) {
  for (const char* text : {"juliet", "fussball", "fu\u00DFball", "\u03C0", "\u03A3", "\u03C3", "\u03C2"}) {
    EXPECT_TRUE(PrepareLocal(text).ok()) << text;
  }
  for (const char* text : {"foo bar", "henry\u2163", "\u221E", "\u265A"})
    EXPECT_FALSE(PrepareLocal(text).ok()) << text;
}

TEST(JidUsernameCaseMapped, IdentifierClass) {
  // Symbols, compatibility forms, other letter digits, ignorables, controls, private
  // use, non-characters, old Hangul jamo, unassigned.
  for (const char* text :
       {"a\u00A9", "a\uFB01", "a\u00B2", "a\u00AD", "a\u200B", "a\u0007", "a\u0085", "a\uE000", "a\uFDD0",
        "a\uFFFF", "\u1100", "a\u0378", "a\U000E0001", "a\u0640", "\u2163"}) {
    EXPECT_FALSE(PrepareLocal(text).ok()) << text;
  }
  EXPECT_TRUE(PrepareLocal("\uAC00").ok());        // a modern Hangul syllable
  EXPECT_TRUE(PrepareLocal("\U00020000").ok());    // beyond the BMP
  EXPECT_TRUE(PrepareLocal("\u0F0B\u3007").ok());  // exceptions of RFC 5892
}

TEST(JidContextRules, Rfc5892AppendixA) {
  // A.1 ZERO WIDTH NON-JOINER: after a virama, or between joining letters.
  EXPECT_TRUE(PrepareLocal("\u0915\u094D\u200C\u0937").ok());
  EXPECT_TRUE(PrepareLocal("\u0628\u200C\u0628").ok());
  EXPECT_FALSE(PrepareLocal("a\u200Cb").ok());
  EXPECT_FALSE(PrepareLocal("\u200C").ok());
  EXPECT_FALSE(PrepareLocal("\u0627\u200C\u0628").ok());  // alef joins to the right only
  // A.2 ZERO WIDTH JOINER: after a virama.
  EXPECT_TRUE(PrepareLocal("\u0915\u094D\u200D\u0937").ok());
  EXPECT_FALSE(PrepareLocal("a\u200Db").ok());
  // A.3 MIDDLE DOT: between two l.
  EXPECT_TRUE(PrepareLocal("al\u00B7lot").ok());
  EXPECT_TRUE(PrepareResource("l\u00B7l").ok());
  EXPECT_FALSE(PrepareLocal("a\u00B7l").ok());
  EXPECT_FALSE(PrepareLocal("l\u00B7").ok());
  EXPECT_FALSE(PrepareResource("a\u00B7b").ok());
  // A.4 GREEK LOWER NUMERAL SIGN: before Greek.
  EXPECT_TRUE(PrepareLocal("\u0375\u03B2").ok());
  EXPECT_FALSE(PrepareLocal("\u0375b").ok());
  // A.5, A.6 GERESH and GERSHAYIM: after Hebrew.
  EXPECT_TRUE(PrepareLocal("\u05D0\u05F3\u05D1").ok());
  EXPECT_TRUE(PrepareLocal("\u05D0\u05F4\u05D1").ok());
  EXPECT_FALSE(PrepareLocal("a\u05F3").ok());
  // A.7 KATAKANA MIDDLE DOT: with Hiragana, Katakana or Han about.
  EXPECT_TRUE(PrepareLocal("\u30FB\u30AB").ok());
  EXPECT_TRUE(PrepareLocal("x\u30FB\u6F22").ok());
  EXPECT_FALSE(PrepareLocal("a\u30FBb").ok());
  // A.8, A.9: the two sets of digits do not mix.
  EXPECT_TRUE(PrepareLocal("\u0628\u0660\u0661").ok());
  EXPECT_TRUE(PrepareLocal("\u0628\u06F0\u06F1").ok());
  EXPECT_FALSE(PrepareLocal("\u0628\u0660\u06F1").ok());
}

TEST(JidBidiRule, Rfc5893Section2) {
  EXPECT_TRUE(PrepareLocal("\u05D0\u05D1").ok());
  EXPECT_TRUE(PrepareLocal("\u0627\u0628123").ok());
  EXPECT_FALSE(PrepareLocal("a\u05D0").ok());             // starts left to right
  EXPECT_FALSE(PrepareLocal("\u05D0a").ok());             // has a letter of the other direction
  EXPECT_FALSE(PrepareLocal("1\u05D0").ok());             // starts with a number
  EXPECT_FALSE(PrepareLocal("\u05D0-").ok());             // ends with a neutral
  EXPECT_FALSE(PrepareLocal("\u0627\u06F1\u0661").ok());  // both kinds of number
  EXPECT_TRUE(PrepareLocal("\u05D0\u05B0").ok());         // a mark does not count at the end
  EXPECT_TRUE(PrepareResource("a\u05D0").ok());           // OpaqueString has no such rule
}

TEST(JidOpaqueString, SpacesAndCase) {
  EXPECT_EQ(PrepareResource("a\u1680b\u3000c\u00A0d").value(), "a b c d");
  EXPECT_EQ(PrepareResource("Correct Horse").value(), "Correct Horse");
  EXPECT_EQ(PrepareResource(" ").value(), " ");
  EXPECT_EQ(PrepareResource("\uFF21").value(), "\uFF21");  // no width mapping
  EXPECT_FALSE(PrepareResource("a\tb").ok());
  EXPECT_FALSE(PrepareResource(std::string("a\0b", 3)).ok());
  EXPECT_FALSE(PrepareResource("a\u200Bb").ok());
}

TEST(JidOpaqueString, PasswordsOfRfc8265Section43) {
  for (const char* text : {"correct horse battery staple", "Correct Horse Battery Staple",
                           "\u03C0\u00DF\u00E5", "Jack of \u2666s"}) {
    EXPECT_EQ(PreparePassword(text).value(), text);
  }
  EXPECT_EQ(PreparePassword("foo\u1680bar").value(), "foo bar");
  EXPECT_FALSE(PreparePassword("").ok());
  EXPECT_FALSE(PreparePassword("my cat is a \tby").ok());
}

TEST(JidDomain, AsciiNames) {
  EXPECT_EQ(PrepareDomain("Example.COM.").value(), "example.com");
  EXPECT_EQ(PrepareDomain("localhost").value(), "localhost");
  EXPECT_EQ(PrepareDomain("1.example").value(), "1.example");
  for (const char* text : {".", "..", "a..b", ".a", "a..", "-a.example", "a-.example", "a_b.example", "a b",
                           "a!b", "ab--cd.example", "a/b", "a@b", "a:5222"}) {
    EXPECT_FALSE(PrepareDomain(text).ok()) << text;
  }
  EXPECT_TRUE(PrepareDomain(std::string(63, 'a')).ok());
  EXPECT_FALSE(PrepareDomain(std::string(64, 'a')).ok());
}

TEST(JidDomain, Idna2008) {
  EXPECT_EQ(PrepareDomain("b\u00FCcher.example").value(), "b\u00FCcher.example");
  EXPECT_EQ(PrepareDomain("B\u00DCCHER.Example").value(), "b\u00FCcher.example");
  EXPECT_EQ(PrepareDomain("bu\u0308cher.example").value(), "b\u00FCcher.example");
  EXPECT_EQ(PrepareDomain("xn--bcher-kva.example").value(), "b\u00FCcher.example");
  EXPECT_EQ(PrepareDomain("XN--BCHER-KVA.example").value(), "b\u00FCcher.example");
  EXPECT_EQ(PrepareDomain("fa\u00DF.example").value(), "fa\u00DF.example");
  EXPECT_EQ(PrepareDomain("xn--fa-hia.example").value(), "fa\u00DF.example");
  EXPECT_EQ(PrepareDomain("\u4F8B\u3048\u3002\u30C6\u30B9\u30C8").value(), "\u4F8B\u3048.\u30C6\u30B9\u30C8");
  EXPECT_EQ(PrepareDomain("\uFF45\uFF58.example").value(), "ex.example");
  EXPECT_EQ(PrepareDomain("l\u00B7l.example").value(), "l\u00B7l.example");
  for (const char* text : {"\u2665.example", "xn--.example", "xn--a.example", "xn--0.example",
                           "a\u00B7b.example", "\u0301a.example", "a\u200Bb.example",
                           "xn--bcher-kv\u00E4.example", "a\u0378.example", "xn--i-7iq.example"}) {
    EXPECT_FALSE(PrepareDomain(text).ok()) << text;
  }
}

TEST(JidDomain, CherokeeCapitalsStay) {
  // Found by fuzz_jid: they are what IDNA2008 allows, the small letters are not.
  EXPECT_EQ(PrepareDomain("\u13EB.example").value(), "\u13EB.example");
  EXPECT_EQ(PrepareDomain("xn--bce.example").value(), "\u13EB.example");
  EXPECT_FALSE(PrepareDomain("\uABBB.example").ok());
}

TEST(JidDomain, BidiNames) {
  EXPECT_TRUE(PrepareDomain("\u05D0\u05D1.\u05D2\u05D3").ok());
  EXPECT_TRUE(PrepareDomain("\u05D0\u05D1.example").ok());
  EXPECT_FALSE(PrepareDomain("\u05D0\u05D1.1a").ok());  // every label of a bidi name obeys
  EXPECT_FALSE(PrepareDomain("\u05D0a.example").ok());
}

TEST(JidDomain, AddressLiterals) {
  EXPECT_EQ(Parsed("a@192.0.2.1"), "a@192.0.2.1");
  EXPECT_EQ(Parsed("a@[::1]/r"), "a@[::1]/r");
  EXPECT_EQ(Parsed("[2001:DB8:0:0:0:0:0:1]"), "[2001:db8::1]");
  for (const char* text : {"[]", "[", "[::1", "[::1]x", "[fe80::1%eth0]", "[192.0.2.1]", "[:::1]", "::1"}) {
    EXPECT_TRUE(Refused(text)) << text;
  }
}

TEST(JidHostile, BadUtf8) {
  for (std::string text : {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                           "\xF5\x80\x80\x80", "\x80", "\xC3", "\xE2\x82", "\xFF", "\xF8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(PrepareLocal("a" + text).ok());
    EXPECT_FALSE(PrepareDomain("a" + text).ok());
    EXPECT_FALSE(PrepareResource("a" + text).ok());
    EXPECT_FALSE(PrepareLocal("a" + text + "b").ok());
  }
  EXPECT_FALSE(PrepareDomain(std::string("a\0b", 3)).ok());
  EXPECT_FALSE(PrepareDomain(std::string("\u00FC\0b", 4)).ok());
  EXPECT_FALSE(PrepareLocal(std::string("a\0b", 3)).ok());
}

TEST(JidHostile, ManyInternationalLabels) {
  std::string domain = "\u00FC";
  for (int i = 1; i < 127; ++i) domain += ".\u00FC";
  EXPECT_TRUE(PrepareDomain(domain).ok());
  EXPECT_FALSE(PrepareDomain(domain + ".a").ok());
  std::string label;
  for (int i = 0; i < 500; ++i) label += "\u00FC";
  EXPECT_FALSE(PrepareDomain(label).ok());
}

TEST(JidHostile, LongContextStringsAreLinear) {
  std::string text = "\u30AB";
  while (text.size() < 1000) text += "\u30FB";
  EXPECT_TRUE(PrepareLocal(text).ok());
}

TEST(JidProperty, PreparingTwiceChangesNothing) {
  // Every code point in an identifier, a free-form string and a label.
  for (char32_t c = 1; c < 0x30000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string utf8;
    if (c < 0x80) {
      utf8 += static_cast<char>(c);
    } else if (c < 0x800) {
      utf8 = {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
    } else if (c < 0x10000) {
      utf8 = {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
              static_cast<char>(0x80 | (c & 0x3F))};
    } else {
      utf8 = {static_cast<char>(0xF0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 0x3F)),
              static_cast<char>(0x80 | ((c >> 6) & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
    }
    for (auto prepare : {PrepareLocal, PrepareResource, PrepareDomain}) {
      auto once = prepare(utf8);
      if (!once.ok()) continue;
      auto twice = prepare(*once);
      ASSERT_TRUE(twice.ok()) << std::hex << static_cast<unsigned>(c) << " " << twice.status();
      ASSERT_EQ(*once, *twice) << std::hex << static_cast<unsigned>(c);
    }
  }
}

TEST(JidErrors, SayWhichPart) {
  EXPECT_THAT(Jid::Parse("a b@c").status().message(), HasSubstr("localpart"));
  EXPECT_THAT(Jid::Parse("a@c!").status().message(), HasSubstr("domainpart"));
  EXPECT_THAT(Jid::Parse("a@c/\t").status().message(), HasSubstr("resourcepart"));
  EXPECT_EQ(Jid::Parse("a@c/\t").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(JidValue, PartsAndCopies) {
  const Jid jid = Jid::FromPrepared("a", "b", "c");
  EXPECT_EQ(jid.str(), "a@b/c");
  EXPECT_EQ(jid, Jid::Parse("A@B/c").value());
  EXPECT_EQ(jid, Jid::FromTrusted("a@b/c"));
  EXPECT_EQ(Jid::FromTrusted("a@b/c@d").resource(), "c@d");
  EXPECT_EQ(Jid::FromTrusted("b/c@d").domain(), "b");
  EXPECT_EQ(jid.bare(), "a@b");
  EXPECT_FALSE(Jid::FromTrusted("a@b").has_resource());
  EXPECT_EQ(Jid::FromTrusted("a@b").resource(), "");
  EXPECT_EQ(Jid::FromPrepared("", "b", "").str(), "b");
  EXPECT_TRUE(Jid().empty());
  EXPECT_EQ(Jid().domain(), "");
  EXPECT_EQ(std::hash<Jid>{}(jid), std::hash<Jid>{}(Jid::FromTrusted("a@b/c")));
  EXPECT_EQ(BareOf("a@b/c/d"), "a@b");
  EXPECT_EQ(ResourceOf("a@b/c/d"), "c/d");
  EXPECT_EQ(ResourceOf("a@b"), "");
  EXPECT_EQ(DomainOf("a@b/c@d"), "b");
  EXPECT_EQ(DomainOf("b/c@d"), "b");
}

}  // namespace
}  // namespace rookery::xmpp
