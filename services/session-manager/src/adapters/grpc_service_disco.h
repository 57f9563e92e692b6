#pragma once

#include <cstdint>

#include "ports/service_disco.h"
#include "rookery/disco/v1/disco_service.grpc.pb.h"
#include "rookery/routing/owner_client.h"
#include "rookery/rpc/stub_cache.h"

namespace rookery::session_manager {

/// Asks the owner of the address's shard. `registry` watches the services of which is asked whether they are
/// there.
class GrpcServiceDisco final : public ServiceDisco {
 public:
  GrpcServiceDisco(asio::io_context& io, routing::Registry& registry, rpc::ClientOptions options);

  bool IsThere(events::Service service) const override {
    return !registry_.Instances(events::Name(service)).empty();
  }
  Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(events::Home home,
                                                             disco::v1::GetDiscoInfoRequest request,
                                                             std::uint64_t trace_id) override;
  Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(events::Home home,
                                                                disco::v1::ListDiscoItemsRequest request,
                                                                std::uint64_t trace_id) override;

 private:
  using Stubs = rpc::StubCache<disco::v1::DiscoService>;

  template <typename Request, typename Response>
  Task<absl::StatusOr<Response>> Ask(events::Home home, Request request, std::uint64_t trace_id,
                                     Stubs::Method<Request, Response> method);

  routing::Registry& registry_;
  routing::OwnerClient owners_;
  Stubs stubs_;
};

}  // namespace rookery::session_manager
