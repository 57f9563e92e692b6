#include "wire.h"

#include <chrono>
#include <utility>

namespace rookery::fuzz {

class Wire::ServerEnd final : public net::Connection {
 public:
  explicit ServerEnd(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) { wire_->end_ = this; }
  ~ServerEnd() override {
    wire_->end_ = nullptr;
    wire_->handler_ = nullptr;
    Abort();
  }

  void Start(net::ConnectionHandler* handler) override {
    wire_->handler_ = handler;
    wire_->InGateway(&Wire::Arrive);
  }
  void Write(std::string_view data) override {
    if (wire_->is_closed_) return;
    wire_->queued_.append(data);
    wire_->FlushSoon();
  }
  std::size_t queued_bytes() const override { return wire_->queued_.size(); }
  std::uint64_t taken_bytes() const override { return wire_->taken_; }
  void PauseReading() override { wire_->is_paused_ = true; }
  void ResumeReading() override {
    if (std::exchange(wire_->is_paused_, false)) wire_->InGateway(&Wire::Arrive);
  }
  void SetReadRate(std::size_t) override {}
  void StartTls(std::shared_ptr<net::TlsContext>) override {
    wire_->is_tls_wanted_ = true;
    wire_->FlushSoon();
  }
  bool is_tls() const override { return wire_->is_tls_; }
  std::string TlsExporter() const override { return wire_->is_tls_ ? std::string(32, 'e') : std::string(); }
  std::string TlsServerEndPoint() const override {
    return wire_->is_tls_ ? std::string(32, 'p') : std::string();
  }
  std::string TlsPeerCertificateDer() const override { return {}; }
  std::string peer_address() const override { return wire_->address_; }
  std::string peer_network() const override { return wire_->address_; }
  bool has_peer_closed() const override { return wire_->is_cut_; }
  bool is_broken() const override { return wire_->is_cut_; }
  void Flush() override {}
  void CloseAfterFlush(std::chrono::milliseconds linger) override {
    if (std::exchange(wire_->is_closing_, true)) return;
    wire_->FlushSoon();
    wire_->gateway_.world().After(linger, [wire = wire_] { wire->InGateway(&Wire::GiveUp); });
  }
  void Abort() override {
    if (std::exchange(wire_->is_closed_, true)) return;
    if (wire_->peer_ != nullptr) std::exchange(wire_->peer_, nullptr)->OnEnd();
  }

 private:
  const std::shared_ptr<Wire> wire_;
};

Wire::Wire(simulation::Process& gateway, Peer& peer, std::string address)
    : gateway_(gateway), life_(gateway.life()), peer_(&peer), address_(std::move(address)) {}

std::unique_ptr<net::Connection> Wire::MakeServerEnd() {
  return std::make_unique<ServerEnd>(shared_from_this());
}

void Wire::InGateway(void (Wire::*call)()) {
  gateway_.world().Post(gateway_, life_, [self = shared_from_this(), call] { ((*self).*call)(); });
}

void Wire::Send(std::string bytes) {
  to_gateway_.append(bytes);
  InGateway(&Wire::Arrive);
}

void Wire::Arrive() {
  if (handler_ == nullptr || is_paused_ || is_closing_ || is_closed_) return;
  if (!to_gateway_.empty()) handler_->OnData(std::exchange(to_gateway_, {}));
  // Whoever does not read does not see the end either.
  if (is_ended_ && !is_paused_ && !is_closing_) Close(absl::OkStatus());
}

void Wire::Cut(bool in_order) {
  peer_ = nullptr;
  is_cut_ = true;
  is_reading_ = false;
  InGateway(in_order ? &Wire::EndInOrder : &Wire::Break);
}

void Wire::EndInOrder() {
  is_ended_ = true;
  Arrive();
}

void Wire::Break() { Close(absl::UnavailableError("connection reset by peer")); }

void Wire::GiveUp() { Close(absl::DeadlineExceededError("the peer took nothing")); }

void Wire::ReadAgain() {
  if (std::exchange(is_reading_, true)) return;
  InGateway(&Wire::Flush);
}

void Wire::FlushSoon() {
  if (!std::exchange(is_flushing_, true)) InGateway(&Wire::Flush);
}

void Wire::Flush() {
  is_flushing_ = false;
  if (is_closed_ || !is_reading_) return;
  const std::string bytes = std::exchange(queued_, {});
  taken_ += bytes.size();
  if (!bytes.empty() && peer_ != nullptr) peer_->OnBytes(bytes);
  if (is_closing_) return Close(absl::OkStatus());
  if (handler_ == nullptr) return;
  if (std::exchange(is_tls_wanted_, false)) {
    is_tls_ = true;
    handler_->OnTlsEstablished();
  }
  if (!bytes.empty() && handler_ != nullptr) handler_->OnDrained();
}

void Wire::Close(const absl::Status& status) {
  if (std::exchange(is_closed_, true)) return;
  if (peer_ != nullptr) std::exchange(peer_, nullptr)->OnEnd();
  if (handler_ != nullptr) std::exchange(handler_, nullptr)->OnClosed(status);
}

}  // namespace rookery::fuzz
