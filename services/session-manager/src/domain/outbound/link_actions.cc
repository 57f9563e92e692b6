#include "domain/outbound/link_actions.h"

#include <limits>

#include "domain/state/user.h"
#include "domain/text_for_clients.h"
#include "rookery/base/status.h"

namespace rookery::session_manager {

using session::v1::SessionManagerAction;

SessionManagerAction& AddAction(GatewayPeer& gateway, const SessionId& id, const Shard& shard) {
  SessionManagerAction& action = gateway.Add();
  action.set_session_id(id.bytes().data(), SessionId::kBytes);
  action.set_shard(shard.number);
  action.set_epoch(shard.epoch);
  return action;
}

SessionManagerAction& AddAction(Session& session) {
  return AddAction(*session.gateway, session.id, *session.user->shard);
}

void AddShardOwned(GatewayPeer& gateway, const Shard& shard) {
  SessionManagerAction& action = gateway.Add();
  action.set_shard(shard.number);
  action.set_epoch(shard.epoch);
  action.mutable_shard_owned()->set_shard(shard.number);
  action.mutable_shard_owned()->set_epoch(shard.epoch);
}

SessionManagerAction& AddUnownedAction(GatewayPeer& gateway) {
  SessionManagerAction& action = gateway.Add();
  action.set_epoch(std::numeric_limits<std::int64_t>::max());
  return action;
}

void SetFailure(session::v1::Failure& failure, xmpp::ErrorCondition condition, std::string_view text) {
  failure.set_condition(std::string(xmpp::Name(condition)));
  failure.set_text(std::string(text));
}

void SetFailure(session::v1::Failure& failure, const absl::Status& status) {
  SetFailure(failure, xmpp::ConditionOf(status), TextForClients(status));
  failure.set_temporary(IsTemporary(status));
}

}  // namespace rookery::session_manager
