#include "rookery/member/disco_desk.h"

#include "rookery/base/status.h"

namespace rookery::member {

disco::v1::GetDiscoInfoResponse PlainInfo(std::string category, std::string type, std::string name) {
  disco::v1::GetDiscoInfoResponse info;
  disco::v1::DiscoIdentity& identity = *info.add_identities();
  identity.set_category(std::move(category));
  identity.set_type(std::move(type));
  identity.set_name(std::move(name));
  info.add_features("http://jabber.org/protocol/disco#info");
  return info;
}

absl::StatusOr<disco::v1::GetDiscoInfoResponse> DiscoDesk::Info(
    const disco::v1::GetDiscoInfoRequest& request) const {
  ROOKERY_RETURN_IF_ERROR(Check(request.jid(), request.node()));
  return info_;
}

absl::StatusOr<disco::v1::ListDiscoItemsResponse> DiscoDesk::Items(
    const disco::v1::ListDiscoItemsRequest& request) const {
  ROOKERY_RETURN_IF_ERROR(Check(request.jid(), request.node()));
  return disco::v1::ListDiscoItemsResponse();
}

absl::Status DiscoDesk::Check(const std::string& jid, const std::string& node) const {
  if (jid.empty()) return absl::InvalidArgumentError("an address is missing");
  if (!is_owner_(jid)) return absl::FailedPreconditionError("the shard is not owned here");
  // Only the component itself: it has no entities.
  if (jid.find_first_of("@/") != std::string::npos) return absl::NotFoundError("no such address");
  if (!node.empty()) return absl::NotFoundError("no such node");
  return absl::OkStatus();
}

}  // namespace rookery::member
