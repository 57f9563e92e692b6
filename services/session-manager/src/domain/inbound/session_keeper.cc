#include "domain/inbound/session_keeper.h"

#include <utility>

#include "domain/inbound/attachments.h"
#include "domain/inbound/gateway_actions.h"
#include "domain/inbound/gateway_hello.h"
#include "domain/inbound/session_actions.h"
#include "domain/inbound/turned_away.h"
#include "domain/inbound/waiting_actions.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/outbox.h"
#include "domain/state/shards.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

void EndReplaced(GatewayPeer& older, const Incarnation& newer) {
  telemetry::LogWarn("gateway.replaced", {{"gateway", older.instance()}});
  auto& told = *older.Add().mutable_gateway_replaced()->mutable_newer();
  told.set_started_at_ms(newer.started_at_ms);
  told.set_random(newer.random);
  older.Close();
}

}  // namespace

void SessionKeeper::OnGatewayLinked(GatewayPeer& gateway) {
  try {
    Welcome(gateway);
  } catch (const std::exception& failure) {
    CloseFailed(gateway, "hello", failure);
  }
}

void SessionKeeper::CloseFailed(GatewayPeer& gateway, std::string_view action,
                                const std::exception& failure) {
  owner_.NoteActionFailed(action, failure, "its link is closed");
  gateway.Close();
}

void SessionKeeper::Welcome(GatewayPeer& gateway) {
  if (GatewayPeer* known = gateways_.Find(gateway.instance()); known != nullptr && known != &gateway) {
    const Incarnation& before = known->incarnation();
    const bool is_told = gateway.incarnation().is_known() && before.is_known();
    if (is_told && gateway.incarnation() < before) {
      EndReplaced(gateway, before);
      return;
    }
    // A newer process of the name; or the same one, which has given up a link before we hear
    // that it is gone: what comes over the old one counts no more.
    OnGatewayLost(*known);
    if (is_told && before < gateway.incarnation()) {
      EndReplaced(*known, gateway.incarnation());
    } else {
      known->Close();
    }
  }
  gateways_.Add(gateway);
  hello_.Say(gateway);
}

void SessionKeeper::OnGatewayLost(GatewayPeer& gateway) {
  // A process that was frozen finds its links broken: it must not judge by that.
  owner_.NoteTime();
  outbox_.OnGatewayLost(gateway);
  const bool is_replaced = !gateways_.Remove(gateway);
  sessions_.OnGatewayLost(gateway);
  if (is_replaced) return;
  turned_away_.Forget(gateway);
  attachments_.Forget(gateway);
  for (const auto& shard : shards_.All()) {
    shard->attached_gateways.erase(gateway.instance());
    waiting_.Drop(*shard, gateway.instance());
    std::erase_if(shard->unknown_resumes,
                  [&](const auto& entry) { return entry.second.asked.gateway == gateway.instance(); });
  }
}

void SessionKeeper::OnGatewaysRegistered() { gateways_.NoteRegistered(); }

void SessionKeeper::OnGatewayHasRoom(GatewayPeer& gateway) { outbox_.OnRoom(gateway); }

void SessionKeeper::OnAction(GatewayPeer& gateway, session::v1::GatewayAction action) {
  try {
    actions_.Take(gateway, std::move(action));
  } catch (const std::exception& failure) {
    CloseFailed(gateway, "link", failure);
  }
}

}  // namespace rookery::session_manager
