#include <wslay/wslay.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "rookery/base/check.h"
#include "rookery/net/websocket.h"

namespace rookery::net {
namespace {

struct ContextDeleter {
  void operator()(wslay_event_context* context) const { wslay_event_context_free(context); }
};
using Context = std::unique_ptr<wslay_event_context, ContextDeleter>;

/// The bytes that a frame from a client takes before its payload: wslay refuses a
/// length that is not in its shortest form, and a frame without mask.
std::uint64_t ClientHeaderSize(std::uint64_t payload) {
  return 2 + (payload > 0xFFFF ? 8 : payload > 125 ? 2 : 0) + 4;
}

}  // namespace

struct WebSocketFramer::Impl {
  Impl(Handler& h, std::size_t max) : handler(&h), max_message_bytes(max) {}

  Handler* handler;  // null once the framer is gone
  std::size_t max_message_bytes;
  Context context;  // 8.5 KB: only while a frame or a fragmented message is incomplete
  std::string_view input;
  /// Bytes given to wslay and bytes of the frames that have begun, since the context
  /// was made: equal at the end of a frame.
  std::uint64_t given = 0;
  std::uint64_t framed = 0;
  std::size_t fragments = 0;  // of the message that is being read
  std::size_t control_frames = 0;
  bool in_message = false;
  bool too_many = false;
  bool close_sent = false;
  bool closed = false;
  bool muted = false;
  bool bad_close = false;

  /// Server frames carry no mask (RFC 6455 section 5.1) and are never split.
  void SendFrame(std::uint8_t opcode, std::string_view payload) {
    if (closed || close_sent || handler == nullptr) return;
    if (opcode == WSLAY_CONNECTION_CLOSE) close_sent = true;
    char header[10];
    std::size_t size = 2;
    header[0] = static_cast<char>(0x80 | opcode);
    if (payload.size() <= 125) {
      header[1] = static_cast<char>(payload.size());
    } else {
      const int bytes = payload.size() <= 0xFFFF ? 2 : 8;
      header[1] = static_cast<char>(bytes == 2 ? 126 : 127);
      for (int i = 0; i < bytes; ++i) {
        header[2 + i] =
            static_cast<char>(static_cast<std::uint64_t>(payload.size()) >> (8 * (bytes - 1 - i)));
      }
      size += static_cast<std::size_t>(bytes);
    }
    handler->OnOutput({header, size});
    if (!payload.empty() && handler != nullptr) handler->OnOutput(payload);
  }

  void SendClose(std::uint16_t code) {
    const char payload[2] = {static_cast<char>(code >> 8), static_cast<char>(code & 0xFF)};
    // 1005 stands for "no code" and is never on the wire (section 7.4.1).
    SendFrame(WSLAY_CONNECTION_CLOSE,
              code == WSLAY_CODE_NO_STATUS_RCVD ? std::string_view() : std::string_view(payload, 2));
  }

  /// False: the frame that begins is one too many.
  bool Count(std::uint8_t opcode, bool is_final) {
    if (wslay_is_ctrl_frame(opcode)) return !in_message || ++control_frames <= kMaxControlFramesInMessage;
    if (opcode != WSLAY_CONTINUATION_FRAME) fragments = control_frames = 0;
    in_message = !is_final;
    return ++fragments <= kMaxFragments;
  }

  void MakeContext();
};

void WebSocketFramer::Impl::MakeContext() {
  static constexpr wslay_event_callbacks kCallbacks = {
      .recv_callback = [](wslay_event_context_ptr ctx, uint8_t* buffer, size_t size, int,
                          void* user) -> ssize_t {
        auto& self = *static_cast<WebSocketFramer::Impl*>(user);
        if (self.input.empty() || self.handler == nullptr) {
          wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
          return -1;
        }
        const std::size_t n = std::min(size, self.input.size());
        std::memcpy(buffer, self.input.data(), n);
        self.input.remove_prefix(n);
        self.given += n;
        return static_cast<ssize_t>(n);
      },
      // Frames that wslay wants to send by itself: pongs and its Close. Both are short.
      .send_callback = [](wslay_event_context_ptr, const uint8_t* data, size_t size, int,
                          void* user) -> ssize_t {
        auto& self = *static_cast<WebSocketFramer::Impl*>(user);
        if (self.handler != nullptr && !self.close_sent && !self.muted) {
          self.handler->OnOutput({reinterpret_cast<const char*>(data), size});
        }
        return static_cast<ssize_t>(size);
      },
      .genmask_callback = nullptr,
      .on_frame_recv_start_callback =
          [](wslay_event_context_ptr ctx, const wslay_event_on_frame_recv_start_arg* arg, void* user) {
            auto& self = *static_cast<WebSocketFramer::Impl*>(user);
            self.framed += ClientHeaderSize(arg->payload_length) + arg->payload_length;
            if (self.Count(arg->opcode, arg->fin != 0)) return;
            self.too_many = true;
            wslay_event_shutdown_read(ctx);
          },
      .on_frame_recv_chunk_callback = nullptr,
      .on_frame_recv_end_callback = nullptr,
      .on_msg_recv_callback =
          [](wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* arg, void* user) {
            auto& self = *static_cast<WebSocketFramer::Impl*>(user);
            // wslay takes half a status code for none (RFC 6455 section 5.5.1).
            if (arg->opcode == WSLAY_CONNECTION_CLOSE && arg->msg_length == 1) self.bad_close = true;
            if (self.handler == nullptr || self.too_many || arg->opcode == WSLAY_CONNECTION_CLOSE) return;
            if (wslay_is_ctrl_frame(arg->opcode)) return self.handler->OnControlFrame();
            self.handler->OnMessage({reinterpret_cast<const char*>(arg->msg), arg->msg_length},
                                    arg->opcode == WSLAY_TEXT_FRAME);
          },
  };
  wslay_event_context_ptr raw = nullptr;
  ROOKERY_CHECK(wslay_event_context_server_init(&raw, &kCallbacks, this) == 0);
  context.reset(raw);
  wslay_event_config_set_max_recv_msg_length(raw, max_message_bytes);
  given = framed = 0;
}

WebSocketFramer::WebSocketFramer(Handler& handler, std::size_t max_message_bytes)
    : impl_(std::make_shared<Impl>(handler, max_message_bytes)) {}

WebSocketFramer::~WebSocketFramer() { impl_->handler = nullptr; }

void WebSocketFramer::set_max_message_bytes(std::size_t bytes) {
  impl_->max_message_bytes = bytes;
  if (impl_->context != nullptr) wslay_event_config_set_max_recv_msg_length(impl_->context.get(), bytes);
}

void WebSocketFramer::Feed(std::string_view bytes) {
  const std::shared_ptr<Impl> impl = impl_;
  if (impl->closed || bytes.empty()) return;
  if (impl->context == nullptr) impl->MakeContext();
  wslay_event_context_ptr context = impl->context.get();
  impl->input = bytes;
  const int received = wslay_event_recv(context);
  impl->input = {};
  if (impl->handler == nullptr) return;
  const bool fault =
      received != 0 || impl->bad_close ||
      (wslay_event_get_read_enabled(context) == 0 && wslay_event_get_close_received(context) == 0);
  // wslay's Close for a malformed frame has no code, so ours goes out in its place.
  impl->muted = fault;
  // The pongs, and the Close that answers the peer's.
  wslay_event_send(context);
  if (impl->handler == nullptr) return;
  if (fault || wslay_event_get_read_enabled(context) == 0) {
    std::uint16_t code =
        fault ? wslay_event_get_status_code_sent(context) : wslay_event_get_status_code_received(context);
    if (fault &&
        (impl->bad_close || code == WSLAY_CODE_NO_STATUS_RCVD || code == WSLAY_CODE_ABNORMAL_CLOSURE)) {
      code = WSLAY_CODE_PROTOCOL_ERROR;
    }
    if (impl->too_many) code = WSLAY_CODE_POLICY_VIOLATION;
    if (fault) impl->SendClose(code);
    impl->closed = true;
    if (impl->handler != nullptr) impl->handler->OnWebSocketClosed(code);
    impl->context.reset();
    return;
  }
  if (impl->given == impl->framed && !impl->in_message) impl->context.reset();
}

void WebSocketFramer::SendText(std::string_view message) { impl_->SendFrame(WSLAY_TEXT_FRAME, message); }
void WebSocketFramer::SendBinary(std::string_view message) { impl_->SendFrame(WSLAY_BINARY_FRAME, message); }
void WebSocketFramer::SendClose(std::uint16_t code) { impl_->SendClose(code); }
void WebSocketFramer::SendPing() { impl_->SendFrame(WSLAY_PING, {}); }

}  // namespace rookery::net
