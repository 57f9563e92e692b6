#include "rpc/roster_rpc.h"

#include "rookery/roster/v1/roster_service.grpc.pb.h"
#include "rookery/rpc/unary.h"

namespace rookery::roster {

namespace {

/// Of the requests that are about one contact: whether it is named.
template <typename Request>
bool HasContact(const Request& request) {
  if constexpr (requires { request.jid(); }) {
    return !request.jid().empty();
  } else if constexpr (requires { request.contact(); }) {
    return !request.contact().empty();
  } else {
    return true;
  }
}

class RosterRpc final : public v1::RosterService::CallbackService {
 public:
  RosterRpc(asio::io_context& io, RosterKeeper& keeper, telemetry::Metrics& metrics)
      : io_(io),
        keeper_(keeper),
        calls_(metrics.Counter("calls_total", "Calls of RosterService")),
        failures_(metrics.Counter("calls_failed_total", "Calls that ended with an error")) {}

  grpc::ServerUnaryReactor* GetRoster(grpc::CallbackServerContext* context,
                                      const v1::GetRosterRequest* request,
                                      v1::GetRosterResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.Get(r); });
  }
  grpc::ServerUnaryReactor* SetRosterItem(grpc::CallbackServerContext* context,
                                          const v1::SetRosterItemRequest* request,
                                          v1::SetRosterItemResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.SetItem(r); });
  }
  grpc::ServerUnaryReactor* RemoveRosterItem(grpc::CallbackServerContext* context,
                                             const v1::RemoveRosterItemRequest* request,
                                             v1::RemoveRosterItemResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.RemoveItem(r); });
  }
  grpc::ServerUnaryReactor* ProcessOutboundSubscription(
      grpc::CallbackServerContext* context, const v1::ProcessOutboundSubscriptionRequest* request,
      v1::ProcessOutboundSubscriptionResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.ProcessOutbound(r); });
  }
  grpc::ServerUnaryReactor* ProcessInboundSubscription(
      grpc::CallbackServerContext* context, const v1::ProcessInboundSubscriptionRequest* request,
      v1::ProcessInboundSubscriptionResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.ProcessInbound(r); });
  }
  grpc::ServerUnaryReactor* DeleteUser(grpc::CallbackServerContext* context,
                                       const v1::DeleteUserRequest* request,
                                       v1::DeleteUserResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.DeleteUser(r); });
  }

 private:
  template <typename Request, typename Response, typename Handle>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const Request* request,
                                   Response* response, Handle handle) {
    auto counted = [this, handle](const Request& in) -> Task<absl::StatusOr<Response>> {
      calls_.Increment();
      if (in.user().empty() || !HasContact(in)) {
        failures_.Increment();
        co_return absl::InvalidArgumentError("an address is missing");
      }
      auto result = co_await handle(in);
      if (!result.ok()) failures_.Increment();
      co_return result;
    };
    return rpc::Serve(io_, context, request, response, std::move(counted));
  }

  asio::io_context& io_;
  RosterKeeper& keeper_;
  prometheus::Counter& calls_;
  prometheus::Counter& failures_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRosterRpc(asio::io_context& io, RosterKeeper& keeper,
                                             telemetry::Metrics& metrics) {
  return std::make_unique<RosterRpc>(io, keeper, metrics);
}

}  // namespace rookery::roster
