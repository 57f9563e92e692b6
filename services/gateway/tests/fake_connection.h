#pragma once

#include <memory>
#include <string>
#include <utility>

#include "rookery/net/connection.h"

namespace rookery::gateway {

/// A socket in a test: what it would send stays in `sent`.
class FakeConnection final : public net::Connection {
 public:
  struct State {
    net::ConnectionHandler* handler = nullptr;
    std::string sent;
    std::size_t queued = 0;
    bool takes_nothing = false;  // what is written stays queued
    std::uint64_t taken = 0;
    std::string peer = "192.0.2.1";
    bool peer_closed = false;
    bool broken = false;
    bool takes_at_flush = false;
    bool breaks_at_flush = false;
    bool paused = false;
    std::size_t read_rate = 0;
    bool tls = false;
    bool closed = false;
    bool start_tls = false;
    std::string exporter;
    std::string end_point;
    std::string certificate;  // of the client, verified

    std::string Take() { return std::exchange(sent, {}); }
  };

  explicit FakeConnection(State& state) : state_(state) {}

  void Start(net::ConnectionHandler* handler) override { state_.handler = handler; }
  void Write(std::string_view data) override {
    state_.sent.append(data);
    if (state_.takes_nothing) state_.queued += data.size();
  }
  std::size_t queued_bytes() const override { return state_.queued; }
  std::uint64_t taken_bytes() const override { return state_.taken; }
  void PauseReading() override { state_.paused = true; }
  void ResumeReading() override { state_.paused = false; }
  void SetReadRate(std::size_t bytes_per_second) override { state_.read_rate = bytes_per_second; }
  void StartTls(std::shared_ptr<net::TlsContext>) override { state_.start_tls = true; }
  bool is_tls() const override { return state_.tls; }
  std::string TlsExporter() const override { return state_.exporter; }
  std::string TlsServerEndPoint() const override { return state_.end_point; }
  std::string TlsPeerCertificateDer() const override { return state_.certificate; }
  std::string peer_address() const override { return state_.peer; }
  std::string peer_network() const override { return state_.peer; }
  bool has_peer_closed() const override { return state_.peer_closed || state_.broken; }
  bool is_broken() const override { return state_.broken; }
  void Flush() override {
    if (state_.queued > 0 && std::exchange(state_.takes_at_flush, false)) {
      state_.queued = 0;
      state_.handler->OnDrained();
    }
    if (state_.queued > 0 && std::exchange(state_.breaks_at_flush, false))
      state_.handler->OnClosed(absl::UnavailableError("write"));
  }
  void CloseAfterFlush(std::chrono::milliseconds) override { state_.closed = true; }
  void Abort() override { state_.closed = true; }

 private:
  State& state_;
};

class FakeTls final : public net::TlsContext {
 public:
  absl::Status Reload() override { return absl::OkStatus(); }
  absl::Status ReloadIfChanged() override { return absl::OkStatus(); }
};

}  // namespace rookery::gateway
