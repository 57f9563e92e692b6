#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "rookery/rpc/server.h"

namespace rookery::rpc {

inline constexpr int kMaxMessageBytes = 16 << 20;

// A frozen process still has its kernel answer TCP; only the HTTP/2 ping tells.
inline constexpr int kKeepaliveMs = 2'000;
inline constexpr int kKeepaliveTimeoutMs = 3'000;

/// How much a peer may send on one stream ahead of its reader. Fixed: gRPC's own probing
/// starts with 64 KiB, a quarter of a full link frame.
inline constexpr int kStreamWindowBytes = 1 << 20;

struct TlsTexts {
  std::string ca, certificate, key;
};
/// INVALID_ARGUMENT with the file's name.
absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsFiles& files);

/// A channel like MakeChannel's. `own_connection`: does not share a connection, nor the
/// wait after a failed attempt, with other channels to the address.
std::shared_ptr<grpc::Channel> NewChannel(const ClientOptions& options, const std::string& address,
                                          bool own_connection);

}  // namespace rookery::rpc
