#include "rpc/roster_rpc.h"

#include <algorithm>
#include <type_traits>

#include "rookery/roster/v1/roster_service.grpc.pb.h"
#include "rookery/rpc/answers.h"

namespace rookery::roster {

namespace {

/// Whether a request that is about one contact names it.
template <typename Request>
bool HasContact(const Request& request) {
  if constexpr (std::is_same_v<Request, v1::GetRosterRequest>) {
    return true;  // about one, or all
  } else if constexpr (requires { request.jid(); }) {
    return !request.jid().empty();
  } else if constexpr (requires { request.contact(); }) {
    return !request.contact().empty();
  } else {
    return true;
  }
}

/// Longer ones nobody has (RFC 7622 section 3.1: three parts of 1023 bytes).
constexpr std::size_t kMaxAddressBytes = 3'071;
/// An item's key is both, and PostgreSQL's index takes 2,704 bytes with what it adds. Two local bare JIDs
/// fit.
constexpr std::size_t kMaxPairBytes = 2'600;
constexpr std::size_t kMaxRequestIdBytes = 128;

/// Why a request cannot be served; empty when it can.
template <typename Request>
absl::string_view Flaw(const Request& request) {
  if (request.user().empty() || !HasContact(request)) return "an address is missing";
  bool is_too_long = request.user().size() > kMaxAddressBytes;
  if constexpr (requires { request.jid(); })
    is_too_long |= request.user().size() + request.jid().size() > kMaxPairBytes;
  if constexpr (requires { request.contact(); })
    is_too_long |= request.user().size() + request.contact().size() > kMaxPairBytes;
  if constexpr (requires { request.jids(); }) {
    for (const std::string& jid : request.jids()) {
      if (jid.empty()) return "an address is missing";
      is_too_long |= jid.size() > kMaxAddressBytes;
    }
    if constexpr (requires { request.max_addresses(); }) {
      if (request.jids().empty()) return "an address is missing";
    }
  }
  if (is_too_long) return "an address is too long";
  if constexpr (requires { request.request_id(); }) {
    if (request.request_id().size() > kMaxRequestIdBytes) return "the request's id is too long";
  }
  return {};
}

class RosterRpc final : public v1::RosterService::CallbackService {
 public:
  RosterRpc(asio::io_context& io, RosterKeeper& keeper, telemetry::Metrics& metrics)
      : keeper_(keeper), answers_(io, metrics) {}

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
  grpc::ServerUnaryReactor* GetUserSettings(grpc::CallbackServerContext* context,
                                            const v1::GetUserSettingsRequest* request,
                                            v1::GetUserSettingsResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.GetUserSettings(r); });
  }
  grpc::ServerUnaryReactor* BlockAddresses(grpc::CallbackServerContext* context,
                                           const v1::BlockAddressesRequest* request,
                                           v1::BlockAddressesResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.Block(r); });
  }
  grpc::ServerUnaryReactor* UnblockAddresses(grpc::CallbackServerContext* context,
                                             const v1::UnblockAddressesRequest* request,
                                             v1::UnblockAddressesResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.Unblock(r); });
  }
  grpc::ServerUnaryReactor* GetVcard(grpc::CallbackServerContext* context, const v1::GetVcardRequest* request,
                                     v1::GetVcardResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.GetVcard(r); });
  }
  grpc::ServerUnaryReactor* SetVcard(grpc::CallbackServerContext* context, const v1::SetVcardRequest* request,
                                     v1::SetVcardResponse* response) override {
    return Answer(context, request, response, [this](const auto& r) { return keeper_.SetVcard(r); });
  }

 private:
  template <typename Request, typename Response, typename Handle>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const Request* request,
                                   Response* response, Handle handle) {
    return answers_.Serve(context, request, response,
                          [handle](const Request& in) -> Task<absl::StatusOr<Response>> {
                            const absl::string_view flaw = Flaw(in);
                            if (!flaw.empty()) co_return absl::InvalidArgumentError(flaw);
                            absl::StatusOr<Response> answer = co_await handle(in);
                            co_return answer;
                          });
  }

  RosterKeeper& keeper_;
  rpc::Answers answers_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRosterRpc(asio::io_context& io, RosterKeeper& keeper,
                                             telemetry::Metrics& metrics) {
  return std::make_unique<RosterRpc>(io, keeper, metrics);
}

}  // namespace rookery::roster
