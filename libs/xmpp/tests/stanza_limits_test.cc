#include "rookery/xmpp/stanza_limits.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/stream_parser.h"

namespace rookery::xmpp {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;

std::string Written(const Stanza& stanza, Framing framing, std::string_view to = {}) {
  std::string xml;
  AppendXml(xml, stanza, framing, to);
  return xml;
}

std::string Repeat(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

// The address that takes the most when it is written.
std::string LargestJid() {
  const std::string domain = Repeat("d", 1023);
  return Repeat("l", 1023) + "@" + domain + "/" + Repeat("'", 1023);
}

TEST(WrittenSize, IsWhatIsWritten) {
  Stanza stanza = MakeMessage("chat", "a@b/'c", "d&e@f");
  for (const auto kind : {STANZA_KIND_MESSAGE, STANZA_KIND_PRESENCE, STANZA_KIND_IQ}) {
    stanza.set_kind(kind);
    for (const char* id : {"", "1", "'<>&\"\t\n\r\x01"}) {
      stanza.set_id(id);
      for (const char* payload : {"", "<body>x</body>"}) {
        stanza.set_payload(payload);
        for (const auto framing : {Framing::kStream, Framing::kWebSocket}) {
          EXPECT_EQ(WrittenSize(stanza, framing), Written(stanza, framing).size());
          EXPECT_EQ(WrittenSize(stanza, framing, "x@y/'"), Written(stanza, framing, "x@y/'").size());
        }
      }
    }
  }
}

TEST(CheckStanza, AttributesHaveBoundsOfTheirOwn) {
  const std::size_t any = 1'000'000;
  Stanza stanza = MakeMessage("chat", "a@b/c", "d@e");
  EXPECT_EQ(CheckStanza(stanza, any), std::nullopt);
  stanza.set_id(std::string(1023, 'i'));
  EXPECT_EQ(CheckStanza(stanza, any), std::nullopt);
  stanza.set_id(std::string(1024, 'i'));
  EXPECT_EQ(CheckStanza(stanza, any), ErrorCondition::kBadRequest);
  stanza.set_id("1");
  stanza.set_type(std::string(kMaxTypeBytes + 1, 't'));
  EXPECT_EQ(CheckStanza(stanza, any), ErrorCondition::kBadRequest);
  stanza.set_type("chat");
  stanza.set_lang(std::string(kMaxLangBytes + 1, 'l'));
  EXPECT_EQ(CheckStanza(stanza, any), ErrorCondition::kBadRequest);
}

TEST(CheckStanza, CountsWhatTheLargestFramingWrites) {
  Stanza stanza = MakeMessage("chat", "a@b/c", "d@e");
  stanza.set_id(std::string(1000, '\''));
  const std::size_t written = Written(stanza, Framing::kWebSocket).size();
  EXPECT_GT(written, 6000u);
  EXPECT_EQ(CheckStanza(stanza, written), std::nullopt);
  EXPECT_EQ(CheckStanza(stanza, written - 1), ErrorCondition::kPolicyViolation);
}

TEST(CheckStanza, WhatIsReadAndAcceptedIsWithinTheLimitInEveryFraming) {
  struct Handler final : StreamHandler {
    void OnStreamOpen(const Element&, std::string_view) override {}
    void OnStanza(Stanza read) override { stanza = std::move(read); }
    void OnElement(const Element&) override {}
    void OnStreamClose() override {}
    Stanza stanza;
  };
  // Text that becomes longer when it is written, in every place that a client fills.
  std::mt19937 random(20261126);  // NOLINT: the same inputs each time
  const std::string_view pieces[] = {"'", ">",      "&lt;", "&#9;",   "&#xD;",
                                     "a", "&quot;", "<a/>", "<p:b/>", "<p:c p:d=\"'\">></p:c>"};
  const std::size_t limit = 2000;
  ParserLimits limits;
  limits.max_stanza_bytes = limit;
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 6000; ++round) {
    const auto text = [&](std::size_t most, std::size_t choices) {
      std::string out;
      for (std::size_t n = random() % (most + 1); n > 0; --n) out += pieces[random() % choices];
      return out;
    };
    const std::string input = "<message xmlns=\"jabber:client\" xmlns:p=\"urn:p:" + text(9, 7) + "\" id=\"" +
                              text(200, 7) + "\" type=\"" + text(9, 7) + "\" xml:lang=\"" + text(9, 7) +
                              "\">" + text(90, 10) + "</message>";
    Handler handler;
    StreamParser parser(Framing::kWebSocket, handler, limits);
    std::size_t consumed = 0;
    if (parser.Parse(input, &consumed) != StreamParseError::kNone) continue;
    if (CheckStanza(handler.stanza, limit)) {
      ++refused;
      continue;
    }
    ++accepted;
    for (const auto framing : {Framing::kStream, Framing::kWebSocket})
      ASSERT_LE(Written(handler.stanza, framing).size(), limit) << input;
  }
  EXPECT_GT(accepted, 500);
  EXPECT_GT(refused, 500);
}

TEST(StanzaReserve, HoldsWhatTheClusterAddsToAnyStanza) {
  Stanza given = MakeMessage(std::string(kMaxTypeBytes, '\''), "a@b/c", "d@e");
  given.set_id(std::string(kMaxIdBytes, '\''));
  given.set_lang(std::string(kMaxLangBytes, '\''));
  given.set_payload("<body>x</body>");
  const std::size_t before = WrittenSize(given, Framing::kWebSocket);
  const std::string jid = LargestJid();

  Stanza inner = given;
  inner.set_from(jid);
  inner.set_to(jid);
  for (int i = 0; i < 2; ++i) {
    AddPayload(inner, MakeDelay(std::string(1023, 'd'), 0));
    Element id("stanza-id", ns::kStanzaId);
    id.SetAttr("by", std::string(BareOf(jid)));
    id.SetAttr("id", std::string(64, '9'));
    AddPayload(inner, id);
  }
  Element x("x", ns::kMucUser);
  x.Add("item").SetAttr("jid", jid);
  AddPayload(inner, x);
  Stanza carbon = MakeMessage(inner.type(), std::string(BareOf(jid)), jid);
  Element error("error", ns::kClient);
  error.Add("text", ns::kStanzaErrors).SetText(Repeat("x", 1000));
  carbon.set_payload("<sent xmlns=\"urn:xmpp:carbons:2\"><forwarded xmlns=\"urn:xmpp:forward:0\">" +
                     Written(inner, Framing::kWebSocket) + "</forwarded></sent>" + error.ToXml());
  carbon.set_payload_name(std::string(512, 'n'));
  carbon.set_payload_namespace(std::string(512, 'n'));
  EXPECT_LE(WrittenSize(carbon, Framing::kWebSocket), before + kStanzaReserveBytes * 3 / 4);
  EXPECT_LE(carbon.ByteSizeLong(), before + kStanzaReserveBytes * 3 / 4);
}

TEST(StripRefused, LeavesWhatAnAnswerNeeds) {
  Stanza stanza = MakeMessage("chat", "a@b/c", "d@e");
  stanza.set_id(std::string(2000, 'i'));
  stanza.set_payload("<body>x</body>");
  StripRefused(stanza);
  EXPECT_EQ(stanza.id().size(), 2000u);
  EXPECT_EQ(stanza.type(), "chat");
  EXPECT_EQ(stanza.to(), "d@e");
  EXPECT_EQ(stanza.payload(), "");
  stanza.set_id(std::string(250'000, '\''));
  stanza.set_type(std::string(5000, 't'));
  stanza.set_lang(std::string(5000, 'l'));
  StripRefused(stanza);
  EXPECT_LT(WrittenSize(stanza, Framing::kWebSocket), 200u);
}

}  // namespace
}  // namespace rookery::xmpp
