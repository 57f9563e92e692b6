#pragma once

#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/config/config.h"
#include "rookery/runtime/task.h"

namespace grpc {
class Service;
class Channel;
}  // namespace grpc

namespace rookery::rpc {

/// The DNS name in the certificate of a service, say of `roster`: `roster.rookery.internal`. Processes are
/// reached by addresses that no certificate can foresee, so names, not addresses, say who somebody is.
std::string TlsName(std::string_view service);

/// Mutual TLS between services; all empty: plain text. PEM files. What is put in their place holds for
/// connections that are made `check_every` later; certificate and key change together, as in a volume of
/// Kubernetes, else nobody gets in until the next look.
struct TlsFiles {
  std::string ca_file, certificate_file, key_file;
  /// Not a setting.
  std::chrono::seconds check_every{60};
  /// rpc.tls.ca-file, rpc.tls.certificate-file, rpc.tls.key-file
  void Bind(config::Schema& schema);
  void Validate(config::Problems& problems) const;
  void CheckFiles(config::Problems& problems) const;
  bool enabled() const { return !ca_file.empty() || !certificate_file.empty() || !key_file.empty(); }
};

struct ServerOptions {
  std::string address = "127.0.0.1:0";
  /// How other processes reach this one; empty: the bound address.
  std::string advertised_address;
  TlsFiles tls;
  /// Listens and calls beyond this machine without TLS, where anybody who can connect is believed.
  bool insecure = false;
  /// With TLS: the services that may call. Not a setting: it follows from what is served. Anybody of ours may
  /// ask for health.
  std::vector<std::string> callers;
  void Bind(config::Schema& schema);  // rpc.address, rpc.advertised-address, rpc.insecure, rpc.tls.*
  void Validate(config::Problems& problems) const;
};

struct ClientOptions {
  TlsFiles tls;
  bool insecure = false;
  /// With TLS: who must answer. Not a setting either.
  std::string service;
  std::chrono::milliseconds default_deadline{2'000};
  void Bind(config::Schema& schema);  // rpc.insecure, rpc.tls.*: of a process that only calls
};

/// A gRPC server with health (grpc.health.v1), keepalive set.
class Server {
 public:
  /// UNAVAILABLE: the address is in use. NOT_FOUND: a TLS file cannot be read.
  /// INVALID_ARGUMENT: one of the three is missing. Services must outlive the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       std::vector<grpc::Service*> services);
  virtual ~Server() = default;
  virtual std::string bound_address() const = 0;
  virtual std::string advertised_address() const = 0;
  virtual void SetServing(bool serving) = 0;
  /// Refuses new calls, waits for running ones until the time is over, then cancels
  /// them. Blocks: call it on the blocking pool.
  virtual void Shutdown(std::chrono::milliseconds grace) = 0;
  /// Runs Shutdown on the `blocking` pool, while the I/O thread goes on turning.
  Task<void> Stop(asio::any_io_executor executor, asio::thread_pool& blocking,
                  std::chrono::milliseconds grace);
};

/// A channel with keepalive, quick reconnection and the options' TLS. Connects with the first call. Every
/// call fails with UNAVAILABLE where a TLS file cannot be read, somebody else answers than `service`, or the
/// address is beyond this machine and there is neither TLS nor `insecure`.
std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options, const std::string& address);

}  // namespace rookery::rpc
