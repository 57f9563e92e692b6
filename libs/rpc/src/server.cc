#include "rookery/rpc/server.h"

#include <grpc/support/log.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/post.hpp>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "caller_check.h"
#include "channel_options.h"
#include "rookery/base/check.h"
#include "rookery/base/loopback.h"
#include "rookery/base/status.h"
#include "rookery/config/files.h"
#include "rookery/telemetry/log.h"

namespace rookery::rpc {
namespace {

// gRPC's own log, which it would write to stderr in a format of its own.
void OnGrpcLog(gpr_log_func_args* line) {
  const telemetry::Level level =
      line->severity == GPR_LOG_SEVERITY_ERROR ? telemetry::Level::kWarn : telemetry::Level::kDebug;
  telemetry::Log(level, "rpc.grpc", {{"text", line->message}});
}

void InitGrpcOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Debian's Abseil looks for deadlocks at every lock, behind a lock that all threads share.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    gpr_set_log_function(OnGrpcLog);
    grpc::EnableDefaultHealthCheckService(true);
  });
}

constexpr char kInsecureText[] =
    "listen and call beyond this machine without `rpc.tls`: whoever can connect, or answers, is believed";

/// Reads the files again by a thread of its own. All channels of a process share one.
std::shared_ptr<grpc::experimental::CertificateProviderInterface> Watched(const TlsFiles& files) {
  using Provider = grpc::experimental::FileWatcherCertificateProvider;
  static std::mutex mutex;
  static std::map<std::tuple<std::string, std::string, std::string>, std::weak_ptr<Provider>> known;
  const std::lock_guard lock(mutex);
  std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Provider>& place = known[{files.ca_file, files.certificate_file, files.key_file}];
  std::shared_ptr<Provider> provider = place.lock();
  if (provider == nullptr) {
    provider = std::make_shared<Provider>(files.key_file, files.certificate_file, files.ca_file,
                                          static_cast<unsigned>(files.check_every.count()));
    place = provider;
  }
  return provider;
}

void Watch(grpc::experimental::TlsCredentialsOptions& options) {
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
}

/// Accepted by no server of ours.
std::shared_ptr<grpc::ChannelCredentials> CredentialsOfNobody() {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = "-";
  return grpc::SslCredentials(ssl);
}

std::shared_ptr<grpc::ChannelCredentials> CredentialsFor(const ClientOptions& options,
                                                         const std::string& address) {
  if (options.tls.enabled()) {
    const absl::StatusOr<TlsTexts> texts = ReadTlsFiles(options.tls);
    if (texts.ok()) {
      grpc::experimental::TlsChannelCredentialsOptions tls;
      tls.set_certificate_provider(Watched(options.tls));
      Watch(tls);
      return grpc::experimental::TlsCredentials(tls);
    }
    telemetry::LogError("rpc.tls_files", {{"error", texts.status().ToString()}});
    return CredentialsOfNobody();
  }
  if (options.insecure || IsLoopback(address)) return grpc::InsecureChannelCredentials();
  // Whoever says in Redis that it is one of us would be told passwords.
  static std::once_flag told;
  std::call_once(told, [&] {
    telemetry::LogError("rpc.not_called", {{"address", address},
                                           {"reason",
                                            "it is on another machine and there is no `rpc.tls`; where "
                                            "the network is trusted with every account, set "
                                            "`rpc.insecure`"}});
  });
  return CredentialsOfNobody();
}

class GrpcServer final : public Server {
 public:
  /// `refusal`: what answers the calls that no service of ours has; may be null.
  GrpcServer(std::unique_ptr<grpc::CallbackGenericService> refusal, std::unique_ptr<grpc::Server> server,
             std::string bound, std::string advertised)
      : refusal_(std::move(refusal)),
        server_(std::move(server)),
        bound_(std::move(bound)),
        advertised_(std::move(advertised)) {
    // The default of the health service is "serving"; readiness is the App's to say.
    SetServing(false);
  }

  ~GrpcServer() override {
    Shutdown(std::chrono::milliseconds(0));
    server_->Wait();
  }

  std::string bound_address() const override { return bound_; }
  std::string advertised_address() const override { return advertised_.empty() ? bound_ : advertised_; }

  void SetServing(bool serving) override { server_->GetHealthCheckService()->SetServingStatus(serving); }

  void Shutdown(std::chrono::milliseconds grace) override {
    std::call_once(shut_down_, [&] {
      server_->GetHealthCheckService()->Shutdown();
      server_->Shutdown(std::chrono::system_clock::now() + grace);
    });
  }

 private:
  std::unique_ptr<grpc::CallbackGenericService> refusal_;
  std::unique_ptr<grpc::Server> server_;
  std::string bound_;
  std::string advertised_;
  std::once_flag shut_down_;
};

}  // namespace

Task<void> Server::Stop(asio::any_io_executor executor, asio::thread_pool& blocking,
                        std::chrono::milliseconds grace) {
  runtime::Promise<bool> ended(executor);
  asio::post(blocking, [this, ended, grace]() mutable {
    Shutdown(grace);
    ended.Set(true);
  });
  (void)co_await ended.Get();
}

std::string TlsName(std::string_view service) { return std::string(service) + ".rookery.internal"; }

void TlsFiles::Bind(config::Schema& schema) {
  schema.Bind("rpc.tls.ca-file", &ca_file,
              "PEM file of the CA that signs every service's certificate; empty: no TLS");
  schema.Bind("rpc.tls.certificate-file", &certificate_file,
              "PEM file of this process's certificate, with the DNS name `<service>.rookery.internal`");
  schema.Bind("rpc.tls.key-file", &key_file, "PEM file of the certificate's private key");
}

void TlsFiles::Validate(config::Problems& problems) const {
  if (!enabled()) return;
  for (const auto& [key, file] :
       {std::pair("rpc.tls.ca-file", &ca_file), std::pair("rpc.tls.certificate-file", &certificate_file),
        std::pair("rpc.tls.key-file", &key_file)}) {
    if (file->empty()) problems.Add(key, "is needed too: `rpc.tls` takes all three files, or none");
  }
}

void TlsFiles::CheckFiles(config::Problems& problems) const {
  const auto check = [&](const char* key, const absl::Status& status) {
    if (!status.ok()) problems.Add(key, absl::StrCat("cannot be used: ", status.message()));
    return status.ok();
  };
  if (!ca_file.empty()) check("rpc.tls.ca-file", config::CheckCertificates(ca_file));
  if (certificate_file.empty()) return;
  const bool is_certificate = check("rpc.tls.certificate-file", config::CheckCertificates(certificate_file));
  if (is_certificate && !key_file.empty())
    check("rpc.tls.key-file", config::CheckKey(key_file, certificate_file));
}

void ServerOptions::Bind(config::Schema& schema) {
  schema.Bind("rpc.address", &address, "host:port where gRPC is served; port 0 takes a free one");
  schema.Bind("rpc.advertised-address", &advertised_address,
              "host:port by which other processes reach this one; empty: the bound address");
  schema.Bind("rpc.insecure", &insecure, kInsecureText);
  tls.Bind(schema);
}

void ClientOptions::Bind(config::Schema& schema) {
  schema.Bind("rpc.insecure", &insecure, kInsecureText);
  tls.Bind(schema);
}

void ServerOptions::Validate(config::Problems& problems) const {
  tls.Validate(problems);
  if (tls.enabled() || insecure || IsLoopback(address)) return;
  problems.Add("rpc.address",
               absl::StrCat("(", address,
                            ") is open to other machines and needs `rpc.tls`; where the network "
                            "is trusted with every account, set `rpc.insecure`"));
}

absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsFiles& files) {
  if (files.ca_file.empty() || files.certificate_file.empty() || files.key_file.empty()) {
    return absl::InvalidArgumentError(
        "rpc.tls needs ca-file, certificate-file and key-file, or none of them");
  }
  TlsTexts texts;
  ROOKERY_ASSIGN_OR_RETURN(texts.ca, config::ReadFile(files.ca_file));
  ROOKERY_ASSIGN_OR_RETURN(texts.certificate, config::ReadFile(files.certificate_file));
  ROOKERY_ASSIGN_OR_RETURN(texts.key, config::ReadFile(files.key_file));
  return texts;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      std::vector<grpc::Service*> services) {
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (options.tls.enabled()) {
    ROOKERY_RETURN_IF_ERROR(ReadTlsFiles(options.tls).status());
    grpc::experimental::TlsServerCredentialsOptions tls(Watched(options.tls));
    Watch(tls);
    tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    credentials = grpc::experimental::TlsServerCredentials(tls);
    credentials->SetAuthMetadataProcessor(std::make_shared<CallerCheck>(options.callers));
  }

  InitGrpcOnce();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.address, std::move(credentials), &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // With SO_REUSEPORT two processes would share an address that was meant for one.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Our own clients ping every two seconds: never a reason to throw them out.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 4);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // gRPC's own health service alone has no thread that would listen for its calls.
  std::unique_ptr<grpc::CallbackGenericService> refusal;
  if (services.empty()) {
    refusal = std::make_unique<grpc::CallbackGenericService>();
    builder.RegisterCallbackGenericService(refusal.get());
  }
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::UnavailableError("cannot listen for gRPC on " + options.address);
  }
  const std::string host = options.address.substr(0, options.address.rfind(':'));
  return std::make_unique<GrpcServer>(std::move(refusal), std::move(server),
                                      host + ":" + std::to_string(port), options.advertised_address);
}

std::shared_ptr<grpc::Channel> NewChannel(const ClientOptions& options, const std::string& address,
                                          bool own_connection) {
  InitGrpcOnce();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // Also the time limit of one attempt to connect.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Whoever calls knows what is safe to repeat, and repeats it.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  if (own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);

  if (options.tls.enabled()) {
    ROOKERY_CHECK(!options.service.empty());
    arguments.SetSslTargetNameOverride(TlsName(options.service));
  }
  return grpc::CreateCustomChannel(address, CredentialsFor(options, address), arguments);
}

std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options, const std::string& address) {
  return NewChannel(options, address, false);
}

}  // namespace rookery::rpc
