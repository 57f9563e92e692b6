#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "domain/state/session.h"
#include "domain/state/shard.h"
#include "ports/gateway_peer.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// Room for an action about a session: with its id, and the shard's number and epoch.
session::v1::SessionManagerAction& AddAction(GatewayPeer& gateway, const SessionId& id, const Shard& shard);
/// To the session's gateway, which it must have.
session::v1::SessionManagerAction& AddAction(Session& session);
/// The shard is ours: who has sessions of it brings them.
void AddShardOwned(GatewayPeer& gateway, const Shard& shard);
/// An answer that no epoch can make stale, since it is about no shard of ours.
session::v1::SessionManagerAction& AddUnownedAction(GatewayPeer& gateway);

void SetFailure(session::v1::Failure& failure, xmpp::ErrorCondition condition, std::string_view text);
/// `temporary` where trying again may help.
void SetFailure(session::v1::Failure& failure, const absl::Status& status);

}  // namespace rookery::session_manager
