#include "disco_rpc.h"

#include "rookery/disco/v1/disco_service.grpc.pb.h"
#include "rookery/rpc/answers.h"

namespace rookery::member {

namespace {

class DiscoRpc final : public disco::v1::DiscoService::CallbackService {
 public:
  DiscoRpc(asio::io_context& io, const DiscoDesk& desk, telemetry::Metrics& metrics)
      : desk_(desk), answers_(io, metrics) {}

  grpc::ServerUnaryReactor* GetDiscoInfo(grpc::CallbackServerContext* context,
                                         const disco::v1::GetDiscoInfoRequest* request,
                                         disco::v1::GetDiscoInfoResponse* response) override {
    return answers_.Serve(context, request, response, [this](const auto& in) { return desk_.Info(in); });
  }
  grpc::ServerUnaryReactor* ListDiscoItems(grpc::CallbackServerContext* context,
                                           const disco::v1::ListDiscoItemsRequest* request,
                                           disco::v1::ListDiscoItemsResponse* response) override {
    return answers_.Serve(context, request, response, [this](const auto& in) { return desk_.Items(in); });
  }

 private:
  const DiscoDesk& desk_;
  rpc::Answers answers_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDiscoRpc(asio::io_context& io, const DiscoDesk& desk,
                                            telemetry::Metrics& metrics) {
  return std::make_unique<DiscoRpc>(io, desk, metrics);
}

}  // namespace rookery::member
