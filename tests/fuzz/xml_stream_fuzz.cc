// xmpp::StreamParser. The last byte of the input chooses framing, limits and the cuts.
// A stream must be read the same however it is cut, and what is read must survive being
// written and read again.

#include <algorithm>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "rookery/xmpp/stanza_limits.h"
#include "rookery/xmpp/stream_parser.h"

namespace {

using rookery::fuzz::Input;
using rookery::fuzz::Pieces;
using rookery::fuzz::Require;
using rookery::fuzz::RequireSame;
using namespace rookery::xmpp;  // NOLINT: what is tested

class Recorder : public StreamHandler {
 public:
  void OnStreamOpen(const Element& header, std::string_view default_ns) override {
    log += "open " + header.ToXml() + " " + std::string(default_ns) + "\n";
  }
  void OnStanza(Stanza stanza) override {
    log += stanza.SerializeAsString() + "\n";
    stanzas.push_back(std::move(stanza));
  }
  void OnElement(const Element& element) override { log += "element " + element.ToXml() + "\n"; }
  void OnStreamClose() override { log += "close\n"; }

  std::string log;
  std::vector<Stanza> stanzas;
};

void RequireWritable(const Stanza& stanza, const ParserLimits& limits) {
  auto children = ParsePayload(stanza.payload());
  Require(children.ok(), "canonical XML is XML");

  std::uint32_t traits = 0;
  for (const Element& child : *children) traits |= TraitsOf(child);
  Require(traits == stanza.traits(), "traits are those of the children");

  // Written and read again. Escaping may lengthen it, so without limits of size.
  ParserLimits wide = limits;
  wide.max_stanza_bytes = 1024 * 1024;
  wide.max_namespaces = wide.max_elements = 1024 * 1024;
  wide.max_attributes = 1024;
  std::string xml;
  AppendXml(xml, stanza, Framing::kWebSocket);
  Require(xml.size() == WrittenSize(stanza, Framing::kWebSocket), "the size is that of what is written");
  std::string on_stream;
  AppendXml(on_stream, stanza, Framing::kStream);
  Require(on_stream.size() == WrittenSize(stanza, Framing::kStream), "the same on a stream");
  if (!CheckStanza(stanza, limits.max_stanza_bytes)) {
    Require(std::max(xml.size(), on_stream.size()) <= limits.max_stanza_bytes,
            "what is accepted is within the limit in every framing");
  }
  Recorder again;
  StreamParser parser(Framing::kWebSocket, again, wide);
  std::size_t consumed = 0;
  Require(parser.Parse(xml, &consumed) == StreamParseError::kNone, "what is written can be read");
  Require(again.stanzas.size() == 1, "what is written is one stanza");
  Require(again.stanzas[0].SerializeAsString() == stanza.SerializeAsString(),
          "what is written is read the same");

  Stanza less = stanza;
  for (const Element& child : *children) RemovePayload(less, child.name(), child.ns());
  auto none = ParsePayload(less.payload());
  Require(none.ok() && none->empty(), "every child can be removed");
  Require(less.traits() == 0, "nothing has no traits");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t choice = input.Byte();
  const Framing framing = (choice & 1) ? Framing::kWebSocket : Framing::kStream;
  ParserLimits limits;
  limits.max_stanza_bytes = (choice & 2) ? 64 : 4096;
  limits.max_depth = (choice & 4) ? 3 : 64;
  limits.max_white_space_bytes = 16;
  const std::string_view text = input.Rest();

  Recorder whole;
  StreamParser parser(framing, whole, limits);
  std::size_t consumed = 0;
  const StreamParseError error = parser.Parse(text, &consumed);
  Require(error != StreamParseError::kNone || consumed == text.size(), "all is used");

  if (framing == Framing::kStream) {
    Recorder cut;
    StreamParser other(framing, cut, limits);
    Pieces pieces(choice);
    StreamParseError result = StreamParseError::kNone;
    for (std::size_t at = 0; at < text.size() && result == StreamParseError::kNone;) {
      const std::size_t n = pieces.Next(text.size() - at);
      result = other.Parse(text.substr(at, n), &consumed);
      at += n;
    }
    Require(result == error, "cuts do not change the verdict");
    RequireSame(whole.log, cut.log, "cuts do not change what is read");
  }
  for (const Stanza& stanza : whole.stanzas) RequireWritable(stanza, limits);
  return 0;
}
