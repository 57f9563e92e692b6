#include "disco_rpc.h"

#include <algorithm>
#include <string>

#include "rookery/disco/v1/disco_service.grpc.pb.h"
#include "rookery/rpc/trace.h"
#include "rookery/rpc/unary.h"
#include "rookery/telemetry/log.h"

namespace rookery::sharding {

namespace {

class DiscoRpc final : public disco::v1::DiscoService::CallbackService {
 public:
  DiscoRpc(asio::io_context& io, const DiscoDesk& desk, telemetry::Metrics& metrics)
      : io_(io),
        desk_(desk),
        calls_(metrics.Counter("calls_total", "Calls of DiscoService")),
        failures_(metrics.Counter("calls_failed_total", "Calls that ended with an error")) {}

  grpc::ServerUnaryReactor* GetDiscoInfo(grpc::CallbackServerContext* context,
                                         const disco::v1::GetDiscoInfoRequest* request,
                                         disco::v1::GetDiscoInfoResponse* response) override {
    return Answer(context, request, response, [this](const auto& in) { return desk_.Info(in); });
  }
  grpc::ServerUnaryReactor* ListDiscoItems(grpc::CallbackServerContext* context,
                                           const disco::v1::ListDiscoItemsRequest* request,
                                           disco::v1::ListDiscoItemsResponse* response) override {
    return Answer(context, request, response, [this](const auto& in) { return desk_.Items(in); });
  }

 private:
  template <typename Request, typename Response, typename Handle>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const Request* request,
                                   Response* response, Handle handle) {
    std::string trace;
    if (telemetry::IsLogged(telemetry::Level::kDebug)) trace = rpc::TraceOf(*context);
    auto counted = [this, handle, trace](const Request& in) -> Task<absl::StatusOr<Response>> {
      calls_.Increment();
      absl::StatusOr<Response> result = handle(in);
      if (!result.ok()) failures_.Increment();
      telemetry::LogDebug("call.answered", {{"trace_id", trace},
                                            {"call", Request::descriptor()->name()},
                                            {"status", absl::StatusCodeToString(result.status().code())}});
      co_return result;
    };
    return rpc::Serve(io_, context, request, response, std::move(counted));
  }

  asio::io_context& io_;
  const DiscoDesk& desk_;
  prometheus::Counter& calls_;
  prometheus::Counter& failures_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDiscoRpc(asio::io_context& io, const DiscoDesk& desk,
                                            telemetry::Metrics& metrics) {
  return std::make_unique<DiscoRpc>(io, desk, metrics);
}

}  // namespace rookery::sharding
