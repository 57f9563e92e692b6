#pragma once

#include <openssl/ssl.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "rookery/net/connection.h"

namespace rookery::net {

/// A self-signed certificate and its key in PEM files of a temporary directory.
struct TestCertificate {
  std::string certificate_file;
  std::string key_file;
};

/// Real sockets on loopback: the server's loop and the clients are turned by hand.
class NetTest : public ::testing::Test {
 protected:
  NetTest();
  ~NetTest() override;

  /// Turns the loop (and `pump`) until `done`; fails after thirty seconds.
  void RunUntil(const std::function<bool()>& done, const std::function<void()>& pump = nullptr);
  /// `digest`: of the signature; "ED25519" makes a key without one. `names`: subjectAltNames.
  TestCertificate MakeCertificate(const std::string& name, const std::string& digest = "SHA256");
  const std::string& directory() const { return directory_; }

  asio::io_context io_{1};

 private:
  std::string directory_;
};

/// Records what a connection says. The hooks run within its calls.
struct Recorder : ConnectionHandler {
  void OnData(std::string_view bytes) override {
    data += bytes;
    ++reads;
    if (on_data) on_data(bytes);
  }
  void OnDrained() override {
    ++drained;
    if (on_drained) on_drained();
  }
  void OnTlsEstablished() override {
    ++established;
    if (on_established) on_established();
  }
  void OnTlsFailed(TlsFailure failure, std::string_view detail) override {
    EXPECT_FALSE(tls_failure.has_value());
    tls_failure = failure;
    tls_detail = detail;
  }
  void OnClosed(const absl::Status& status) override {
    EXPECT_FALSE(closed.has_value());
    closed = status;
    if (on_closed) on_closed();
  }

  std::string data;
  int reads = 0;
  int drained = 0;
  int established = 0;
  std::optional<absl::Status> closed;
  std::optional<TlsFailure> tls_failure;
  std::string tls_detail;
  std::function<void(std::string_view)> on_data;
  std::function<void()> on_drained;
  std::function<void()> on_established;
  std::function<void()> on_closed;
};

/// A client that shares no code with the library: a non-blocking socket and OpenSSL.
class RawClient {
 public:
  explicit RawClient(const std::string& address, int receive_buffer = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  struct Tls {
    int min_version = 0;
    int max_version = 0;
    std::string server_name;
    std::vector<std::string> alpn;
    TestCertificate certificate;
  };
  void StartTls(const Tls& options);
  /// Moves what can be moved: handshake, writes, and reads unless `reading` is off.
  void Pump();
  void Send(std::string_view bytes) { out += bytes; }
  void SendTlsClose() { SSL_shutdown(ssl); }
  void ShutdownWrite();
  void Reset();
  void Close();

  int fd = -1;
  SSL* ssl = nullptr;
  bool reading = true;
  std::string in;
  std::string out;
  bool established = false;
  bool eof = false;  // FIN or close_notify
  bool close_notify = false;
  std::string error;  // a TLS alert or a socket error
  int reads = 0;

 private:
  void Fail(int result);
  SSL_CTX* context_ = nullptr;
};

}  // namespace rookery::net
