// The WebSocket handshake (RFC 6455 section 4.2) and the frames behind it. The last
// byte of the input chooses the cuts; without a handshake all of it is frames.

#include <string>

#include "fuzz_input.h"
#include "rookery/net/websocket.h"

namespace {

using rookery::fuzz::Input;
using rookery::fuzz::Pieces;
using rookery::fuzz::Require;
using rookery::fuzz::RequireSame;
using namespace rookery::net;  // NOLINT: what is tested

constexpr std::size_t kMaxMessage = 4096;

class Recorder : public WebSocketFramer::Handler {
 public:
  void OnMessage(std::string_view message, bool is_text) override {
    Require(!closed, "nothing after the close");
    Require(message.size() <= kMaxMessage, "messages keep the limit");
    log += is_text ? "text " : "binary ";
    log += message;
    log += '\n';
  }
  void OnOutput(std::string_view bytes) override {
    Require(!closed, "nothing after the close");
    output += bytes;
  }
  void OnWebSocketClosed(std::uint16_t code) override {
    Require(!closed, "closed once");
    Require(code >= 1000, "a status code");
    closed = true;
  }

  std::string log;
  std::string output;
  bool closed = false;
};

Recorder Frames(std::string_view bytes, Pieces* pieces) {
  Recorder recorder;
  WebSocketFramer framer(recorder, kMaxMessage);
  while (!bytes.empty() && !recorder.closed) {
    const std::size_t n = pieces == nullptr ? bytes.size() : pieces->Next(bytes.size());
    framer.Feed(bytes.substr(0, n));
    bytes.remove_prefix(n);
  }
  return recorder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Pieces pieces(input.Byte());
  std::string_view text = input.Rest();

  HttpRequestParser parser;
  parser.Append(text);
  const auto request = parser.Next();
  std::string rest;
  if (request.ok() && *request) {
    rest = parser.TakeRest();
    Require(rest.size() < text.size(), "a request has a length");
    const auto answer = AcceptWebSocket(**request, "xmpp");
    if (answer.ok()) {
      Require(answer->starts_with("HTTP/1.1 101 ") && answer->ends_with("\r\n\r\n"),
              "101 is a whole response");
      Require(answer->find("\r\n\r\n") == answer->size() - 4, "nothing of the request breaks the response");
    }
    text = rest;
  }

  const Recorder whole = Frames(text, nullptr);
  const Recorder cut = Frames(text, &pieces);
  // When a malformed frame is refused does depend on them: wslay looks at the bytes of a
  // Close that it has so far.
  RequireSame(whole.log, cut.log, "cuts do not change what is read");
  // A ping need not be answered once Close has come (RFC 6455 section 5.5.2), which it
  // may have in the same read.
  if (!whole.closed && !cut.closed)
    RequireSame(whole.output, cut.output, "cuts do not change what is answered");
  return 0;
}
