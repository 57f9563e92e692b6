#include <openssl/sha.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "rookery/base/absl_view.h"
#include "rookery/net/websocket.h"

namespace rookery::net {
namespace {

/// Whether one of the header's fields (it may be repeated) lists `token`.
bool ListHas(const HttpRequest& request, std::string_view name, std::string_view token, bool ignore_case) {
  for (const auto& [key, value] : request.headers) {
    if (!absl::EqualsIgnoreCase(key, AbslView(name))) continue;
    for (absl::string_view part : absl::StrSplit(value, ',')) {
      part = absl::StripAsciiWhitespace(part);
      if (ignore_case ? absl::EqualsIgnoreCase(part, AbslView(token)) : part == AbslView(token)) return true;
    }
  }
  return false;
}

std::size_t CountOf(const HttpRequest& request, std::string_view name) {
  std::size_t count = 0;
  for (const auto& header : request.headers)
    count += absl::EqualsIgnoreCase(header.first, AbslView(name)) ? 1 : 0;
  return count;
}

}  // namespace

absl::StatusOr<std::string> AcceptWebSocket(const HttpRequest& request, std::string_view protocol) {
  // RFC 6455 section 4.2.1, in its order.
  if (request.method != "GET") return absl::InvalidArgumentError("WebSocket: the method must be GET");
  if (request.version < 11) return absl::InvalidArgumentError("WebSocket: needs HTTP/1.1");
  if (request.Header("Host").empty()) return absl::InvalidArgumentError("WebSocket: Host is missing");
  if (!ListHas(request, "Upgrade", "websocket", true)) {
    return absl::InvalidArgumentError("WebSocket: Upgrade must name websocket");
  }
  if (!ListHas(request, "Connection", "upgrade", true)) {
    return absl::InvalidArgumentError("WebSocket: Connection must name Upgrade");
  }
  if (CountOf(request, "Sec-WebSocket-Version") != 1 || request.Header("Sec-WebSocket-Version") != "13") {
    return absl::FailedPreconditionError("WebSocket: Sec-WebSocket-Version must be 13");
  }
  const std::string_view key = request.Header("Sec-WebSocket-Key");
  std::string nonce;
  if (CountOf(request, "Sec-WebSocket-Key") != 1 || key.size() != 24 ||
      !absl::Base64Unescape(AbslView(key), &nonce) || nonce.size() != 16) {
    return absl::InvalidArgumentError("WebSocket: Sec-WebSocket-Key must be 16 bytes in base64");
  }
  if (!request.body.empty()) return absl::InvalidArgumentError("WebSocket: a handshake has no body");
  // Sub-protocol names are case-sensitive (RFC 6455 section 11.5).
  if (!ListHas(request, "Sec-WebSocket-Protocol", protocol, false)) {
    return absl::UnimplementedError(absl::StrCat("WebSocket: the sub-protocol must be ", AbslView(protocol)));
  }
  const std::string salted = absl::StrCat(AbslView(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(salted.data()), salted.size(), digest);
  const std::string accept =
      absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), sizeof digest));
  return absl::StrCat("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
                      "Sec-WebSocket-Accept: ", accept, "\r\nSec-WebSocket-Protocol: ", AbslView(protocol),
                      "\r\n\r\n");
}

}  // namespace rookery::net
