#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "rookery/net/http.h"

namespace rookery::net {

/// Checks an upgrade request (RFC 6455 section 4.2.1) for `protocol` and gives the
/// whole 101 response; INVALID_ARGUMENT, FAILED_PRECONDITION (another version of
/// WebSocket: 426, section 4.4) or UNIMPLEMENTED (no such sub-protocol) with what is wrong.
absl::StatusOr<std::string> AcceptWebSocket(const HttpRequest& request, std::string_view protocol);

/// RFC 6455 framing on top of any byte stream, server side, through wslay. Fragments
/// are joined, pings answered, masks and UTF-8 checked. No permessage-deflate. Between
/// two messages it holds no buffer. A message of more fragments, or with more control
/// frames between them, than anybody needs is refused with 1008: each costs memory
/// however short it is.
class WebSocketFramer {
 public:
  static constexpr std::size_t kMaxFragments = 1024;
  static constexpr std::size_t kMaxControlFramesInMessage = 128;

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnMessage(std::string_view message, bool is_text) = 0;
    /// A ping or a pong has come. The framer answers pings by itself.
    virtual void OnControlFrame() {}
    /// Bytes to write to the peer.
    virtual void OnOutput(std::string_view bytes) = 0;
    /// The peer sent Close, or broke the protocol: output holds our Close. Last call.
    virtual void OnWebSocketClosed(std::uint16_t code) = 0;
  };
  WebSocketFramer(Handler& handler, std::size_t max_message_bytes);
  ~WebSocketFramer();
  WebSocketFramer(const WebSocketFramer&) = delete;
  WebSocketFramer& operator=(const WebSocketFramer&) = delete;
  /// From the next frame on; may be called from the handler's calls.
  void set_max_message_bytes(std::size_t bytes);
  /// Bytes from the peer. The handler may destroy the framer from any of its calls.
  void Feed(std::string_view bytes);
  void SendText(std::string_view message);
  void SendBinary(std::string_view message);
  void SendClose(std::uint16_t code);
  void SendPing();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with a Feed in progress
};

}  // namespace rookery::net
