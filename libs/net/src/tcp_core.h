#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "loop.h"
#include "rookery/net/connection.h"
#include "rookery/runtime/timer.h"
#include "socket_bio.h"
#include "tls_context.h"

namespace rookery::net {

/// Held by a connection as long as its descriptor is open: the listener counts it.
class OpenLease {
 public:
  virtual ~OpenLease() = default;
};

/// The connection behind a Connection. Pending waits and running calls share it, so
/// the owner may destroy its Connection at any moment.
class TcpCore final : public std::enable_shared_from_this<TcpCore> {
 public:
  // The io_context's own executor, not any_io_executor: smaller, and no indirection.
  using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;

  TcpCore(Loop& loop, Socket socket, asio::ip::address peer, std::shared_ptr<OpenLease> lease);
  ~TcpCore();

  void Start(ConnectionHandler* handler);
  void Write(std::string_view data);
  std::size_t queued_bytes() const { return out_.size() - out_begin_; }
  std::uint64_t taken_bytes() const { return taken_; }
  void PauseReading() { paused_ = true; }
  void ResumeReading();
  void SetReadRate(std::size_t bytes_per_second);
  /// `ssl` in accept or connect state; null: the connection fails. `keep` lives as
  /// long as it.
  void StartTls(SslPtr ssl, std::shared_ptr<const void> keep);
  bool is_tls() const { return tls_ == Tls::kUp; }
  /// Null until TLS is up.
  SSL* ssl() const { return tls_ == Tls::kUp ? ssl_.get() : nullptr; }
  const asio::ip::address& peer() const { return peer_; }
  bool has_peer_closed() const;
  bool is_broken() const;
  void CloseAfterFlush(std::chrono::milliseconds linger);
  void Abort();

  /// Called by the loop at the end of the turn in which something was written.
  void Flush();

 private:
  /// Whether the kernel knows any of these of the socket (poll(2)).
  bool HasNow(short events) const;

  enum class Tls : std::uint8_t { kNone, kAfterFlush, kHandshake, kUp };
  enum class Closing : std::uint8_t { kNo, kFlushing, kDraining };
  enum class Read : std::uint8_t { kMore, kWouldBlock, kWantsWrite, kEof, kError };
  /// The result of one read.
  struct Input {
    std::size_t size = 0;   // of the data, without TLS
    std::size_t taken = 0;  // from the socket
    absl::Status error;     // kError
  };

  void ArmRead();
  void ArmWrite();
  /// A turn of reading through the loop's queue, for bytes that OpenSSL holds already.
  void PostRead();
  void QueueFlush();
  void OnReadable();
  void OnWritable();
  void ReadTurn();
  /// No more than `allowance` from the socket.
  Read ReadPlain(std::span<char> buffer, std::size_t allowance, Input* input);
  Read ReadTls(std::span<char> buffer, std::size_t allowance, Input* input);
  Read ReadRecords(std::span<char> buffer, Input* input);
  static void OnRecord(int is_write, int version, int content_type, const void* data, std::size_t size,
                       SSL* ssl, void* self);
  /// The peer sends mostly what is no data.
  bool SendsTooManyRecords();
  /// How much may be taken from the socket now under the rate limit.
  std::size_t ReadAllowance(std::size_t wanted);
  void WaitForAllowance();
  /// True: nothing is left to write. False: waits, or has failed.
  bool WriteOut(absl::Status* error);
  /// Sends close_notify. False: the kernel does not take it yet.
  bool EndTls();
  void ConsumeOutput(std::size_t size);
  void BeginHandshake();
  void DoHandshake();
  void FailHandshake(TlsFailure failure, const absl::Status& error);
  void ContinueClose();
  void DrainTurn();
  void OnPeerClosed();
  void OnTimer(std::uint32_t generation);
  void ArmTimer(SteadyTime::duration after);
  void Finish(const absl::Status& status);
  void CloseSocket();

  Loop& loop_;
  Socket socket_;
  ConnectionHandler* handler_ = nullptr;
  TlsSocket tls_socket_;
  SslPtr ssl_;
  std::shared_ptr<const void> tls_keep_;
  /// Records of the peer that carried no data, since TLS is up; one is forgotten each second.
  std::size_t records_without_data_ = 0;
  SteadyTime records_since_{};
  std::string out_;
  std::size_t out_begin_ = 0;
  std::uint64_t taken_ = 0;
  /// Bytes of out_ that go out before the handshake.
  std::size_t plain_left_ = 0;
  /// For the read rate, and for lingering once the connection is closing.
  std::unique_ptr<runtime::Timer> timer_;
  std::size_t read_rate_ = 0;
  std::int64_t read_tokens_ = 0;
  SteadyTime tokens_at_{};
  std::size_t drained_ = 0;
  std::shared_ptr<OpenLease> lease_;
  asio::ip::address peer_;
  std::uint32_t timer_generation_ = 0;
  Tls tls_ = Tls::kNone;
  Closing closing_ = Closing::kNo;
  bool closed_ = false;
  bool paused_ = false;
  bool throttled_ = false;
  bool read_armed_ = false;
  bool read_posted_ = false;
  bool write_armed_ = false;
  bool flush_queued_ = false;
  bool tell_drained_ = false;
  bool write_wants_read_ = false;
  bool read_wants_write_ = false;
  bool peer_closed_ = false;
};

/// Makes the Connection of a connected socket.
std::unique_ptr<Connection> MakeConnection(std::shared_ptr<TcpCore> core,
                                           std::shared_ptr<ServerTlsContext> direct_tls);
/// The core of a connection of ours.
TcpCore& CoreOf(Connection& connection);

}  // namespace rookery::net
