#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/net/tls.h"

namespace rookery {
namespace asio = boost::asio;
}

namespace rookery::net {

class Connection;

/// Why a TLS handshake with a peer failed, as far as it can be told.
enum class TlsFailure : std::uint8_t {
  kPeerClosed,  // the peer went away in the middle, or without a word
  kNotTls,      // what came is no TLS: plain XMPP or HTTP on a TLS port
  kVersion,     // no version of TLS in common
  kCipher,      // no cipher suite or group in common
  kAlpn,        // the peer wants another protocol (XEP-0368)
  kAlert,       // the peer refused: it does not trust our certificate, mostly
  kOther,
};
std::string_view Name(TlsFailure failure);
inline constexpr std::size_t kTlsFailures = 7;

/// The calls by which a connection tells its owner, on the I/O thread. `OnClosed` is the last call. A handler
/// may call Close or destroy the connection from any of these.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  /// Bytes from the peer (TLS removed), in a buffer of the thread that lives for the
  /// call only. Not called while paused.
  virtual void OnData(std::string_view data) = 0;
  /// Everything handed to Write so far is in the kernel.
  virtual void OnDrained() = 0;
  /// TLS is up, after StartTls or on a listener with direct TLS.
  virtual void OnTlsEstablished() = 0;
  /// The handshake failed; OnClosed follows. `detail`: OpenSSL's words, for a log.
  virtual void OnTlsFailed(TlsFailure /*failure*/, std::string_view /*detail*/) {}
  /// OK: the peer closed in order. Else why it broke.
  virtual void OnClosed(const absl::Status& status) = 0;
};

/// One TCP connection, plain or TLS. An idle one holds no read buffer: it waits for
/// readiness, then reads into a buffer of the thread; OpenSSL releases its own.
/// I/O thread only.
class Connection {
 public:
  virtual ~Connection() = default;

  /// Once, before anything else happens on the connection.
  virtual void Start(ConnectionHandler* handler) = 0;
  /// Queues bytes; writes what the kernel takes. Several calls within one turn of the
  /// loop go out together.
  virtual void Write(std::string_view data) = 0;
  /// Bytes queued and not yet in the kernel. Bounding them is up to the caller.
  virtual std::size_t queued_bytes() const = 0;
  /// Bytes that the kernel has taken in the connection's life, before encryption.
  virtual std::uint64_t taken_bytes() const = 0;
  /// Stops and resumes reading (back-pressure). Reading resumes with what is buffered.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
  /// Limits reading to so many bytes a second with bursts of one second; 0: none. Under TLS those of its
  /// records count.
  virtual void SetReadRate(std::size_t bytes_per_second) = 0;
  /// Turns a plain connection into TLS as server. Everything queued is written first;
  /// bytes of the peer that came before its ClientHello must already have been refused.
  virtual void StartTls(std::shared_ptr<TlsContext> context) = 0;
  virtual bool is_tls() const = 0;
  /// TLS facts for SASL; empty on plain connections.
  virtual std::string TlsExporter() const = 0;        // RFC 9266, 32 bytes; TLS 1.3 only
  virtual std::string TlsServerEndPoint() const = 0;  // RFC 5929
  virtual std::string TlsPeerCertificateDer() const = 0;
  virtual std::string peer_address() const = 0;  // without port; an IPv4-mapped address as IPv4
  /// The network that one host has, by which limits for each address count: the IPv4 address, or the IPv6 /64
  /// (`2001:db8:1:2::/64`).
  virtual std::string peer_network() const = 0;
  /// The peer has closed its side, or the connection broke, whatever it sent before and may
  /// still be read. Asks the kernel.
  virtual bool has_peer_closed() const = 0;
  /// The connection broke, for both directions, whether or not it is read. Asks the kernel.
  virtual bool is_broken() const = 0;
  /// Writes what is queued now, as far as the kernel takes it, rather than at the end of the turn. OnDrained
  /// or OnClosed may come within the call.
  virtual void Flush() = 0;
  /// Writes what is queued (for at most `linger`), then TLS close_notify and close.
  /// OnClosed follows.
  virtual void CloseAfterFlush(std::chrono::milliseconds linger = std::chrono::seconds(2)) = 0;
  /// Closes at once; no OnClosed follows.
  virtual void Abort() = 0;
};

/// The kernel's watch over peers that vanish without a word; it costs the process nothing.
/// One that stays silent for idle + probes * interval is gone, and so is one that takes
/// nothing of what was written for as long (TCP_USER_TIMEOUT).
struct TcpKeepalive {
  std::chrono::seconds idle{120};
  std::chrono::seconds interval{20};
  int probes = 3;
};

struct ListenOptions {
  std::string address;  // host:port; port 0: the kernel chooses
  bool direct_tls = false;
  std::shared_ptr<TlsContext> tls;  // needed for direct_tls
  std::size_t max_connections = 100'000;
  std::size_t max_connections_per_address = 0;  // 0: no limit; an IPv6 /64 counts as one address
  TcpKeepalive keepalive = {};
};

/// Accepts connections. When descriptors run out or a limit is reached new connections
/// are closed at once and counted, and accepting goes on; nothing else suffers.
class Listener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<Connection>)>;
  /// UNAVAILABLE: the address is in use. PERMISSION_DENIED, INVALID_ARGUMENT.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(asio::io_context& io, ListenOptions options,
                                                          OnAccept on_accept);
  virtual ~Listener() = default;
  /// Stops accepting; connections live on.
  virtual void Stop() = 0;
  /// Connections that come meanwhile wait in the kernel's backlog. May be called from OnAccept.
  virtual void Pause() = 0;
  virtual void Resume() = 0;
  virtual std::string bound_address() const = 0;
  virtual std::uint64_t accepted() const = 0;
  virtual std::uint64_t refused() const = 0;
  virtual std::size_t open_connections() const = 0;
};

}  // namespace rookery::net
