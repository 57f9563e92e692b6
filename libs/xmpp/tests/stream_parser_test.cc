#include "rookery/xmpp/stream_parser.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {
namespace {

constexpr std::string_view kHeader =
    "<?xml version='1.0'?><stream:stream to='example.com' version='1.0' xml:lang='en' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>";

std::string ErrorName(StreamParseError error) {
  switch (error) {
    case StreamParseError::kNone:
      return "none";
    case StreamParseError::kBadFormat:
      return "bad-format";
    case StreamParseError::kNotWellFormed:
      return "not-well-formed";
    case StreamParseError::kRestrictedXml:
      return "restricted-xml";
    case StreamParseError::kBadNamespacePrefix:
      return "bad-namespace-prefix";
    case StreamParseError::kUnsupportedEncoding:
      return "unsupported-encoding";
    case StreamParseError::kPolicyViolation:
      return "policy-violation";
  }
  return "?";
}

class Recorder : public StreamHandler {
 public:
  void OnStreamOpen(const Element& header, std::string_view default_ns) override {
    log += "[open " + header.ToXml() + " in " + std::string(default_ns) + "]";
    After();
  }
  void OnStanza(Stanza stanza) override {
    log += "[stanza ";
    AppendXml(log, stanza, Framing::kStream);
    log += " traits=" + std::to_string(stanza.traits());
    if (!stanza.payload_name().empty())
      log += " {" + stanza.payload_namespace() + "}" + stanza.payload_name();
    log += "]";
    stanzas.push_back(std::move(stanza));
    After();
  }
  void OnElement(const Element& element) override {
    log += "[element " + element.ToXml() + "]";
    After();
  }
  void OnStreamClose() override {
    log += "[close]";
    After();
  }

  std::string log;
  std::vector<Stanza> stanzas;
  std::function<void()> after;

 private:
  void After() {
    if (after) after();
  }
};

// Returns what the parser says of `pieces`, its error last.
std::string RunPieces(const std::vector<std::string_view>& pieces, const ParserLimits& limits = {},
                      Framing framing = Framing::kStream) {
  Recorder recorder;
  StreamParser parser(framing, recorder, limits);
  StreamParseError error = StreamParseError::kNone;
  for (std::string_view piece : pieces) {
    std::size_t consumed = 0;
    // A heap copy of the right size lets AddressSanitizer see reads beyond the end.
    const std::vector<char> bytes(piece.begin(), piece.end());
    error = parser.Parse(std::string_view(bytes.data(), bytes.size()), &consumed);
    if (error != StreamParseError::kNone) break;
    EXPECT_EQ(consumed, piece.size());
  }
  return recorder.log + " " + ErrorName(error);
}

std::string Whole(std::string_view input, const ParserLimits& limits = {}) {
  return RunPieces({input}, limits);
}

std::string InStream(std::string_view input, const ParserLimits& limits = {}) {
  const std::string result = Whole(std::string(kHeader) + std::string(input), limits);
  return result.substr(result.find("in jabber:client]") + 17);
}

std::string Message(std::string_view input, const ParserLimits& limits = {}) {
  return RunPieces({input}, limits, Framing::kWebSocket);
}

// --- what comes out ---

TEST(StreamParser, HeaderThenStanzasThenClose) {
  EXPECT_EQ(Whole(std::string(kHeader) + "<message to='a@b' id='1' type='chat'><body>hi</body></message>"
                                         "<presence/></stream:stream>"),
            "[open <stream xmlns=\"http://etherx.jabber.org/streams\" to=\"example.com\" version=\"1.0\" "
            "xml:lang=\"en\"/> in jabber:client]"
            "[stanza <message to=\"a@b\" id=\"1\" type=\"chat\"><body>hi</body></message> traits=1]"
            "[stanza <presence/> traits=0][close] none");
}

TEST(StreamParser, HeaderWithoutDeclarationAndSelfClosed) {
  EXPECT_EQ(Whole("<s:stream xmlns='x' xmlns:s='http://etherx.jabber.org/streams'/>"),
            "[open <stream xmlns=\"http://etherx.jabber.org/streams\"/> in x][close] none");
  EXPECT_EQ(Whole("<stream/>"), "[open <stream/> in ][close] none");
}

TEST(StreamParser, HeaderWithAGreaterThanInAnAttribute) {
  EXPECT_EQ(Whole("<s a='>' b='/>'><c d='>'/><e f='/>'>></e></s>"),
            "[open <s a=\"&gt;\" b=\"/&gt;\"/> in ][element <c d=\"&gt;\"/>][element <e "
            "f=\"/&gt;\">&gt;</e>][close] none");
}

TEST(StreamParser, OtherElements) {
  EXPECT_EQ(InStream("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth><foo/>"),
            "[element <auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\" mechanism=\"PLAIN\">AA==</auth>]"
            "[element <foo xmlns=\"jabber:client\"/>] none");
  EXPECT_EQ(InStream("<message xmlns='jabber:server'/>"),
            "[element <message xmlns=\"jabber:server\"/>] none");
}

TEST(StreamParser, IqNamesItsOnlyChild) {
  EXPECT_EQ(InStream("<iq type='get' id='1'> <query xmlns='jabber:iq:roster'/> </iq>"),
            "[stanza <iq id=\"1\" type=\"get\"> <query xmlns=\"jabber:iq:roster\"/> </iq> traits=65536 "
            "{jabber:iq:roster}query] none");
  EXPECT_EQ(InStream("<iq type='set'><a/><b/></iq>"),
            "[stanza <iq type=\"set\"><a/><b/></iq> traits=65536] none");
  EXPECT_EQ(InStream("<iq type='result'><a/></iq>"),
            "[stanza <iq type=\"result\"><a/></iq> traits=65536] none");
}

TEST(StreamParser, ForeignStanzaAttributesAreLeftOut) {
  EXPECT_EQ(InStream("<presence foo='1' xml:lang='de' xmlns:p='urn:p' p:type='x' type='unavailable'/>"),
            "[stanza <presence type=\"unavailable\" xml:lang=\"de\"/> traits=0] none");
}

TEST(StreamParser, TraitsWhileParsing) {
  auto traits = [](std::string_view child) {
    const std::string log = InStream("<message>" + std::string(child) + "</message>");
    return std::stoul(log.substr(log.find("traits=") + 7));
  };
  EXPECT_EQ(traits("<body/>"), 0u);
  EXPECT_EQ(traits("<body></body>"), 0u);
  EXPECT_EQ(traits("<body>x</body>"), 1u);
  EXPECT_EQ(traits("<body><b>x</b></body>"), 0u);
  EXPECT_EQ(traits("<x xmlns='urn:y'><body xmlns='jabber:client'>x</body></x>"), 65536u);
  EXPECT_EQ(traits("<active xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>"), 2u);
  EXPECT_EQ(traits("<x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b'/></x>"), 1024u + 2048u);
  EXPECT_EQ(traits("<x xmlns='http://jabber.org/protocol/muc#user'><y><invite/></y></x>"), 1024u);
  EXPECT_EQ(traits("<y xmlns='http://jabber.org/protocol/muc#user'><invite/></y>"), 65536u);
  EXPECT_EQ(traits("<body>x</body><no-store xmlns='urn:xmpp:hints'/><request xmlns='urn:xmpp:receipts'/>"),
            1u + 4u + 512u);
}

TEST(StreamParser, TraitsAgreeWithFromElement) {
  for (std::string child : {"<body>x</body>", "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>",
                            "<delay xmlns='urn:xmpp:delay' stamp='x'/>", "<subject>s</subject>", "<body/>",
                            "<sent xmlns='urn:xmpp:carbons:2'><a><b/></a></sent>"}) {
    Recorder recorder;
    StreamParser parser(Framing::kStream, recorder, {});
    std::size_t consumed = 0;
    parser.Parse(std::string(kHeader) + "<message>" + child + "</message>", &consumed);
    const Stanza& stanza = recorder.stanzas.at(0);
    Element message("message", ns::kClient);
    auto parts = ParsePayload(stanza.payload());
    ASSERT_TRUE(parts.ok());
    for (Element& part : *parts) message.Add(std::move(part));
    EXPECT_EQ(FromElement(message)->SerializeAsString(), stanza.SerializeAsString()) << child;
  }
}

// --- canonical XML ---

TEST(StreamParserCanonical, PrefixesBecomeDefaultNamespaces) {
  EXPECT_EQ(
      InStream("<p:message xmlns:p='jabber:client'><p:body>x</p:body><q:a xmlns:q='urn:q'><q:b/><p:c/><d "
               "xmlns=''/></q:a></p:message>"),
      "[stanza <message><body>x</body><a xmlns=\"urn:q\"><b/><c xmlns=\"jabber:client\"/><d xmlns=\"\"/></a>"
      "</message> traits=65537] none");
}

TEST(StreamParserCanonical, PrefixOfTheStreamHeader) {
  EXPECT_EQ(InStream("<message><stream:x/></message><stream:error><a/></stream:error>"),
            "[stanza <message><x xmlns=\"http://etherx.jabber.org/streams\"/></message> traits=65536]"
            "[element <error xmlns=\"http://etherx.jabber.org/streams\"><a "
            "xmlns=\"jabber:client\"/></error>] none");
}

TEST(StreamParserCanonical, PrefixedAttributesDeclareTheirPrefix) {
  EXPECT_EQ(
      InStream(
          "<iq xmlns:z='urn:z'><a z:k='1' b='2' y:k='3' z:l='4' xmlns:y='urn:y' xml:space='preserve'/></iq>"),
      "[stanza <iq><a xmlns:ns0=\"urn:z\" ns0:k=\"1\" b=\"2\" xmlns:ns1=\"urn:y\" ns1:k=\"3\" ns0:l=\"4\" "
      "xml:space=\"preserve\"/></iq> traits=65536] none");
}

TEST(StreamParserCanonical, CharacterDataKeepsItsMeaning) {
  EXPECT_EQ(InStream("<message><body>a<![CDATA[<b>&c;]]>&lt;&#x41;&#13;\r\n\t'\"&gt;</body><a/><b></b><c> "
                     "</c></message>"),
            "[stanza <message><body>a&lt;b&gt;&amp;c;&lt;A&#13;\n\t'\"&gt;</body><a/><b/><c> </c></message> "
            "traits=65537] none");
}

TEST(StreamParserCanonical, AttributeValues) {
  EXPECT_EQ(InStream("<message><a b='x\ty\nz&#9;&#10;&#13;&quot;&apos;&lt;'/></message>"),
            "[stanza <message><a b=\"x y z&#9;&#10;&#13;&quot;&apos;&lt;\"/></message> traits=65536] none");
  EXPECT_EQ(InStream("<message id='&#10;&quot;'/>"), "[stanza <message id=\"&#10;&quot;\"/> traits=0] none");
}

TEST(StreamParserCanonical, WhiteSpaceInsideStanzasStays) {
  EXPECT_EQ(InStream("<message>\n <body>x</body>\n</message>"),
            "[stanza <message>\n <body>x</body>\n</message> traits=1] none");
}

TEST(StreamParserCanonical, OutputParsesToTheSame) {
  const std::string input =
      "<message to='x@y'><a:b xmlns:a='urn:a' a:c='&lt;'>t<a:d xmlns:a='urn:e' "
      "a:f=''/>&amp;</a:b>&#x1F600;</message>";
  Recorder first;
  StreamParser parser(Framing::kStream, first, {});
  std::size_t consumed = 0;
  ASSERT_EQ(parser.Parse(std::string(kHeader) + input, &consumed), StreamParseError::kNone);
  std::string xml;
  AppendXml(xml, first.stanzas.at(0), Framing::kStream);
  ASSERT_EQ(parser.Parse(xml, &consumed), StreamParseError::kNone);
  EXPECT_EQ(first.stanzas.at(0).SerializeAsString(), first.stanzas.at(1).SerializeAsString());
}

// --- what is refused ---

TEST(StreamParserRefuses, Rfc6120Section111RestrictedXml) {
  EXPECT_EQ(InStream("<!-- c -->"), " restricted-xml");
  EXPECT_EQ(InStream("<?pi x?>"), " restricted-xml");
  EXPECT_EQ(InStream("<message><!-- c --></message>"), " restricted-xml");
  EXPECT_EQ(InStream("<message><?pi?></message>"), " restricted-xml");
  EXPECT_EQ(InStream("<message>&foo;</message>"), " restricted-xml");
  EXPECT_EQ(InStream("<message id='&foo;'/>"), " restricted-xml");
  EXPECT_EQ(Whole("<!DOCTYPE a><a/>"), " restricted-xml");
  EXPECT_EQ(Whole("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>"), " restricted-xml");
  EXPECT_EQ(Whole("<!-- c --><a/>"), " restricted-xml");
  EXPECT_EQ(Whole("<?pi?><a/>"), " restricted-xml");
  EXPECT_EQ(Whole("<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><a>&c;</a>"), " restricted-xml");
}

TEST(StreamParserRefuses, BillionLaughs) {
  std::string bomb = "<!DOCTYPE l [<!ENTITY l0 'lol'>";
  for (int i = 1; i < 10; ++i) {
    bomb += "<!ENTITY l" + std::to_string(i) + " '";
    for (int k = 0; k < 10; ++k) bomb += "&l" + std::to_string(i - 1) + ";";
    bomb += "'>";
  }
  EXPECT_EQ(Whole(bomb + "]><l>&l9;</l>"), " restricted-xml");
}

TEST(StreamParserRefuses, NotWellFormed) {
  for (std::string text : {"<message></presence>",
                           "</message>",
                           "<message",
                           "<a b='1' b='2'/>",
                           "<a b=1/>",
                           "<a b/>",
                           "<>",
                           "< a/>",
                           "<a:b:c xmlns:a='x'/>",
                           "<:a/>",
                           "<a:/>",
                           "<a:1 xmlns:a='x'/>",
                           "<message>&#0;",
                           "<message>&#xFFFE;",
                           "<message>&#xD800;",
                           "<message>]]>",
                           "<message><body>a</message>",
                           "<message>a\x01",
                           "<message>&lt",
                           "<?xml version='1.0'?>",
                           "<!DOCTYPE a>",
                           "<a b='<'/>",
                           "<a x:b='' y:b='' xmlns:x='u' xmlns:y='u'/>"}) {
    const std::string result = InStream(text + "<b/>");
    EXPECT_EQ(result.substr(result.rfind(' ')), " not-well-formed") << text;
  }
  EXPECT_EQ(Whole("hello"), " not-well-formed");
  EXPECT_EQ(Whole("<a></a><b/>"), "[open <a/> in ][close] not-well-formed");
}

TEST(StreamParserRefuses, BadUtf8) {
  using std::string_literals::operator""s;
  for (const std::string& bytes :
       {"\0"s, "\xC0\x80"s, "\xC1\xBF"s, "\xE0\x80\x80"s, "\xE0\x9F\xBF"s, "\xED\xA0\x80"s, "\xED\xBF\xBF"s,
        "\xF0\x80\x80\x80"s, "\xF0\x8F\xBF\xBF"s, "\xF4\x90\x80\x80"s, "\xF5\x80\x80\x80"s, "\xFF"s, "\xFE"s,
        "\x80"s, "\xEF\xBF\xBE"s, "\xEF\xBF\xBF"s, "\xC3\x28"s}) {
    EXPECT_EQ(InStream("<message><body>" + bytes + "</body></message>"), " not-well-formed");
    EXPECT_EQ(InStream("<message id='" + bytes + "'/>"), " not-well-formed");
    EXPECT_EQ(InStream("<" + bytes + "/>"), " not-well-formed");
    EXPECT_EQ(InStream(bytes + "<a/>"), " not-well-formed");
  }
}

TEST(StreamParserRefuses, NamespacePrefixes) {
  for (std::string text :
       {"<x:a/>", "<a x:b='1'/>", "<message><x:a/></message>", "<a xmlns:x=''/>", "<xmlns:a/>",
        "<a xmlns:xmlns='u'/>", "<a xmlns:xml='u'/>", "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<a xmlns:b='http://www.w3.org/XML/1998/namespace'/>"}) {
    EXPECT_EQ(InStream(text), " bad-namespace-prefix") << text;
  }
  EXPECT_EQ(InStream("<a xmlns:x='u'/><x:a/>"),
            "[element <a xmlns=\"jabber:client\"/>] bad-namespace-prefix");
  EXPECT_EQ(Whole("<stream:stream/>"), " bad-namespace-prefix");
}

TEST(StreamParserRefuses, TextBetweenStanzas) {
  EXPECT_EQ(InStream("x"), " bad-format");
  EXPECT_EQ(InStream("<presence/> x"), "[stanza <presence/> traits=0] bad-format");
  EXPECT_EQ(InStream("<![CDATA[x]]>"), " bad-format");
  EXPECT_EQ(InStream("<![CDATA[]]>"), " bad-format");
  EXPECT_EQ(InStream("&#32;"), " bad-format");
  EXPECT_EQ(InStream("&amp;"), " bad-format");
}

TEST(StreamParserEncoding, Utf8Only) {
  EXPECT_EQ(Whole("<?xml version='1.0' encoding='UTF-8'?><a>"), "[open <a/> in ] none");
  EXPECT_EQ(Whole("<?xml version='1.0' encoding='utf-8' standalone='yes'?><a>"), "[open <a/> in ] none");
  EXPECT_EQ(Whole("<?xml version='1.0' encoding='ISO-8859-1'?><a>"), " unsupported-encoding");
  EXPECT_EQ(Whole("<?xml version='1.0' encoding='UTF-16'?><a>"), " unsupported-encoding");
  EXPECT_EQ(Whole("<?xml version='1.0' encoding='x-unknown'?><a>"), " unsupported-encoding");
  EXPECT_EQ(Whole("\xFF\xFE<\0a\0>\0"), " unsupported-encoding");
  EXPECT_EQ(Whole("\xFE\xFF"), " unsupported-encoding");
  EXPECT_EQ(Whole(std::string_view("<\0a\0/\0>\0", 8)), " not-well-formed");
  EXPECT_EQ(Whole(std::string_view("\0<\0a\0/\0>", 8)), " not-well-formed");
}

TEST(StreamParserEncoding, ByteOrderMark) {
  EXPECT_EQ(Whole("\xEF\xBB\xBF<?xml version='1.0'?><a>"), "[open <a/> in ] none");
  EXPECT_EQ(Whole("\xEF\xBB\xBF\xEF\xBB\xBF<a>"), " not-well-formed");
  EXPECT_EQ(Whole("\xEF\xBB<a>"), " not-well-formed");
  EXPECT_EQ(Whole("\xEF<a>"), " not-well-formed");
}

TEST(StreamParserEncoding, DeclarationOnlyAtTheBeginning) {
  EXPECT_EQ(Whole("<?xml version='1.0'?><?xml version='1.0'?><a>"), " not-well-formed");
  // White space that a client sent after the last element of the stream before.
  EXPECT_EQ(Whole("\n <?xml version='1.0'?> <a>"), "[open <a/> in ] none");
}

// --- limits ---

std::string Repeat(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(StreamParserLimits, StanzaBytes) {
  ParserLimits limits;
  limits.max_stanza_bytes = 300;
  const std::string stanza = "<message><body>" + std::string(300 - 15 - 17, 'x') + "</body></message>";
  ASSERT_EQ(stanza.size(), 300u);
  const std::string result = InStream(stanza + stanza + "<presence/>", limits);
  EXPECT_TRUE(result.ends_with("[stanza <presence/> traits=0] none")) << result;
  std::string longer = stanza;
  longer.insert(20, "x");
  EXPECT_EQ(InStream(longer, limits), " policy-violation");
  // At once, whatever the bytes are: inside a tag, a comment, text.
  EXPECT_EQ(InStream("<message id='" + std::string(290, 'x'), limits), " policy-violation");
  EXPECT_EQ(InStream("<message id='" + std::string(280, 'x'), limits), " none");
  EXPECT_EQ(InStream("<!--" + std::string(296, 'x'), limits), " policy-violation");
  EXPECT_EQ(InStream(std::string(300, '<'), limits), " not-well-formed");
  limits.max_stanza_bytes = 20;
  EXPECT_EQ(Whole(kHeader, limits), " policy-violation");
}

TEST(StreamParserLimits, Depth) {
  ParserLimits limits;
  limits.max_depth = 4;
  EXPECT_TRUE(InStream("<message>" + Repeat("<a>", 3) + Repeat("</a>", 3) + "</message>", limits)
                  .ends_with("] none"));
  EXPECT_EQ(InStream("<message>" + Repeat("<a>", 4), limits), " policy-violation");
  EXPECT_EQ(InStream("<foo>" + Repeat("<a>", 4), limits), " policy-violation");
  EXPECT_EQ(InStream(Repeat("<a>", 100'000)), " policy-violation");
}

TEST(StreamParserLimits, Attributes) {
  ParserLimits limits;
  limits.max_attributes = 3;
  EXPECT_TRUE(InStream("<message a='' b='' c=''/>", limits).ends_with("] none"));
  EXPECT_EQ(InStream("<message a='' b='' c='' d=''/>", limits), " policy-violation");
  std::string many = "<message ";
  for (int i = 0; i < 10'000; ++i) many += "a" + std::to_string(i) + "='' ";
  EXPECT_EQ(InStream(many + "/>"), " policy-violation");
}

TEST(StreamParserLimits, Names) {
  ParserLimits limits;
  limits.max_name_bytes = 40;
  const std::string fits(40, 'n');
  EXPECT_TRUE(InStream("<" + fits + "/>", limits).ends_with("] none"));
  EXPECT_EQ(InStream("<" + fits + "n/>", limits), " policy-violation");
  EXPECT_TRUE(InStream("<a " + fits + "=''/>", limits).ends_with("] none"));
  EXPECT_EQ(InStream("<a " + fits + "n=''/>", limits), " policy-violation");
  EXPECT_TRUE(InStream("<a xmlns:" + fits + "='u'/>", limits).ends_with("] none"));
  EXPECT_EQ(InStream("<a xmlns:" + fits + "n='u'/>", limits), " policy-violation");
  EXPECT_TRUE(InStream("<a xmlns='" + fits + "'/>", limits).ends_with("] none"));
  EXPECT_EQ(InStream("<a xmlns='" + fits + "n'/>", limits), " policy-violation");
}

TEST(StreamParserLimits, Namespaces) {
  ParserLimits limits;
  limits.max_namespaces = 2;
  EXPECT_TRUE(InStream(Repeat("<a xmlns='u'><b xmlns='v'/></a>", 3), limits).ends_with("] none"));
  EXPECT_EQ(InStream("<a xmlns='u'><b xmlns='v'/><c xmlns='u'/></a>", limits), " policy-violation");
}

TEST(StreamParserLimits, Elements) {
  ParserLimits limits;
  limits.max_elements = 3;
  EXPECT_TRUE(InStream(Repeat("<iq><a/><b/></iq>", 3), limits).ends_with("] none"));
  EXPECT_EQ(InStream("<iq><a/><b/><c/></iq>", limits), " policy-violation");
}

TEST(StreamParserLimits, WhiteSpace) {
  ParserLimits limits;
  limits.max_white_space_bytes = 4;
  EXPECT_TRUE(InStream("    <iq/>\n\n\n\n<iq/>\t\t\r\r", limits).ends_with("] none"));
  EXPECT_TRUE(InStream("     <iq/>", limits).ends_with(" policy-violation"));
  const std::string header(kHeader);
  EXPECT_TRUE(RunPieces({header, "  ", "  "}, limits).ends_with("] none"));
  EXPECT_TRUE(RunPieces({header, "  ", "  ", " "}, limits).ends_with("] policy-violation"));
}

TEST(StreamParserLimits, NamespaceNamesAreNotMultiplied) {
  // 8000 elements that name a namespace of 500 bytes with one letter.
  const std::string bomb =
      "<message xmlns:p='" + std::string(500, 'u') + "'>" + Repeat("<p:a/>", 8000) + "</message>";
  EXPECT_EQ(InStream(bomb), " policy-violation");
  EXPECT_EQ(InStream("<foo xmlns:p='" + std::string(500, 'u') + "'>" + Repeat("<p:a/>", 8000) + "</foo>"),
            " policy-violation");
  // 64 attributes of that namespace on each of many elements.
  std::string tag = "<a";
  for (int i = 0; i < 60; ++i)
    tag += " p:" + std::string(1, static_cast<char>('A' + i % 26)) + std::to_string(i) + "=''";
  EXPECT_EQ(InStream("<foo xmlns:p='" + std::string(500, 'u') + "'>" + Repeat(tag + "/>", 300) + "</foo>"),
            " policy-violation");
}

TEST(StreamParserLimits, WhatIsBuiltOfAHalfSentElementIsBounded) {
  // Tags of the most attributes that one may have, and what is around them, in few bytes each.
  std::string tag = "<a";
  for (int i = 0; i < 60; ++i)
    tag += " " + std::string(1, static_cast<char>('A' + i % 26)) + static_cast<char>('a' + i / 26) + "=''";
  const std::string elements = Repeat("<a/>", 8000);
  const std::string attributes = Repeat(tag + "/>", 600);
  const std::string texts = Repeat("<a/>x", 8000);
  for (const std::string& inside : {elements, attributes, texts}) {
    ASSERT_LT(inside.size(), ParserLimits{}.max_stanza_bytes - 10);
    EXPECT_EQ(InStream("<foo>" + inside), " policy-violation") << inside.substr(0, 10);
  }
  // Expat remembers each name, of a stanza too.
  std::string names;
  for (int i = 0; i < 400; ++i) {
    names += "<a";
    for (int k = 0; k < 60; ++k) names += " x" + std::to_string(i * 60 + k) + "=''";
    names += "/>";
  }
  ASSERT_LT(names.size(), ParserLimits{}.max_stanza_bytes - 10);
  EXPECT_EQ(InStream("<message>" + names), " policy-violation");
  // What may be sent before sign-in is less, and so is what is built of it.
  ParserLimits before_auth;
  before_auth.max_stanza_bytes = 10'000;
  EXPECT_EQ(InStream("<foo>" + Repeat("<a b=''/>", 500), before_auth), " policy-violation");
  EXPECT_EQ(InStream("<foo>" + Repeat("<field var='name'><value>some text</value></field>", 30), before_auth),
            " none");
  EXPECT_EQ(
      InStream("<message>" + Repeat("<field var='name'><value>some text</value></field>", 150), before_auth),
      " none");
}

TEST(StreamParserLimits, ChangeWhileRunning) {
  Recorder recorder;
  StreamParser parser(Framing::kStream, recorder, {});
  std::size_t consumed = 0;
  ASSERT_EQ(parser.Parse(kHeader, &consumed), StreamParseError::kNone);
  ASSERT_EQ(parser.Parse("<message><body>xxxxxxxxxxxxxxxxx", &consumed), StreamParseError::kNone);
  ParserLimits limits;
  limits.max_stanza_bytes = 30;
  parser.set_limits(limits);
  EXPECT_EQ(parser.Parse("x", &consumed), StreamParseError::kPolicyViolation);
}

TEST(StreamParserLimits, LargeTagInSmallPieces) {
  // Expat scans an unfinished tag from its beginning each time: that must not cost
  // seconds. 200 KiB byte by byte, of harmless letters and of `>`.
  for (char c : {'x', '>'}) {
    Recorder recorder;
    StreamParser parser(Framing::kStream, recorder, {});
    std::size_t consumed = 0;
    ASSERT_EQ(parser.Parse(std::string(kHeader) + "<message id='", &consumed), StreamParseError::kNone);
    for (int i = 0; i < 200 * 1024; ++i) {
      ASSERT_EQ(parser.Parse(std::string_view(&c, 1), &consumed), StreamParseError::kNone);
    }
    ASSERT_EQ(parser.Parse("'/>", &consumed), StreamParseError::kNone);
    EXPECT_EQ(recorder.stanzas.at(0).id().size(), 200u * 1024);
  }
}

TEST(StreamParserLimits, LargeInnerTagInSmallPieces) {
  for (char c : {'x', '>'}) {
    Recorder recorder;
    StreamParser parser(Framing::kStream, recorder, {});
    std::size_t consumed = 0;
    ASSERT_EQ(parser.Parse(std::string(kHeader) + "<message><a b='", &consumed), StreamParseError::kNone);
    StreamParseError error = StreamParseError::kNone;
    for (int i = 0; i < 200 * 1024 && error == StreamParseError::kNone; ++i) {
      error = parser.Parse(std::string_view(&c, 1), &consumed);
    }
    if (c == 'x') {
      ASSERT_EQ(error, StreamParseError::kNone);
      ASSERT_EQ(parser.Parse("'/></message>", &consumed), StreamParseError::kNone);
      EXPECT_EQ(recorder.stanzas.at(0).payload().size(), 200u * 1024 + 9);
    } else {
      EXPECT_EQ(error, StreamParseError::kPolicyViolation);
    }
  }
}

TEST(StreamParserLimits, OneReadIsNotCutIntoManyPieces) {
  // Something that looks like the end of the element, many times over.
  const std::string attribute = "<message id='" + std::string(200 * 1024, '>') + "'/>";
  EXPECT_TRUE(InStream(attribute).ends_with("] none"));
  std::string message = attribute;
  message.insert(8, " xmlns='jabber:client'");
  EXPECT_TRUE(Message(message).ends_with("] none"));
  const std::string inner = "<a><b c='" + std::string(200 * 1024, '>') + "'/></a>";
  EXPECT_TRUE(InStream(inner).ends_with("] none"));
  EXPECT_TRUE(Message(inner).ends_with("] none"));
  EXPECT_TRUE(Message("<a><![CDATA[" + Repeat("</a>", 60'000) + "]]></a>").ends_with("] none"));
  EXPECT_EQ(Message("<a><!--" + Repeat("</a>", 60'000) + "--></a>"), " policy-violation");
}

// --- stopping and starting ---

TEST(StreamParserControl, ErrorsLast) {
  Recorder recorder;
  StreamParser parser(Framing::kStream, recorder, {});
  std::size_t consumed = 0;
  EXPECT_EQ(parser.Parse("<a><b></c>", &consumed), StreamParseError::kNotWellFormed);
  recorder.log.clear();
  EXPECT_EQ(parser.Parse("<a>", &consumed), StreamParseError::kNotWellFormed);
  EXPECT_EQ(consumed, 0u);
  EXPECT_EQ(recorder.log, "");
  parser.Reset();
  EXPECT_EQ(parser.Parse("<a>", &consumed), StreamParseError::kNone);
  EXPECT_EQ(recorder.log, "[open <a/> in ]");
}

TEST(StreamParserControl, PauseLeavesTheRest) {
  Recorder recorder;
  StreamParser parser(Framing::kStream, recorder, {});
  recorder.after = [&] { parser.Pause(); };
  const std::string input = std::string(kHeader) + "<presence/> <iq/></stream:stream>";
  std::string_view rest = input;
  std::vector<std::size_t> steps;
  while (!rest.empty()) {
    std::size_t consumed = 0;
    ASSERT_EQ(parser.Parse(rest, &consumed), StreamParseError::kNone);
    steps.push_back(consumed);
    rest.remove_prefix(consumed);
  }
  EXPECT_EQ(steps, (std::vector<std::size_t>{kHeader.size(), 11, 6, 16}));
}

TEST(StreamParserControl, ResetInTheHandlerStartsANewStream) {
  Recorder recorder;
  StreamParser parser(Framing::kStream, recorder, {});
  recorder.after = [&] {
    if (recorder.log.ends_with("[element <auth/>]")) parser.Reset();
  };
  const std::string input = "<s><auth/>\n<?xml version='1.0'?><t><u/>";
  std::size_t consumed = 0;
  ASSERT_EQ(parser.Parse(input, &consumed), StreamParseError::kNone);
  EXPECT_EQ(consumed, 10u);
  ASSERT_EQ(parser.Parse(input.substr(consumed), &consumed), StreamParseError::kNone);
  EXPECT_EQ(recorder.log, "[open <s/> in ][element <auth/>][open <t/> in ][element <u/>]");
}

TEST(StreamParserControl, ResetForgetsAHalfStanza) {
  Recorder recorder;
  StreamParser parser(Framing::kStream, recorder, {});
  std::size_t consumed = 0;
  parser.Parse("<s><message><body>x", &consumed);
  parser.Reset();
  EXPECT_EQ(parser.Parse("<t/>", &consumed), StreamParseError::kNone);
  EXPECT_EQ(recorder.log, "[open <s/> in ][open <t/> in ][close]");
}

TEST(StreamParserControl, StreamsWithTheSameHeaderShareWorkers) {
  // Interleaved, with halves of stanzas: nothing of one is seen in another.
  constexpr int kStreams = 40;
  std::vector<Recorder> recorders(kStreams);
  std::vector<std::unique_ptr<StreamParser>> parsers;
  std::size_t consumed = 0;
  for (Recorder& recorder : recorders) {
    parsers.push_back(std::make_unique<StreamParser>(Framing::kStream, recorder, ParserLimits{}));
    parsers.back()->Parse(kHeader, &consumed);
  }
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < kStreams; ++i) {
      parsers[i]->Parse("<message id='" + std::to_string(i) + "'><x xmlns='u" + std::to_string(i) + "'>",
                        &consumed);
    }
    for (int i = 0; i < kStreams; ++i) parsers[i]->Parse("</x></message>", &consumed);
  }
  for (int i = 0; i < kStreams; ++i) {
    ASSERT_EQ(recorders[i].stanzas.size(), 3u);
    EXPECT_EQ(recorders[i].stanzas[2].id(), std::to_string(i));
    EXPECT_EQ(recorders[i].stanzas[2].payload(), "<x xmlns=\"u" + std::to_string(i) + "\"/>");
  }
}

TEST(StreamParserControl, ManyDifferentNames) {
  // More than a worker's life: expat's memory of names must not add up, nor may the
  // change of workers be seen.
  Recorder recorder;
  StreamParser parser(Framing::kStream, recorder, {});
  std::size_t consumed = 0;
  parser.Parse(kHeader, &consumed);
  const std::string filler(1000, 'f');
  for (int i = 0; i < 5000; ++i) {
    const std::string name = "n" + std::to_string(i);
    ASSERT_EQ(parser.Parse("<message><" + name + ">" + filler + "</" + name + "></message>", &consumed),
              StreamParseError::kNone);
  }
  EXPECT_EQ(recorder.stanzas.size(), 5000u);
}

// --- WebSocket ---

TEST(StreamParserWebSocket, Rfc7395Framing) {
  EXPECT_EQ(Message("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a' version='1.0'/>"),
            "[open <open xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" to=\"a\" version=\"1.0\"/> in "
            "jabber:client] none");
  EXPECT_EQ(Message("<f:close xmlns:f='urn:ietf:params:xml:ns:xmpp-framing'></f:close>"), "[close] none");
  EXPECT_EQ(Message("<message xmlns='jabber:client'><body>x</body></message>"),
            "[stanza <message><body>x</body></message> traits=1] none");
  EXPECT_EQ(Message("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
            "[element <auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>] none");
  EXPECT_EQ(Message("<message/>"), "[element <message/>] none");
  EXPECT_EQ(Message(" <a b='>'><a></a></a >\n"), "[element <a b=\"&gt;\"><a/></a>] none");
}

TEST(StreamParserWebSocket, Declarations) {
  EXPECT_EQ(Message("<?xml version='1.0'?><a/>"), "[element <a/>] none");
  EXPECT_EQ(Message("\xEF\xBB\xBF<?xml version='1.0' encoding='UTF-8'?>\n<presence "
                    "xmlns='jabber:client'><a/></presence>\n"),
            "[stanza <presence><a/></presence> traits=65536] none");
  EXPECT_EQ(Message("<?xml version='1.0' encoding='UTF-16'?><a/>"), " unsupported-encoding");
  EXPECT_EQ(Message(" <?xml version='1.0'?><a/>"), " not-well-formed");
}

TEST(StreamParserWebSocket, EachMessageIsOneDocument) {
  for (std::string text : {"", " ", "x", "<a>", "<a/><b/>", "<a/>x", "</a>", "</message-root>", "<a></b>",
                           "<", "<?xml", "<?xml version='1.0'?>", "<?xml version='1.0'?><a/><b/>",
                           "<!DOCTYPE", "<a/></message-root>", "<a/>&#32;"}) {
    EXPECT_EQ(Message(text), " not-well-formed") << text;
  }
  for (std::string text : {"<!-- x --><a/>", "<a/><!-- x -->", "<a><!-- x --></a>", "<?pi?><a/>",
                           "<a/><?pi?>", "<!DOCTYPE a><a/>", "<a>&x;</a>",
                           "<?xml version='1.0'?><!-- x --><a/>", "<?xml version='1.0'?><a/><!-- x -->"}) {
    EXPECT_EQ(Message(text), " restricted-xml") << text;
  }
  EXPECT_EQ(Message("<x:a/>"), " bad-namespace-prefix");
  EXPECT_EQ(Message("\xFF\xFE"), " unsupported-encoding");
}

TEST(StreamParserWebSocket, Sequence) {
  EXPECT_EQ(RunPieces({"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "<iq xmlns='jabber:client'/>",
                       "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"},
                      {}, Framing::kWebSocket),
            "[open <open xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\"/> in jabber:client][stanza <iq/> "
            "traits=0][close] none");
}

TEST(StreamParserWebSocket, OpenAndCloseAreEmpty) {
  EXPECT_EQ(Message("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'><a/></open>"), " bad-format");
  EXPECT_EQ(Message("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'>x</close>"), " bad-format");
  EXPECT_EQ(Message("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'> </close>"), "[close] none");
}

TEST(StreamParserWebSocket, Limits) {
  ParserLimits limits;
  limits.max_stanza_bytes = 10;
  limits.max_depth = 2;
  EXPECT_EQ(Message("<abcdefg/>", limits), "[element <abcdefg/>] none");
  EXPECT_EQ(Message("<abcdefgh/>", limits), " policy-violation");
  limits.max_stanza_bytes = 100;
  EXPECT_EQ(Message("<a><b><c/></b></a>", limits), " policy-violation");
  EXPECT_EQ(Message("<?xml version='1.0'?><a><b><c/></b></a>", limits), " policy-violation");
  EXPECT_EQ(Message("<a><b/></a>", limits), "[element <a><b/></a>] none");
}

// --- properties ---

std::vector<std::string> SampleStreams() {
  using std::string_literals::operator""s;
  const std::string h(kHeader);
  return {
      h + "<message to='a@b' id='1'><body>\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80</body></message> "
          "\n<presence/>\n</stream:stream>\n",
      "\xEF\xBB\xBF \n" + h + "<iq type='get' id='&lt;&#x41;'><q xmlns='u' a:b='>' xmlns:a='v'/></iq>",
      h + "<message><message></message ><![CDATA[</message>]]]]><messages></messages></message\n><iq/>",
      h + "<m:message xmlns:m='jabber:client'><m:message/></m:message><x b='/>'>]]&gt;\r\n\r</x>",
      h + "<message>a<!-- x --></message>",
      h + "<presence/>x<presence/>",
      h + "<presence/><![CDATA[x]]>",
      h + "<presence/>&#32;<presence/>",
      h + "<presence/>&foo;",
      h + "<presence/>]]]]>",
      h + "<presence/>\xC3\xA9]]>",
      h + "<presence/>\xC3\xA9\xFF",
      h + "<a:b/>",
      h + "<a></b>",
      h + "<message>\xE2\x82</message>",
      h + "<message>\xED\xA0\x80</message>",
      h + "<message>\0</message>"s,
      h + "<message><body>" + std::string(200, 'y') + "</body></message>",
      h + "<message id='" + std::string(200, 'y') + "'/>",
      h + "<message id='" + std::string(200, 'y') + "\xFF'/>",
      h + std::string(80, ' ') + "<presence/>",
      h + "<a><b><c><d><e><f/></e></d></c></b></a>",
      "<stream a='>'/>  \n",
      "<?xml version='1.0' encoding='latin1'?><a>",
      "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
      "\xFF\xFE<",
      "\xEF\xBB<a>",
      "text",
      h + "</stream:stream><presence/>",
      h + "</stream:stream> <!-- x -->",
  };
}

ParserLimits SmallLimits() {
  ParserLimits limits;
  limits.max_stanza_bytes = 230;
  limits.max_depth = 5;
  limits.max_white_space_bytes = 64;
  return limits;
}

TEST(StreamParserProperty, EverySplitInTwoGivesTheSame) {
  for (const std::string& sample : SampleStreams()) {
    const std::string whole = Whole(sample, SmallLimits());
    for (std::size_t i = 0; i <= sample.size(); ++i) {
      const std::string_view view = sample;
      ASSERT_EQ(RunPieces({view.substr(0, i), view.substr(i)}, SmallLimits()), whole)
          << sample << " at " << i;
    }
  }
}

TEST(StreamParserProperty, ByteByByteGivesTheSame) {
  for (const std::string& sample : SampleStreams()) {
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < sample.size(); ++i) bytes.push_back(std::string_view(sample).substr(i, 1));
    EXPECT_EQ(RunPieces(bytes, SmallLimits()), Whole(sample, SmallLimits())) << sample;
  }
}

TEST(StreamParserProperty, RandomSplitsGiveTheSame) {
  std::mt19937 random(20261121);
  for (const std::string& sample : SampleStreams()) {
    const std::string whole = Whole(sample, SmallLimits());
    for (int round = 0; round < 100; ++round) {
      std::vector<std::string_view> pieces;
      for (std::size_t at = 0; at < sample.size();) {
        const std::size_t size = std::min<std::size_t>(1 + random() % 40, sample.size() - at);
        pieces.push_back(std::string_view(sample).substr(at, size));
        at += size;
      }
      ASSERT_EQ(RunPieces(pieces, SmallLimits()), whole) << sample;
    }
  }
}

TEST(StreamParserProperty, FinishedStanzasAreNotHeldBack) {
  // Each stanza is reported with its last byte, however it is cut.
  Recorder recorder;
  StreamParser parser(Framing::kStream, recorder, {});
  std::size_t consumed = 0;
  const std::string stanza = "<message id='x'><body>y</body></message>";
  parser.Parse(kHeader, &consumed);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < stanza.size(); ++i) {
      EXPECT_EQ(recorder.stanzas.size(), static_cast<std::size_t>(round));
      parser.Parse(std::string_view(stanza).substr(i, 1), &consumed);
    }
    EXPECT_EQ(recorder.stanzas.size(), static_cast<std::size_t>(round) + 1);
  }
}

TEST(StreamParserProperty, PrefixedLocalNamesAreNames) {
  // Canonical XML drops the prefix, so `p:X` may pass only where expat takes `X` as a
  // name. All of the BMP.
  int passed = 0;
  for (unsigned c = 0x80; c < 0x10000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string utf8;
    if (c < 0x800) {
      utf8 = {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
    } else {
      utf8 = {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
              static_cast<char>(0x80 | (c & 0x3F))};
    }
    if (Message("<p:" + utf8 + " xmlns:p='u'/>").find("[element") == std::string::npos) continue;
    ++passed;
    ASSERT_EQ(Message("<" + utf8 + "/>"), "[element <" + utf8 + "/>] none") << std::hex << c;
  }
  EXPECT_EQ(passed, 34'462);
}

}  // namespace
}  // namespace rookery::xmpp
