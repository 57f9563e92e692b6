#include "tcp_core.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/check.h"
#include "socket_bio.h"

namespace rookery::net {
namespace {

// So that one busy peer cannot keep the loop from the others.
constexpr int kReadsPerTurn = 4;
// The most that a closing connection still takes from its peer, so that no reset overtakes our last bytes.
constexpr std::size_t kMaxDrain = 256 * 1024;
// From the socket in one step of a handshake.
constexpr std::size_t kMaxHandshakeStep = 64 * 1024;
// Records without data that a peer may send at once when TLS is up, and one more each second: new keys,
// tickets, alerts. Each costs as much as kilobytes of data, and nobody has a use for many.
constexpr std::size_t kMaxRecordsWithoutData = 64;

absl::Status NetworkError(std::string_view what, int error) {
  return absl::UnavailableError(absl::StrCat(AbslView(what), ": ", std::strerror(error)));
}

TlsFailure FailureOf(unsigned long code) {
  switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:  // of the first record: no TLS at all
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_RECORD_LENGTH_MISMATCH:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return TlsFailure::kNotTls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return TlsFailure::kVersion;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return TlsFailure::kCipher;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TlsFailure::kAlpn;
    default:
      break;
  }
  // The peer's alerts are numbered from here on.
  if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET)
    return TlsFailure::kAlert;
  return TlsFailure::kOther;
}

}  // namespace

TcpCore::TcpCore(Loop& loop, Socket socket, asio::ip::address peer, std::shared_ptr<OpenLease> lease)
    : loop_(loop), socket_(std::move(socket)), lease_(std::move(lease)), peer_(std::move(peer)) {}

TcpCore::~TcpCore() = default;

void TcpCore::Start(ConnectionHandler* handler) {
  ROOKERY_CHECK(handler_ == nullptr && handler != nullptr);
  if (closed_) return;
  handler_ = handler;
  if (tls_ != Tls::kHandshake && !paused_) ArmRead();
}

void TcpCore::Write(std::string_view data) {
  if (closed_ || closing_ != Closing::kNo || data.empty()) return;
  out_.append(data);
  tell_drained_ = true;
  QueueFlush();
}

void TcpCore::QueueFlush() {
  if (flush_queued_ || write_armed_ || closed_) return;
  flush_queued_ = true;
  loop_.QueueFlush(shared_from_this());
}

void TcpCore::Flush() {
  flush_queued_ = false;
  if (closed_ || write_armed_) return;
  const auto self = shared_from_this();
  absl::Status error;
  if (!WriteOut(&error)) {
    if (!error.ok()) Finish(error);
    return;
  }
  if (tell_drained_ && queued_bytes() == 0) {
    tell_drained_ = false;
    if (handler_ != nullptr && closing_ == Closing::kNo) handler_->OnDrained();
    if (closed_) return;
    // Whatever the handler has queued waits for the next turn.
    if (queued_bytes() > 0 && tls_ != Tls::kAfterFlush) return;
  }
  if (tls_ == Tls::kAfterFlush && plain_left_ == 0 && closing_ == Closing::kNo) {
    BeginHandshake();
    return;
  }
  if (closing_ == Closing::kFlushing) ContinueClose();
}

bool TcpCore::WriteOut(absl::Status* error) {
  while (true) {
    std::size_t size = queued_bytes();
    if (tls_ == Tls::kAfterFlush) size = plain_left_;
    if (size == 0) return true;
    if (tls_ == Tls::kHandshake) return closing_ != Closing::kNo;
    const char* data = out_.data() + out_begin_;
    if (tls_ == Tls::kUp) {
      ERR_clear_error();
      errno = 0;
      tls_socket_.may_read = kMaxHandshakeStep;
      const int limit = static_cast<int>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
      const int n = SSL_write(ssl_.get(), data, limit);
      if (n > 0) {
        ConsumeOutput(static_cast<std::size_t>(n));
        continue;
      }
      const int saved = errno;
      switch (SSL_get_error(ssl_.get(), n)) {
        case SSL_ERROR_WANT_WRITE:
          ArmWrite();
          return false;
        case SSL_ERROR_WANT_READ:
          write_wants_read_ = true;
          ArmRead();
          return false;
        case SSL_ERROR_SYSCALL:
          *error = NetworkError("write", saved == 0 ? EPIPE : saved);
          return false;
        default:
          *error = absl::InvalidArgumentError(absl::StrCat("TLS: ", TakeOpenSslError()));
          return false;
      }
    }
    const ssize_t n = ::send(socket_.native_handle(), data, size, MSG_NOSIGNAL);
    if (n >= 0) {
      if (tls_ == Tls::kAfterFlush) plain_left_ -= static_cast<std::size_t>(n);
      ConsumeOutput(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      ArmWrite();
      return false;
    }
    *error = NetworkError("write", errno);
    return false;
  }
}

bool TcpCore::EndTls() {
  ERR_clear_error();
  const int n = SSL_shutdown(ssl_.get());
  return n >= 0 || SSL_get_error(ssl_.get(), n) != SSL_ERROR_WANT_WRITE;
}

void TcpCore::ConsumeOutput(std::size_t size) {
  out_begin_ += size;
  taken_ += size;
  if (out_begin_ == out_.size()) {
    // An idle connection holds no write buffer.
    std::string().swap(out_);
    out_begin_ = 0;
  } else if (out_begin_ >= 64 * 1024 && out_begin_ >= out_.size() / 2) {
    out_.erase(0, out_begin_);
    out_begin_ = 0;
  }
}

void TcpCore::ArmRead() {
  if (read_armed_ || closed_) return;
  read_armed_ = true;
  socket_.async_wait(asio::socket_base::wait_read,
                     [self = shared_from_this()](const boost::system::error_code&) {
                       self->read_armed_ = false;
                       if (!self->closed_) self->OnReadable();
                     });
}

void TcpCore::ArmWrite() {
  if (write_armed_ || closed_) return;
  write_armed_ = true;
  socket_.async_wait(asio::socket_base::wait_write,
                     [self = shared_from_this()](const boost::system::error_code&) {
                       self->write_armed_ = false;
                       if (!self->closed_) self->OnWritable();
                     });
}

void TcpCore::PostRead() {
  if (read_posted_ || closed_) return;
  read_posted_ = true;
  asio::post(loop_.io(), [self = shared_from_this()] {
    self->read_posted_ = false;
    if (!self->closed_) self->OnReadable();
  });
}

void TcpCore::OnReadable() {
  if (closing_ == Closing::kDraining) return DrainTurn();
  if (tls_ == Tls::kHandshake && closing_ == Closing::kNo) return DoHandshake();
  if (write_wants_read_) {
    write_wants_read_ = false;
    const auto self = shared_from_this();
    Flush();
    if (closed_) return;
  }
  ReadTurn();
}

void TcpCore::OnWritable() {
  if (tls_ == Tls::kHandshake && closing_ == Closing::kNo) return DoHandshake();
  const auto self = shared_from_this();
  Flush();
  if (closed_ || !read_wants_write_) return;
  read_wants_write_ = false;
  ReadTurn();
}

void TcpCore::ReadTurn() {
  const auto self = shared_from_this();
  const Tls tls = tls_;
  const std::span<char> buffer = loop_.read_buffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (paused_ || throttled_ || closing_ != Closing::kNo || tls_ != tls || tls_ == Tls::kAfterFlush) return;
    const std::size_t allowance = ReadAllowance(buffer.size());
    if (allowance == 0) return WaitForAllowance();
    Input input;
    const Read result =
        tls_ == Tls::kUp ? ReadTls(buffer, allowance, &input) : ReadPlain(buffer, allowance, &input);
    if (read_rate_ != 0) read_tokens_ -= static_cast<std::int64_t>(input.taken);
    if (input.size > 0) {
      handler_->OnData({buffer.data(), input.size});
      if (closed_) return;
    }
    switch (result) {
      case Read::kMore:
        break;
      case Read::kWouldBlock:
        if (!paused_ && closing_ == Closing::kNo && tls_ == tls) ArmRead();
        return;
      case Read::kWantsWrite:
        read_wants_write_ = true;
        ArmWrite();
        return;
      case Read::kEof:
        return OnPeerClosed();
      case Read::kError:
        return Finish(input.error);
    }
  }
  if (paused_ || closing_ != Closing::kNo || tls_ != tls) return;
  // OpenSSL may hold bytes that the socket will not announce again.
  if (tls_ == Tls::kUp) {
    PostRead();
  } else {
    ArmRead();
  }
}

TcpCore::Read TcpCore::ReadPlain(std::span<char> buffer, std::size_t allowance, Input* input) {
  ssize_t n;
  do {
    n = ::recv(socket_.native_handle(), buffer.data(), allowance, 0);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    input->size = input->taken = static_cast<std::size_t>(n);
    // A short read has emptied the socket; the wait sees at once if it has not.
    return input->size < allowance ? Read::kWouldBlock : Read::kMore;
  }
  if (n == 0) return Read::kEof;
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Read::kWouldBlock;
  input->error = NetworkError("read", errno);
  return Read::kError;
}

TcpCore::Read TcpCore::ReadTls(std::span<char> buffer, std::size_t allowance, Input* input) {
  tls_socket_.may_read = allowance;
  tls_socket_.taken = 0;
  const Read result = ReadRecords(buffer, input);
  input->taken = tls_socket_.taken;
  if (!SendsTooManyRecords()) return result;
  input->error = absl::ResourceExhaustedError("TLS: too many records without data");
  return Read::kError;
}

TcpCore::Read TcpCore::ReadRecords(std::span<char> buffer, Input* input) {
  // Joins the records that have arrived. What ends the stream is left for the next
  // call when there are bytes to hand over first: OpenSSL repeats it.
  while (input->size < buffer.size()) {
    ERR_clear_error();
    errno = 0;
    const std::span<char> free = buffer.subspan(input->size);
    const int n = SSL_read(ssl_.get(), free.data(), static_cast<int>(free.size()));
    if (n > 0) {
      input->size += static_cast<std::size_t>(n);
      continue;
    }
    const int saved = errno;
    const int reason = SSL_get_error(ssl_.get(), n);
    // The socket may have more than it was allowed to give.
    if (reason == SSL_ERROR_WANT_READ) return tls_socket_.may_read == 0 ? Read::kMore : Read::kWouldBlock;
    if (input->size > 0) return Read::kMore;
    switch (reason) {
      case SSL_ERROR_WANT_WRITE:
        return Read::kWantsWrite;
      case SSL_ERROR_ZERO_RETURN:
        return Read::kEof;
      case SSL_ERROR_SYSCALL:
        input->error = saved == 0 ? absl::UnavailableError("the peer closed without close_notify")
                                  : NetworkError("read", saved);
        return Read::kError;
      default:
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
          ERR_clear_error();
          input->error = absl::UnavailableError("the peer closed without close_notify");
        } else {
          input->error = absl::InvalidArgumentError(absl::StrCat("TLS: ", TakeOpenSslError()));
        }
        return Read::kError;
    }
  }
  return Read::kMore;
}

void TcpCore::OnRecord(int is_write, int, int content_type, const void* data, std::size_t size, SSL*,
                       void* self) {
  // TLS 1.3 calls all its records data; what one is stands within it.
  const bool tells_kind = content_type == SSL3_RT_HEADER || content_type == SSL3_RT_INNER_CONTENT_TYPE;
  if (is_write != 0 || !tells_kind || size == 0) return;
  if (*static_cast<const unsigned char*>(data) == SSL3_RT_APPLICATION_DATA) return;
  auto& core = *static_cast<TcpCore*>(self);
  // SSL_read goes on with what it has, and returns then.
  if (++core.records_without_data_ > kMaxRecordsWithoutData && core.tls_ == Tls::kUp)
    core.tls_socket_.may_read = 0;
}

bool TcpCore::SendsTooManyRecords() {
  if (records_without_data_ <= kMaxRecordsWithoutData) return false;
  const SteadyTime now = SteadyNow();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - records_since_).count();
  records_without_data_ -= std::min(records_without_data_, static_cast<std::size_t>(seconds));
  records_since_ = now;
  return records_without_data_ > kMaxRecordsWithoutData;
}

void TcpCore::ResumeReading() {
  if (!paused_) return;
  paused_ = false;
  // A wait that is still armed has seen nothing since.
  if (closed_ || handler_ == nullptr || read_armed_ || throttled_ || closing_ != Closing::kNo) return;
  if (tls_ == Tls::kNone || tls_ == Tls::kUp) PostRead();
}

void TcpCore::SetReadRate(std::size_t bytes_per_second) {
  read_rate_ = bytes_per_second;
  read_tokens_ = static_cast<std::int64_t>(bytes_per_second);
  tokens_at_ = SteadyNow();
}

std::size_t TcpCore::ReadAllowance(std::size_t wanted) {
  if (read_rate_ == 0) return wanted;
  const SteadyTime now = SteadyNow();
  const std::int64_t rate = static_cast<std::int64_t>(read_rate_);
  const double seconds = std::chrono::duration<double>(now - tokens_at_).count();
  const std::int64_t fresh =
      seconds >= 1.0 ? rate : static_cast<std::int64_t>(seconds * static_cast<double>(read_rate_));
  if (fresh > 0) {
    read_tokens_ = std::min(rate, read_tokens_ + fresh);
    tokens_at_ = now;
  }
  if (read_tokens_ <= 0) return 0;
  return std::min(wanted, static_cast<std::size_t>(read_tokens_));
}

void TcpCore::WaitForAllowance() {
  throttled_ = true;
  // Long enough for a twentieth of a second's bytes, so that a throttled peer costs
  // few wake-ups.
  const double missing = static_cast<double>(read_rate_) / 20.0 - static_cast<double>(read_tokens_);
  const auto wait = std::chrono::duration<double>(std::max(0.001, missing / static_cast<double>(read_rate_)));
  ArmTimer(std::chrono::duration_cast<SteadyTime::duration>(wait));
}

void TcpCore::ArmTimer(SteadyTime::duration after) {
  if (timer_ == nullptr) timer_ = std::make_unique<runtime::Timer>(loop_.io());
  timer_->expires_after(after);
  timer_->async_wait([self = shared_from_this(), generation = ++timer_generation_](
                         const boost::system::error_code&) { self->OnTimer(generation); });
}

void TcpCore::OnTimer(std::uint32_t generation) {
  if (closed_ || generation != timer_generation_) return;
  if (closing_ == Closing::kFlushing) {
    return Finish(absl::DeadlineExceededError("the peer did not take the last bytes in time"));
  }
  if (closing_ == Closing::kDraining) return Finish(absl::OkStatus());
  throttled_ = false;
  if (!paused_) PostRead();
}

void TcpCore::StartTls(SslPtr ssl, std::shared_ptr<const void> keep) {
  if (closed_ || closing_ != Closing::kNo) return;
  ROOKERY_CHECK(tls_ == Tls::kNone);
  tls_socket_.descriptor = socket_.native_handle();
  BIO* bio = ssl != nullptr ? NewSocketBio(tls_socket_) : nullptr;
  if (bio == nullptr) {
    asio::post(loop_.io(), [self = shared_from_this()] {
      if (!self->closed_) self->Finish(absl::ResourceExhaustedError("no memory for TLS"));
    });
    return;
  }
  SSL_set_bio(ssl.get(), bio, bio);
  // One recv gives many records.
  SSL_set_read_ahead(ssl.get(), 1);
  // SSL_read returns after a record without data when it has read all that there was.
  SSL_clear_mode(ssl.get(), SSL_MODE_AUTO_RETRY);
  SSL_set_msg_callback(ssl.get(), &TcpCore::OnRecord);
  SSL_set_msg_callback_arg(ssl.get(), this);
  ssl_ = std::move(ssl);
  tls_keep_ = std::move(keep);
  if (queued_bytes() > 0) {
    tls_ = Tls::kAfterFlush;
    plain_left_ = queued_bytes();
    QueueFlush();
  } else {
    BeginHandshake();
  }
}

void TcpCore::BeginHandshake() {
  tls_ = Tls::kHandshake;
  // A client speaks first.
  if (SSL_is_server(ssl_.get())) {
    ArmRead();
  } else {
    PostRead();
  }
}

void TcpCore::DoHandshake() {
  const auto self = shared_from_this();
  ERR_clear_error();
  errno = 0;
  tls_socket_.may_read = kMaxHandshakeStep;
  const int n = SSL_do_handshake(ssl_.get());
  const int saved = errno;
  if (n == 1) {
    tls_ = Tls::kUp;
    records_without_data_ = 0;
    records_since_ = SteadyNow();
    if (handler_ == nullptr) return;
    handler_->OnTlsEstablished();
    if (closed_) return;
    if (queued_bytes() > 0) QueueFlush();
    if (!paused_ && closing_ == Closing::kNo) PostRead();
    return;
  }
  switch (SSL_get_error(ssl_.get(), n)) {
    case SSL_ERROR_WANT_READ:
      return ArmRead();
    case SSL_ERROR_WANT_WRITE:
      return ArmWrite();
    case SSL_ERROR_SYSCALL:
      return FailHandshake(TlsFailure::kPeerClosed,
                           saved == 0 ? absl::UnavailableError("the peer closed during the TLS handshake")
                                      : NetworkError("TLS handshake", saved));
    default:
      const unsigned long code = ERR_peek_error();
      if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return FailHandshake(TlsFailure::kPeerClosed,
                             absl::UnavailableError("the peer closed during the TLS handshake"));
      }
      const absl::Status error =
          absl::InvalidArgumentError(absl::StrCat("TLS handshake: ", TakeOpenSslError()));
      // Closing with unread bytes sends a reset, which may overtake OpenSSL's alert.
      ::shutdown(socket_.native_handle(), SHUT_WR);
      const std::span<char> buffer = loop_.read_buffer();
      [[maybe_unused]] const ssize_t ignored =
          ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
      return FailHandshake(FailureOf(code), error);
  }
}

void TcpCore::FailHandshake(TlsFailure failure, const absl::Status& error) {
  if (handler_ != nullptr) {
    const auto message = error.message();
    handler_->OnTlsFailed(failure, {message.data(), message.size()});
  }
  if (!closed_) Finish(error);
}

void TcpCore::CloseAfterFlush(std::chrono::milliseconds linger) {
  if (closed_ || closing_ != Closing::kNo) return;
  closing_ = Closing::kFlushing;
  ArmTimer(linger);
  QueueFlush();
}

void TcpCore::ContinueClose() {
  if (tls_ == Tls::kUp && !EndTls()) return ArmWrite();
  ::shutdown(socket_.native_handle(), SHUT_WR);
  if (peer_closed_) return Finish(absl::OkStatus());
  closing_ = Closing::kDraining;
  DrainTurn();
}

void TcpCore::DrainTurn() {
  const std::span<char> buffer = loop_.read_buffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t n = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return ArmRead();
    if (n <= 0) return Finish(absl::OkStatus());
    drained_ += static_cast<std::size_t>(n);
    if (drained_ > kMaxDrain) return Finish(absl::OkStatus());
  }
  ArmRead();
}

void TcpCore::OnPeerClosed() {
  peer_closed_ = true;
  if (closing_ != Closing::kNo) return;  // what is queued still goes out
  // The peer may have closed only its own direction and wait for our answer.
  absl::Status ignored;
  if (queued_bytes() > 0 && !write_armed_) WriteOut(&ignored);
  if (tls_ == Tls::kUp && queued_bytes() == 0) EndTls();
  Finish(absl::OkStatus());
}

void TcpCore::Finish(const absl::Status& status) {
  if (closed_) return;
  CloseSocket();
  if (ConnectionHandler* handler = std::exchange(handler_, nullptr)) handler->OnClosed(status);
}

bool TcpCore::has_peer_closed() const { return closed_ || HasNow(POLLRDHUP | POLLHUP | POLLERR); }

bool TcpCore::is_broken() const { return closed_ || HasNow(POLLHUP | POLLERR); }

bool TcpCore::HasNow(short events) const {
  ::pollfd poll{.fd = const_cast<Socket&>(socket_).native_handle(), .events = events, .revents = 0};
  return ::poll(&poll, 1, 0) > 0 && (poll.revents & events) != 0;
}

void TcpCore::Abort() {
  if (closed_) return;
  handler_ = nullptr;
  if (queued_bytes() > 0) {
    // The peer does not read: the kernel must not keep its bytes for minutes.
    const ::linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  CloseSocket();
}

void TcpCore::CloseSocket() {
  closed_ = true;
  timer_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
  ssl_.reset();
  tls_keep_.reset();
  std::string().swap(out_);
  out_begin_ = 0;
  plain_left_ = 0;
  lease_.reset();
}

}  // namespace rookery::net
