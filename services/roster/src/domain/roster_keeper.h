#pragma once

#include "absl/status/statusor.h"
#include "ports/roster_store.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"

namespace rookery::roster {

/// Does the work of RosterService's RPCs, on top of a store. A change that meets another one of the same
/// contact reads again and is made on top of it. A request that was answered before gets its answer again.
class RosterKeeper {
 public:
  /// Texts that one roster may hold: with all of it in one stanza, a client's login must
  /// not outgrow what a session may have unacknowledged.
  static constexpr std::int64_t kMaxItemBytes = 16 * 1024;
  static constexpr std::int64_t kMaxRosterBytes = 2 * 1024 * 1024;
  /// Requests come from strangers: beyond these they are kept without their children.
  static constexpr std::int64_t kMaxRequestBytes = 4 * 1024;
  static constexpr std::int64_t kMaxFullRequestsBytes = 256 * 1024;
  /// Beyond this none is kept.
  static constexpr std::int64_t kMaxRequestsBytes = 512 * 1024;

  /// A block list's addresses together.
  static constexpr std::size_t kMaxBlockedBytes = 128 * 1024;
  /// More than callers let anybody have.
  static constexpr std::size_t kMaxVcardBytes = 1024 * 1024;

  explicit RosterKeeper(RosterStore& store) : store_(store) {}

  Task<absl::StatusOr<v1::GetRosterResponse>> Get(v1::GetRosterRequest request);
  Task<absl::StatusOr<v1::SetRosterItemResponse>> SetItem(v1::SetRosterItemRequest request);
  Task<absl::StatusOr<v1::RemoveRosterItemResponse>> RemoveItem(v1::RemoveRosterItemRequest request);
  Task<absl::StatusOr<v1::ProcessOutboundSubscriptionResponse>> ProcessOutbound(
      v1::ProcessOutboundSubscriptionRequest request);
  Task<absl::StatusOr<v1::ProcessInboundSubscriptionResponse>> ProcessInbound(
      v1::ProcessInboundSubscriptionRequest request);
  Task<absl::StatusOr<v1::DeleteUserResponse>> DeleteUser(v1::DeleteUserRequest request);
  Task<absl::StatusOr<v1::GetUserSettingsResponse>> GetUserSettings(v1::GetUserSettingsRequest request);
  Task<absl::StatusOr<v1::BlockAddressesResponse>> Block(v1::BlockAddressesRequest request);
  Task<absl::StatusOr<v1::UnblockAddressesResponse>> Unblock(v1::UnblockAddressesRequest request);
  Task<absl::StatusOr<v1::GetVcardResponse>> GetVcard(v1::GetVcardRequest request);
  Task<absl::StatusOr<v1::SetVcardResponse>> SetVcard(v1::SetVcardRequest request);

 private:
  /// Reads the contact, decides, stores; again while others are quicker.
  template <typename Response, typename Request, typename Decide>
  Task<absl::StatusOr<Response>> ChangeContact(Request request, std::string jid, Decide decide);

  /// Remembers that the request is refused. ABORTED: it has been answered otherwise, read again.
  template <typename Request>
  Task<absl::Status> Refuse(const Request& request, std::int64_t read_at_ms, absl::Status refusal);

  /// Reads the block list, decides, stores; again while others are quicker. `decide` changes the
  /// list and fills the answer in, or says why it does not.
  template <typename Response, typename Request, typename Decide>
  Task<absl::StatusOr<Response>> ChangeBlockList(Request request, Decide decide);
  /// Those that are not in what is read with every roster cost a question of their own.
  Task<absl::Status> AddSettings(const StoredRoster& roster, std::string owner,
                                 v1::GetRosterResponse& response);

  RosterStore& store_;
};

v1::Subscription ToProto(const SubscriptionState& state);
v1::RosterItem ToProto(const Contact& contact);

}  // namespace rookery::roster
