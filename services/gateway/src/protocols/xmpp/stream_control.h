#pragma once

#include <string_view>

#include "domain/client_session.h"
#include "protocols/xmpp/stream_error.h"

namespace rookery::gateway {

/// The ways in which the parts of a stream may act on the stream itself. Implemented by ClientStream; the
/// parts know nothing else of it.
class StreamControl {
 public:
  virtual ~StreamControl() = default;
  virtual void SendHeader(std::string_view from, std::string_view to) = 0;
  /// The client begins a new stream on the connection: our next header is for that one.
  virtual void ExpectHeader() = 0;
  /// Sends the error and closes; the session, if there is one, ends for `reason`.
  /// `application`: an element besides the condition (RFC 6120 section 4.9.4).
  virtual void CloseWithError(StreamError error, EndReason reason, std::string_view text = {},
                              std::string_view application = {}) = 0;
  virtual void Close() = 0;
  /// Answers the client's end of the stream; the session ends as closed.
  virtual void CloseInOrder() = 0;
};

}  // namespace rookery::gateway
