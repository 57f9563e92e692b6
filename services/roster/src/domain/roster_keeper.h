#pragma once

#include "absl/status/statusor.h"
#include "ports/roster_store.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::roster {

/// What the RPCs of RosterService do, on top of a store. A change that meets another
/// one of the same contact reads again and is made on top of it.
class RosterKeeper {
 public:
  explicit RosterKeeper(RosterStore& store) : store_(store) {}

  Task<absl::StatusOr<v1::GetRosterResponse>> Get(v1::GetRosterRequest request);
  Task<absl::StatusOr<v1::SetRosterItemResponse>> SetItem(v1::SetRosterItemRequest request);
  Task<absl::StatusOr<v1::RemoveRosterItemResponse>> RemoveItem(v1::RemoveRosterItemRequest request);
  Task<absl::StatusOr<v1::ProcessOutboundSubscriptionResponse>> ProcessOutbound(
      v1::ProcessOutboundSubscriptionRequest request);
  Task<absl::StatusOr<v1::ProcessInboundSubscriptionResponse>> ProcessInbound(
      v1::ProcessInboundSubscriptionRequest request);
  Task<absl::StatusOr<v1::DeleteUserResponse>> DeleteUser(v1::DeleteUserRequest request);

 private:
  /// The contact as stored, or a new one of revision 0.
  Task<absl::StatusOr<Contact>> FindOrNew(std::string owner, std::string jid);
  RosterStore& store_;
};

v1::Subscription ToProto(const SubscriptionState& state);
v1::RosterItem ToProto(const Contact& contact);

}  // namespace rookery::roster
