#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/status.h"
#include "rookery/net/connection.h"
#include "rookery/net/http.h"

namespace rookery::net {
namespace {

constexpr std::size_t kMaxConnections = 256;
// From the first byte of a request to its last, and between two requests.
constexpr std::chrono::seconds kRequestTimeout{10};
constexpr std::chrono::seconds kIdleTimeout{60};
// A client that pipelines and does not read is not read either.
constexpr std::size_t kMaxQueued = 1024 * 1024;

bool HasToken(std::string_view header, std::string_view token) {
  for (absl::string_view part : absl::StrSplit(AbslView(header), ',')) {
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(part), AbslView(token))) return true;
  }
  return false;
}

bool KeepsAlive(const HttpRequest& request) {
  const std::string_view connection = request.Header("Connection");
  return request.version == 11 ? !HasToken(connection, "close") : HasToken(connection, "keep-alive");
}

class ServerState;

class Peer final : public ConnectionHandler {
 public:
  Peer(ServerState& server, asio::io_context& io, std::unique_ptr<Connection> connection)
      : server_(server), timer_(io), connection_(std::move(connection)) {}

  void Start() {
    ArmTimer(kIdleTimeout);
    connection_->Start(this);
  }

  void OnData(std::string_view data) override {
    if (requests_.empty()) ArmTimer(kRequestTimeout);
    requests_.Append(data);
    Serve();
  }
  void OnDrained() override {
    connection_->ResumeReading();
    Serve();
  }
  void OnTlsEstablished() override {}
  void OnClosed(const absl::Status& status) override;

  std::list<Peer>::iterator self;

 private:
  void Serve();
  void Close() {
    closing_ = true;
    connection_->CloseAfterFlush();
  }
  void ArmTimer(std::chrono::seconds after) {
    timer_.expires_after(after);
    timer_.async_wait([this](const boost::system::error_code& error) {
      // Cancelled, or this is gone: the destructor cancels.
      if (!error && !closing_) Close();
    });
  }

  ServerState& server_;
  asio::steady_timer timer_;
  std::unique_ptr<Connection> connection_;
  HttpRequestParser requests_;
  bool closing_ = false;
};

/// Owns the peers.
class ServerState {
 public:
  ServerState(asio::io_context& io, HttpServer::Handle handle) : io_(io), handle_(std::move(handle)) {}
  void Add(std::unique_ptr<Connection> connection) {
    peers_.emplace_front(*this, io_, std::move(connection));
    peers_.front().self = peers_.begin();
    peers_.front().Start();
  }
  void Remove(Peer& peer) { peers_.erase(peer.self); }
  HttpResponse Handle(const HttpRequest& request) { return handle_(request); }

 private:
  asio::io_context& io_;
  HttpServer::Handle handle_;
  std::list<Peer> peers_;
};

void Peer::Serve() {
  while (!closing_ && !requests_.empty()) {
    if (connection_->queued_bytes() > kMaxQueued) {
      connection_->PauseReading();
      return;
    }
    absl::StatusOr<std::optional<HttpRequest>> request = requests_.Next();
    if (!request.ok()) {
      connection_->Write(FormatHttpResponse(
          {.status = 400, .headers = {}, .body = std::string(request.status().message()) + "\n"}, false));
      Close();
      return;
    }
    if (!request->has_value()) return;
    HttpResponse response = server_.Handle(**request);
    const bool keep_alive = KeepsAlive(**request);
    std::string bytes = FormatHttpResponse(response, keep_alive);
    // A HEAD response has the length of the body that it leaves out.
    if ((*request)->method == "HEAD") bytes.resize(bytes.size() - response.body.size());
    connection_->Write(bytes);
    if (!keep_alive) {
      Close();
      return;
    }
    ArmTimer(requests_.empty() ? kIdleTimeout : kRequestTimeout);
  }
}

void Peer::OnClosed(const absl::Status&) { server_.Remove(*this); }

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(asio::io_context& io, Handle handle) : state_(io, std::move(handle)) {}
  absl::Status Listen(asio::io_context& io, const std::string& address) {
    ROOKERY_ASSIGN_OR_RETURN(
        listener_,
        Listener::Create(
            io, {.address = address, .tls = nullptr, .max_connections = kMaxConnections},
            [this](std::unique_ptr<Connection> connection) { state_.Add(std::move(connection)); }));
    return absl::OkStatus();
  }
  std::string bound_address() const override { return listener_->bound_address(); }

 private:
  ServerState state_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(asio::io_context& io,
                                                               const std::string& address, Handle handle) {
  auto server = std::make_unique<HttpServerImpl>(io, std::move(handle));
  ROOKERY_RETURN_IF_ERROR(server->Listen(io, address));
  return server;
}

}  // namespace rookery::net
