#include "caller_check.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <string_view>

#include "absl/strings/str_join.h"
#include "rookery/rpc/server.h"
#include "rookery/telemetry/log.h"

namespace rookery::rpc {
namespace {

std::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

}  // namespace

CallerCheck::CallerCheck(const std::vector<std::string>& services) {
  for (const std::string& service : services) names_.push_back(TlsName(service));
}

bool CallerCheck::IsAllowed(const grpc::AuthContext& context) const {
  const std::vector<grpc::string_ref> shown = context.FindPropertyValues(GRPC_PEER_DNS_PROPERTY_NAME);
  return std::any_of(shown.begin(), shown.end(), [&](const grpc::string_ref& name) {
    return std::find(names_.begin(), names_.end(), View(name)) != names_.end();
  });
}

grpc::Status CallerCheck::Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                                  OutputMetadata*) {
  if (IsAllowed(*context)) return grpc::Status::OK;
  const auto path = metadata.find(":path");
  const std::string method(path == metadata.end() ? std::string_view() : View(path->second));
  if (method.starts_with("/grpc.health.v1.Health/")) return grpc::Status::OK;
  const std::string caller =
      absl::StrJoin(context->GetPeerIdentity(), ",",
                    [](std::string* out, const auto& name) { out->append(name.data(), name.size()); });
  telemetry::LogWarn("rpc.caller_refused", {{"caller", caller}, {"method", method}});
  return {grpc::StatusCode::PERMISSION_DENIED, caller + " has no business here"};
}

}  // namespace rookery::rpc
