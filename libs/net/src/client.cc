#include "rookery/net/client.h"

#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "address.h"
#include "rookery/base/status.h"
#include "tcp_core.h"
#include "tls_context.h"

namespace rookery::net {
namespace {

using asio::ip::tcp;
using Done = std::function<void(absl::StatusOr<std::unique_ptr<Connection>>)>;

class ClientContextImpl final : public TlsClientContext {
 public:
  explicit ClientContextImpl(SslCtxPtr context) : context_(std::move(context)) {}
  SSL_CTX* context() const { return context_.get(); }

 private:
  SslCtxPtr context_;
};

/// One attempt to connect. Its pending operations share it.
class Connector final : public std::enable_shared_from_this<Connector> {
 public:
  Connector(asio::io_context& io, std::string address, Done done)
      : loop_(Loop::Of(io)),
        resolver_(io),
        socket_(io),
        timer_(io),
        address_(std::move(address)),
        done_(std::move(done)) {}

  void Run(std::chrono::milliseconds timeout) {
    absl::StatusOr<HostPort> parts = SplitHostPort(address_);
    if (!parts.ok()) {
      asio::post(loop_.io(), [self = shared_from_this(), status = parts.status()] { self->End(status); });
      return;
    }
    timer_.expires_after(timeout);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) self->End(absl::DeadlineExceededError(absl::StrCat("connecting to ", self->address_)));
    });
    boost::system::error_code not_numeric;
    const asio::ip::address ip = asio::ip::make_address(parts->host, not_numeric);
    if (!not_numeric) return Connect({tcp::endpoint(ip, parts->port)});
    resolver_.async_resolve(parts->host, std::to_string(parts->port),
                            [self = shared_from_this()](const boost::system::error_code& error,
                                                        const tcp::resolver::results_type& results) {
                              if (self->done_ == nullptr) return;
                              if (error) return self->Fail(error);
                              std::vector<tcp::endpoint> endpoints;
                              for (const auto& result : results) endpoints.push_back(result.endpoint());
                              self->Connect(std::move(endpoints));
                            });
  }

 private:
  void Connect(std::vector<tcp::endpoint> endpoints) {
    endpoints_ = std::move(endpoints);
    asio::async_connect(
        socket_, endpoints_,
        [self = shared_from_this()](const boost::system::error_code& error, const tcp::endpoint& to) {
          if (self->done_ == nullptr) return;
          if (error) return self->Fail(error);
          self->Succeed(to);
        });
  }

  void Succeed(const tcp::endpoint& to) {
    boost::system::error_code error;
    socket_.non_blocking(true, error);
    if (!error) socket_.set_option(tcp::no_delay(true), error);
    if (error) return Fail(error);
    End(MakeConnection(
        std::make_shared<TcpCore>(loop_, std::move(socket_), NormalAddress(to.address()), nullptr), nullptr));
  }

  void Fail(const boost::system::error_code& error) {
    End(absl::UnavailableError(absl::StrCat("connecting to ", address_, ": ", error.message())));
  }

  void End(absl::StatusOr<std::unique_ptr<Connection>> result) {
    if (done_ == nullptr) return;
    timer_.cancel();
    resolver_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    std::exchange(done_, nullptr)(std::move(result));
  }

  Loop& loop_;
  asio::ip::basic_resolver<tcp, asio::io_context::executor_type> resolver_;
  TcpCore::Socket socket_;
  asio::steady_timer timer_;
  std::vector<tcp::endpoint> endpoints_;
  const std::string address_;
  Done done_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<TlsClientContext>> TlsClientContext::Create(const TlsClientOptions& options) {
  SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return absl::InternalError(TakeOpenSslError());
  SSL_CTX* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(
      c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(c, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(c, options.ca_file.c_str(), nullptr) != 1) {
      return absl::InvalidArgumentError(absl::StrCat(options.ca_file, ": ", TakeOpenSslError()));
    }
  } else if (options.verify) {
    SSL_CTX_set_default_verify_paths(c);
  }
  std::string wire;
  for (const std::string& name : options.alpn) {
    if (name.empty() || name.size() > 255)
      return absl::InvalidArgumentError("an ALPN name has 1 to 255 bytes");
    wire.push_back(static_cast<char>(name.size()));
    wire += name;
  }
  if (!wire.empty()) {
    SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned int>(wire.size()));
  }
  return std::make_shared<ClientContextImpl>(std::move(context));
}

void ConnectTcp(asio::io_context& io, const std::string& address, std::chrono::milliseconds timeout,
                Done done) {
  std::make_shared<Connector>(io, address, std::move(done))->Run(timeout);
}

void StartTlsClient(Connection& connection, std::shared_ptr<TlsClientContext> context,
                    const std::string& server_name) {
  SslPtr ssl(SSL_new(static_cast<const ClientContextImpl&>(*context).context()));
  if (ssl != nullptr) {
    SSL_set_connect_state(ssl.get());
    if (!server_name.empty()) {
      SSL_set_tlsext_host_name(ssl.get(), server_name.c_str());
      SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      SSL_set1_host(ssl.get(), server_name.c_str());
    }
  }
  CoreOf(connection).StartTls(std::move(ssl), std::move(context));
}

}  // namespace rookery::net
