#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ports/service_disco.h"
#include "rookery/disco/v1/disco_service.grpc.pb.h"
#include "rookery/routing/registry.h"
#include "rookery/rpc/server.h"

namespace rookery::session_manager {

/// Calls the owner of the address's shard, as the registry has it; once more when that one
/// does not answer, or says that it is not the owner, and the registry knows another by now.
class GrpcServiceDisco final : public ServiceDisco {
 public:
  /// `shard_counts`: by service, the partitions of its topic.
  GrpcServiceDisco(asio::io_context& io, routing::Registry& registry, rpc::ClientOptions options,
                   std::map<std::string, std::uint32_t> shard_counts);

  Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(std::string service,
                                                             disco::v1::GetDiscoInfoRequest request,
                                                             std::uint64_t trace_id) override;
  Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(std::string service,
                                                                disco::v1::ListDiscoItemsRequest request,
                                                                std::uint64_t trace_id) override;

 private:
  using Stub = disco::v1::DiscoService::Stub;

  template <typename Response, typename Request, typename Start>
  Task<absl::StatusOr<Response>> CallOwner(std::string service, Request request, std::uint64_t trace_id,
                                           Start start);
  /// Reads the owners of the service's shards again.
  Task<absl::Status> ReadOwners(std::string service);
  /// Empty while unknown.
  std::string OwnerOf(const std::string& service, std::uint32_t shard) const;
  std::shared_ptr<Stub> StubFor(const std::string& service, const std::string& address);

  asio::io_context& io_;
  routing::Registry& registry_;
  rpc::ClientOptions options_;
  std::map<std::string, std::uint32_t> shard_counts_;
  std::map<std::string, std::vector<routing::OwnerEntry>> owners_;
  // By service and address.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Stub>> stubs_;
};

}  // namespace rookery::session_manager
