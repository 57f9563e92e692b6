#include "protocols/xmpp/stream_header.h"

#include <gtest/gtest.h>

#include "rookery/xmpp/ns.h"

namespace rookery::gateway {
namespace {

namespace ns = xmpp::ns;

const std::vector<std::string> kDomains{"example.com", "example.org"};

xmpp::Element Header() {
  xmpp::Element header("stream", ns::kStreams);
  header.SetAttr("to", "example.org").SetAttr("version", "1.0");
  return header;
}

ClientHeader Read(const xmpp::Element& header, std::string_view default_ns = ns::kClient,
                  xmpp::Framing framing = xmpp::Framing::kStream) {
  return ReadHeader(header, default_ns, framing, kDomains);
}

TEST(StreamHeader, NamesOneOfOurDomains) {
  const ClientHeader read = Read(Header().SetAttr("from", "a@B.example/c").SetAttr("lang", "de", ns::kXml));
  EXPECT_EQ(read.error, std::nullopt);
  EXPECT_EQ(read.domain, 1u);
  EXPECT_EQ(read.peer, "a@b.example");
  EXPECT_EQ(read.lang, "de");
}

TEST(StreamHeader, SaysWhatIsWrong) {
  EXPECT_EQ(Read(Header().SetAttr("to", "elsewhere.example")).error, StreamError::kHostUnknown);
  EXPECT_EQ(Read(Header().SetAttr("to", "")).error, StreamError::kImproperAddressing);
  EXPECT_EQ(Read(Header().SetAttr("to", "a b")).error, StreamError::kImproperAddressing);
  for (const char* version : {"", "0.9", "1", "x.0", "1.x"})
    EXPECT_EQ(Read(Header().SetAttr("version", version)).error, StreamError::kUnsupportedVersion) << version;
  EXPECT_EQ(Read(Header().SetAttr("version", "10.5")).error, std::nullopt);
  EXPECT_EQ(Read(Header(), ns::kServer).error, StreamError::kInvalidNamespace);
  EXPECT_EQ(Read(xmpp::Element("stream", ns::kClient)).error, StreamError::kInvalidNamespace);
  EXPECT_EQ(Read(xmpp::Element("other", ns::kStreams)).error, StreamError::kBadFormat);
  EXPECT_EQ(Read(Header(), ns::kClient, xmpp::Framing::kWebSocket).error, StreamError::kInvalidNamespace);
}

TEST(StreamHeader, ALanguageWithoutEndIsNone) {
  EXPECT_EQ(Read(Header().SetAttr("lang", std::string(256, 'l'), ns::kXml)).lang, "");
}

}  // namespace
}  // namespace rookery::gateway
