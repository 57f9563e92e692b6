#include "rookery/xmpp/stanza.h"

#include <gtest/gtest.h>

#include <string>

#include "rookery/xmpp/disco.h"
#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {
namespace {

using namespace common::v1;  // NOLINT: trait names

Stanza Chat() {
  Stanza stanza = MakeMessage("chat", "a@b/c", "d@e");
  stanza.set_id("1");
  SetPayload(stanza, Element("body", ns::kClient).SetText("it's <good> & \"fine\""));
  return stanza;
}

std::string Xml(const Stanza& stanza, Framing framing = Framing::kStream) {
  std::string out;
  AppendXml(out, stanza, framing);
  return out;
}

TEST(Element, CanonicalXmlDeclaresNamespacesWhereTheyChange) {
  Element element("a", "one");
  element.SetAttr("x", "1")
      .SetAttr("lang", "de", ns::kXml)
      .SetAttr("y", "2", "urn:y")
      .SetAttr("z", "3", "urn:y");
  element.Add("b");
  element.Add("c", "two").Add("d");
  element.Add(Element("e", ""));
  EXPECT_EQ(element.ToXml(),
            "<a xmlns=\"one\" x=\"1\" xml:lang=\"de\" xmlns:ns0=\"urn:y\" ns0:y=\"2\" ns0:z=\"3\">"
            "<b/><c xmlns=\"two\"><d/></c><e xmlns=\"\"/></a>");
  EXPECT_EQ(Element("a", "one").ToXml("one"), "<a/>");
}

TEST(Element, TextAndAttributesAreEscaped) {
  Element element("a", "n");
  element.SetAttr("x", "<&>\"'\t\n\r").SetText("<&>\"'\t\n\r");
  EXPECT_EQ(element.ToXml("n"),
            "<a x=\"&lt;&amp;&gt;&quot;&apos;&#9;&#10;&#13;\">&lt;&amp;&gt;\"'\t\n&#13;</a>");
  auto parsed = ParsePayload(element.ToXml());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->at(0).Attr("x"), "<&>\"'\t\n\r");
  EXPECT_EQ(parsed->at(0).Text(), "<&>\"'\t\n\r");
}

TEST(Element, ForbiddenCharactersCannotBreakTheStream) {
  EXPECT_EQ(Element("a", "n").SetText(std::string("x\0\x01y", 4)).ToXml("n"), "<a>x\uFFFD\uFFFDy</a>");
}

TEST(Element, MixedContentKeepsItsOrder) {
  constexpr std::string_view kXml = "<p xmlns=\"x\">one<b>two</b>three<i/>four</p>";
  auto parsed = ParsePayload(kXml);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->at(0).ToXml(ns::kClient), kXml);
  EXPECT_EQ(parsed->at(0).Text(), "onethreefour");
  EXPECT_NE(parsed->at(0).Find("b", "x"), nullptr);
  EXPECT_EQ(parsed->at(0).Find("b", "y"), nullptr);
}

TEST(Element, SetTextReplacesText) {
  Element element("a", "n");
  element.SetText("one").SetText("two");
  EXPECT_EQ(element.Text(), "two");
  EXPECT_EQ(element.SetText("").ToXml("n"), "<a/>");
  element.SetAttr("x", "1").SetAttr("x", "2");
  EXPECT_EQ(element.attributes().size(), 1u);
  EXPECT_EQ(element.Attr("x"), "2");
  EXPECT_EQ(element.Attr("y"), "");
  EXPECT_EQ(element.FindAttr("y"), nullptr);
}

TEST(ParsePayload, SiblingsInJabberClient) {
  auto parsed = ParsePayload("<body>x</body><x xmlns=\"urn:y\"><z/></x>");
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->size(), 2u);
  EXPECT_TRUE(parsed->at(0).Is("body", ns::kClient));
  EXPECT_TRUE(parsed->at(1).Is("x", "urn:y"));
  EXPECT_TRUE(parsed->at(1).children().at(0).Is("z", "urn:y"));
  EXPECT_TRUE(ParsePayload("")->empty());
}

TEST(ParsePayload, MalformedIsInternal) {
  for (std::string text : {"<a>",
                           "</a>",
                           "<a></b>",
                           "</payload><payload>",
                           "x<",
                           "<a b='1' b='2'/>",
                           "<p:a/>",
                           "&x;",
                           "<!DOCTYPE a>",
                           "<a:b:c xmlns:a='x'/>",
                           "</payload></payloads>",
                           "<![CDATA[",
                           "<!--",
                           "<a",
                           "&am",
                           "<a b='",
                           "<?pi",
                           "</payload><payload/>",
                           "]]>",
                           "\xC3"}) {
    EXPECT_EQ(ParsePayload(text).status().code(), absl::StatusCode::kInternal) << text;
  }
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<a>";
  EXPECT_EQ(ParsePayload(deep).status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(ParsePayload("<a/>").ok());  // the parser works again
}

TEST(ParsePayload, OneAfterTheOther) {
  // Through several lives of the parser.
  const std::string filler(1000, 'x');
  for (int i = 0; i < 1000; ++i) {
    const std::string xml = "<a" + std::to_string(i) + " xmlns=\"u" + std::to_string(i) + "\">" + filler +
                            "</a" + std::to_string(i) + ">";
    auto parsed = ParsePayload(xml);
    ASSERT_TRUE(parsed.ok());
    ASSERT_EQ(parsed->size(), 1u);
    ASSERT_EQ(parsed->at(0).ToXml(), xml);
  }
}

TEST(AppendXml, AttributesInOrderAndAbsentWhenEmpty) {
  Stanza stanza = Chat();
  stanza.set_lang("en");
  EXPECT_EQ(Xml(stanza),
            "<message from=\"a@b/c\" to=\"d@e\" id=\"1\" type=\"chat\" xml:lang=\"en\">"
            "<body>it's &lt;good&gt; &amp; \"fine\"</body></message>");
  EXPECT_EQ(Xml(MakePresence("", "a@b/c", "")), "<presence from=\"a@b/c\"/>");
}

TEST(AppendXml, WebSocketDeclaresTheNamespace) {
  EXPECT_EQ(Xml(MakePresence("", "", ""), Framing::kWebSocket), "<presence xmlns=\"jabber:client\"/>");
}

TEST(AppendXml, OtherRecipientAndEscapedAddresses) {
  std::string out = "x";
  AppendXml(out, MakePresence("", "a@b/\"<c>", "d@e"), Framing::kStream, "f@g/h&i");
  EXPECT_EQ(out, "x<presence from=\"a@b/&quot;&lt;c&gt;\" to=\"f@g/h&amp;i\"/>");
}

TEST(FromElement, StanzasOfJabberClientOnly) {
  Element iq("iq", ns::kClient);
  iq.SetAttr("type", "get").SetAttr("id", "7").SetAttr("to", "x@y").SetAttr("lang", "fr", ns::kXml);
  iq.Add("query", ns::kRoster);
  auto stanza = FromElement(iq);
  ASSERT_TRUE(stanza.ok());
  EXPECT_EQ(stanza->kind(), STANZA_KIND_IQ);
  EXPECT_EQ(stanza->type(), "get");
  EXPECT_EQ(stanza->id(), "7");
  EXPECT_EQ(stanza->to(), "x@y");
  EXPECT_EQ(stanza->lang(), "fr");
  EXPECT_EQ(stanza->payload(), "<query xmlns=\"jabber:iq:roster\"/>");
  EXPECT_EQ(stanza->payload_name(), "query");
  EXPECT_EQ(stanza->payload_namespace(), ns::kRoster);
  EXPECT_EQ(stanza->traits(), static_cast<unsigned>(STANZA_TRAIT_OTHER_PAYLOAD));
  iq.Add("another");
  EXPECT_EQ(FromElement(iq)->payload_name(), "");
  EXPECT_FALSE(FromElement(Element("message", "jabber:server")).ok());
  EXPECT_FALSE(FromElement(Element("foo", ns::kClient)).ok());
}

TEST(TraitsOf, EachTrait) {
  auto of = [](std::string_view name, std::string_view ns) { return TraitsOf(Element(name, ns)); };
  EXPECT_EQ(of("body", ns::kClient), 0u);
  EXPECT_EQ(TraitsOf(Element("body", ns::kClient).SetText("x")), unsigned{STANZA_TRAIT_BODY});
  EXPECT_EQ(of("thread", ns::kClient), 0u);
  EXPECT_EQ(of("subject", ns::kClient), unsigned{STANZA_TRAIT_OTHER_PAYLOAD});
  EXPECT_EQ(of("composing", ns::kChatStates), unsigned{STANZA_TRAIT_CHAT_STATE});
  EXPECT_EQ(of("no-store", ns::kHints), unsigned{STANZA_TRAIT_NO_STORE});
  EXPECT_EQ(of("no-permanent-store", ns::kHints), unsigned{STANZA_TRAIT_NO_PERMANENT_STORE});
  EXPECT_EQ(of("no-copy", ns::kHints), unsigned{STANZA_TRAIT_NO_COPY});
  EXPECT_EQ(of("store", ns::kHints), unsigned{STANZA_TRAIT_STORE});
  EXPECT_EQ(of("private", ns::kCarbons), unsigned{STANZA_TRAIT_PRIVATE});
  EXPECT_EQ(of("sent", ns::kCarbons), unsigned{STANZA_TRAIT_CARBON});
  EXPECT_EQ(of("received", ns::kCarbons), unsigned{STANZA_TRAIT_CARBON});
  EXPECT_EQ(of("stanza-id", ns::kStanzaId), unsigned{STANZA_TRAIT_STANZA_ID});
  EXPECT_EQ(of("origin-id", ns::kStanzaId), unsigned{STANZA_TRAIT_OTHER_PAYLOAD});
  EXPECT_EQ(of("delay", ns::kDelay), unsigned{STANZA_TRAIT_DELAY});
  EXPECT_EQ(of("x", ns::kLegacyDelay), unsigned{STANZA_TRAIT_DELAY});
  EXPECT_EQ(of("request", ns::kReceipts), unsigned{STANZA_TRAIT_RECEIPT});
  EXPECT_EQ(of("received", ns::kReceipts), unsigned{STANZA_TRAIT_RECEIPT});
  EXPECT_EQ(of("displayed", "urn:xmpp:chat-markers:0"), unsigned{STANZA_TRAIT_RECEIPT});
  EXPECT_EQ(of("x", ns::kMucUser), unsigned{STANZA_TRAIT_MUC_USER});
  EXPECT_EQ(of("x", ns::kDirectInvitation), unsigned{STANZA_TRAIT_MUC_INVITE});
  EXPECT_EQ(of("c", ns::kCaps), unsigned{STANZA_TRAIT_CAPS});
  EXPECT_EQ(of("encryption", ns::kEncryption), unsigned{STANZA_TRAIT_ENCRYPTED});
  EXPECT_EQ(of("encrypted", ns::kOmemo), unsigned{STANZA_TRAIT_ENCRYPTED});
  EXPECT_EQ(of("encrypted", ns::kOmemoAxolotl), unsigned{STANZA_TRAIT_ENCRYPTED});
  EXPECT_EQ(of("openpgp", ns::kOpenPgp), unsigned{STANZA_TRAIT_ENCRYPTED});
  EXPECT_EQ(of("propose", ns::kJingleMessage), unsigned{STANZA_TRAIT_CALL});
  Element x("x", ns::kMucUser);
  x.Add("invite");
  EXPECT_EQ(TraitsOf(x), unsigned{STANZA_TRAIT_MUC_USER} | unsigned{STANZA_TRAIT_MUC_INVITE});
}

TEST(RemovePayload, ByNameNamespaceAndBy) {
  Stanza stanza = Chat();
  const std::string body = stanza.payload();
  AddPayload(stanza, Element("stanza-id", ns::kStanzaId).SetAttr("by", "a@b").SetAttr("id", "1"));
  const std::string first = stanza.payload();
  AddPayload(stanza, Element("stanza-id", ns::kStanzaId).SetAttr("by", "d@e/\"f\"").SetAttr("id", "2"));
  AddPayload(stanza, Element("stanza-id", "urn:other").SetAttr("by", "a@b"));
  ASSERT_TRUE(Has(stanza, STANZA_TRAIT_STANZA_ID));

  Stanza one = stanza;
  RemovePayload(one, "stanza-id", ns::kStanzaId, "d@e/\"f\"");
  EXPECT_EQ(one.payload(), first + "<stanza-id xmlns=\"urn:other\" by=\"a@b\"/>");
  EXPECT_EQ(one.traits(), stanza.traits());

  RemovePayload(one, "stanza-id", ns::kStanzaId);
  EXPECT_EQ(one.payload(), body + "<stanza-id xmlns=\"urn:other\" by=\"a@b\"/>");
  EXPECT_EQ(one.traits(), unsigned{STANZA_TRAIT_BODY} | unsigned{STANZA_TRAIT_OTHER_PAYLOAD});

  Stanza none = stanza;
  RemovePayload(none, "stanza-id", ns::kStanzaId, "nobody@e");
  EXPECT_EQ(none.payload(), stanza.payload());
  RemovePayload(none, "body", ns::kClient);
  EXPECT_FALSE(Has(none, STANZA_TRAIT_BODY));
}

TEST(RemovePayload, NestedElementsOfThatNameStay) {
  Stanza stanza = MakeMessage("", "", "");
  stanza.set_payload("<a xmlns=\"n\"><b/><c>b</c></a><b xmlns=\"n\"><b/><b>x</b></b> <b xmlns=\"m\"/>");
  RemovePayload(stanza, "b", "n");
  EXPECT_EQ(stanza.payload(), "<a xmlns=\"n\"><b/><c>b</c></a> <b xmlns=\"m\"/>");
}

TEST(RemovePayload, KeepsInviteTrait) {
  Stanza stanza = MakeMessage("", "", "");
  Element x("x", ns::kMucUser);
  x.Add("invite").SetAttr("to", "a@b");
  SetPayload(stanza, x);
  AddPayload(stanza, Element("delay", ns::kDelay));
  RemovePayload(stanza, "delay", ns::kDelay);
  EXPECT_EQ(stanza.traits(), unsigned{STANZA_TRAIT_MUC_USER} | unsigned{STANZA_TRAIT_MUC_INVITE});
}

TEST(MakeResult, SwapsAddresses) {
  Stanza request;
  request.set_kind(STANZA_KIND_IQ);
  request.set_type("get");
  request.set_id("i");
  request.set_from("a@b/c");
  request.set_to("b");
  EXPECT_EQ(Xml(MakeResult(request)), "<iq from=\"b\" to=\"a@b/c\" id=\"i\" type=\"result\"/>");
  const Stanza reply = MakeResult(request, Element("query", ns::kVersion));
  EXPECT_EQ(reply.payload(), "<query xmlns=\"jabber:iq:version\"/>");
  EXPECT_EQ(reply.payload_name(), "");
}

TEST(MakeError, Rfc6120Section83) {
  EXPECT_EQ(Xml(MakeError(Chat(), ErrorCondition::kServiceUnavailable)),
            "<message from=\"d@e\" to=\"a@b/c\" id=\"1\" type=\"error\"><error type=\"cancel\">"
            "<service-unavailable xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></message>");
  EXPECT_EQ(
      Xml(MakeError(Chat(), ErrorCondition::kPolicyViolation, "a<b", ErrorType::kWait)),
      "<message from=\"d@e\" to=\"a@b/c\" id=\"1\" type=\"error\"><error type=\"wait\">"
      "<policy-violation xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/>"
      "<text xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\" xml:lang=\"en\">a&lt;b</text></error></message>");
}

TEST(MakeError, Rfc6120_8_3_1_WhatWasAskedIsGivenBack) {
  Stanza join = MakePresence("", "a@b/c", "room@d/nick");
  SetPayload(join, Element("x", "http://jabber.org/protocol/muc"));
  EXPECT_EQ(MakeError(join, ErrorCondition::kServiceUnavailable).payload(),
            "<x xmlns=\"http://jabber.org/protocol/muc\"/><error type=\"cancel\">"
            "<service-unavailable xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error>");
  Stanza iq;
  iq.set_kind(STANZA_KIND_IQ);
  iq.set_type("get");
  SetPayload(iq, Element("query", ns::kVersion));
  const Stanza reply = MakeError(iq, ErrorCondition::kForbidden);
  EXPECT_EQ(reply.payload(), iq.payload() + MakeErrorElement(ErrorCondition::kForbidden).ToXml(ns::kClient));
  EXPECT_EQ(reply.payload_name(), "");
}

TEST(MakeError, WhatIsGivenBackIsBounded) {
  const std::string error = MakeErrorElement(ErrorCondition::kForbidden).ToXml(ns::kClient);
  Stanza presence = MakePresence("", "a@b/c", "d@e");
  presence.set_payload("<status>" + std::string(kMaxEchoedPayloadBytes - 17, 's') + "</status>");
  EXPECT_EQ(MakeError(presence, ErrorCondition::kForbidden).payload(), presence.payload() + error);
  presence.set_payload("<status>" + std::string(kMaxEchoedPayloadBytes - 16, 's') + "</status>");
  EXPECT_EQ(MakeError(presence, ErrorCondition::kForbidden).payload(), error);
}

TEST(MakeError, APasswordIsNotGivenBack) {
  Stanza iq;
  iq.set_kind(STANZA_KIND_IQ);
  iq.set_type("set");
  Element query("query", ns::kRegister);
  query.Add("password").SetText("secret");
  SetPayload(iq, query);
  EXPECT_EQ(MakeError(iq, ErrorCondition::kConflict).payload().find("secret"), std::string::npos);
}

TEST(ErrorCondition, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(ErrorCondition::kUnexpectedRequest); ++i) {
    const auto condition = static_cast<ErrorCondition>(i);
    EXPECT_EQ(ParseErrorCondition(Name(condition)), condition);
  }
  EXPECT_EQ(Name(ErrorCondition::kJidMalformed), "jid-malformed");
  EXPECT_EQ(Name(ErrorCondition::kUnexpectedRequest), "unexpected-request");
  EXPECT_EQ(ParseErrorCondition("no-such"), std::nullopt);
  EXPECT_EQ(DefaultType(ErrorCondition::kNotAuthorized), ErrorType::kAuth);
  EXPECT_EQ(DefaultType(ConditionOf(absl::UnavailableError(""))), ErrorType::kWait);
  EXPECT_EQ(DefaultType(ConditionOf(absl::DeadlineExceededError(""))), ErrorType::kWait);
  EXPECT_EQ(ConditionOf(absl::NotFoundError("")), ErrorCondition::kItemNotFound);
  EXPECT_EQ(ConditionOf(absl::InternalError("")), ErrorCondition::kInternalServerError);
}

TEST(DateTime, Xep0082) {
  EXPECT_EQ(FormatDateTime(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatDateTime(1'795'224'498'007), "2026-11-21T01:28:18.007Z");
  EXPECT_EQ(FormatDateTime(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(ParseDateTime("2026-11-21T01:28:18.007Z"), 1'795'224'498'007);
  EXPECT_EQ(ParseDateTime("1969-07-21T02:56:15Z"), -14'159'025'000);
  EXPECT_EQ(ParseDateTime("1969-07-20T21:56:15-05:00"), -14'159'025'000);
  EXPECT_EQ(ParseDateTime("2000-02-29T00:00:00.1234567+01:30"), 951'777'000'123);
  for (const char* text :
       {"", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+15:00"}) {
    EXPECT_EQ(ParseDateTime(text), std::nullopt) << text;
  }
}

TEST(OnlyChild, IsTheOneThatARequestHas) {
  Stanza iq;
  iq.set_payload("<query xmlns=\"q\"><a/></query>");
  EXPECT_EQ(OnlyChild(iq).ToXml(), "<query xmlns=\"q\"><a/></query>");
  iq.set_payload(" <query xmlns=\"q\"/>\n");
  EXPECT_TRUE(OnlyChild(iq).Is("query", "q"));
  for (const char* none : {"", "text", "<a/><b/>"}) {
    iq.set_payload(none);
    EXPECT_EQ(OnlyChild(iq).name(), "") << none;
  }
}

TEST(Disco, AnEmptyNameOfAnIdentityIsLeftOut) {
  Element query("query", "q");
  AddIdentity(query, "server", "im", "Rook & co");
  AddIdentity(query, "account", "registered");
  AddFeature(query, "urn:xmpp:ping");
  EXPECT_EQ(query.ToXml(),
            "<query xmlns=\"q\"><identity category=\"server\" type=\"im\" name=\"Rook &amp; co\"/>"
            "<identity category=\"account\" type=\"registered\"/><feature var=\"urn:xmpp:ping\"/></query>");
}

TEST(MakeDelay, Xep0203) {
  EXPECT_EQ(MakeDelay("e", 0).ToXml(),
            "<delay xmlns=\"urn:xmpp:delay\" from=\"e\" stamp=\"1970-01-01T00:00:00.000Z\"/>");
}

}  // namespace
}  // namespace rookery::xmpp
