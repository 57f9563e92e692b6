#include "protocols/xmpp/xmpp_server.h"

#include <utility>

#include "domain/text.h"
#include "protocols/xmpp/tcp_connection.h"
#include "protocols/xmpp/websocket_connection.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::gateway {

struct XmppServer::Entry {
  Entry(telemetry::Metrics& metrics, const telemetry::Labels& labels)
      : connections(metrics.Gauge("connections", "Open connections by listener", labels)),
        accepted(metrics.Counter("accepted_connections_total", "Connections accepted by listener", labels)),
        refused(metrics.Counter("refused_connections_total", "Connections refused over a limit, by listener",
                                labels)) {}

  Admission::Begin begin;
  std::unique_ptr<net::Listener> listener;
  prometheus::Gauge& connections;
  prometheus::Counter& accepted;
  prometheus::Counter& refused;
  std::uint64_t counted_accepted = 0;
  std::uint64_t counted_refused = 0;

  void Update() {
    connections.Set(static_cast<double>(listener->open_connections()));
    accepted.Increment(
        static_cast<double>(listener->accepted() - std::exchange(counted_accepted, listener->accepted())));
    refused.Increment(
        static_cast<double>(listener->refused() - std::exchange(counted_refused, listener->refused())));
  }
};

XmppServer::XmppServer(asio::io_context& io, StreamServices services, const Admission::Options& admission,
                       ConnectionSet& set, telemetry::Metrics& metrics)
    : io_(io), services_(services), set_(set), metrics_(metrics), admission_(io, admission, metrics) {
  admission_.OnFull([this](bool full) {
    for (const auto& entry : entries_) {
      if (full) {
        entry->listener->Pause();
      } else {
        entry->listener->Resume();
      }
    }
  });
  metrics_.OnScrape([this] {
    for (const auto& entry : entries_) entry->Update();
  });
}

XmppServer::~XmppServer() = default;

absl::Status XmppServer::Add(const Listen& listen) {
  net::ListenOptions options;
  options.address = listen.address;
  options.direct_tls =
      listen.kind == Listen::Kind::kTcpDirectTls || listen.kind == Listen::Kind::kWebSocketTls;
  options.tls = options.direct_tls ? listen.tls : nullptr;
  options.max_connections = listen.max_connections;
  options.max_connections_per_address = listen.max_connections_per_address;
  options.keepalive = listen.keepalive;

  const telemetry::Labels labels{{"listener", listen.name}};
  auto entry = std::make_unique<Entry>(metrics_, labels);
  switch (listen.kind) {
    case Listen::Kind::kTcp:
    case Listen::Kind::kTcpDirectTls: {
      const bool direct = options.direct_tls;
      entry->begin = [this, direct, mode = direct ? TlsMode::kRequired : listen.tls_mode, tls = listen.tls](
                         std::unique_ptr<net::Connection> connection, Admission::Ticket ticket) {
        auto made = std::make_unique<TcpConnection>(services_, set_, std::move(connection), mode,
                                                    direct ? nullptr : tls, std::move(ticket));
        TcpConnection* client = made.get();
        set_.Add(std::move(made));
        client->Start();
      };
      break;
    }
    case Listen::Kind::kWebSocket:
    case Listen::Kind::kWebSocketTls:
      entry->begin = [this](std::unique_ptr<net::Connection> connection, Admission::Ticket ticket) {
        auto made =
            std::make_unique<WebSocketConnection>(services_, set_, std::move(connection), std::move(ticket));
        WebSocketConnection* client = made.get();
        set_.Add(std::move(made));
        client->Start();
      };
      break;
  }
  auto on_accept = [this, &begin = entry->begin](std::unique_ptr<net::Connection> connection) {
    admission_.Arrive(std::move(connection), begin);
  };
  ROOKERY_ASSIGN_OR_RETURN(entry->listener, net::Listener::Create(io_, options, std::move(on_accept)));
  const std::string event = Cat(listen.name, ".listening");
  telemetry::LogInfo(event, {{"address", entry->listener->bound_address()}});
  entries_.push_back(std::move(entry));
  listening_ = true;
  return absl::OkStatus();
}

void XmppServer::Stop() {
  listening_ = false;
  for (const auto& entry : entries_) entry->listener->Stop();
  admission_.Close();
}

}  // namespace rookery::gateway
