#include "domain/inbound/gateway_actions.h"

#include <memory>
#include <string_view>
#include <utility>

#include "domain/accounts/account_actions.h"
#include "domain/addresses.h"
#include "domain/inbound/admission.h"
#include "domain/inbound/session_actions.h"
#include "domain/inbound/turned_away.h"
#include "domain/inbound/waiting_actions.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/session_ends.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

namespace {

void RefuseNotOwner(GatewayPeer& gateway, const GatewayAction& action, std::uint32_t number) {
  SessionManagerAction& reply = AddUnownedAction(gateway);
  reply.set_session_id(action.session_id());
  reply.set_shard(number);
  switch (action.action_case()) {
    case GatewayAction::kStart:
      reply.mutable_started()->mutable_failure()->set_not_owner(true);
      break;
    case GatewayAction::kResume:
      reply.mutable_resumed()->set_attempt(action.resume().attempt());
      reply.mutable_resumed()->mutable_failure()->set_not_owner(true);
      break;
    case GatewayAction::kAttach:
    default:
      reply.mutable_attached()->mutable_failure()->set_not_owner(true);
      break;
  }
}

}  // namespace

void GatewayActions::Take(GatewayPeer& gateway, GatewayAction action) {
  Handle(gateway, action, ++arrivals_);
}

void GatewayActions::Do(WaitingAction asked) {
  if (GatewayPeer* gateway = gateways_.Find(asked.gateway)) Handle(*gateway, asked.action, asked.arrival);
}

void GatewayActions::OnChecked(GatewayPeer& gateway, WaitingAction& asked) {
  Handle(gateway, asked.action, asked.arrival, /*is_checked=*/true);
}

void GatewayActions::DoWaiting(Shard& shard) {
  // Taken out first: what is done may add.
  for (WaitingAction& asked : waiting_.Take(shard)) Do(std::move(asked));
  turned_away_.AskAgain(shard);
}

void GatewayActions::Forget(Shard& shard) {
  waiting_.Forget(shard);
  turned_away_.Forget(shard);
  attachments_.Forget(shard);
}

/// What is known of an action before it is done, which may take parts out of it.
struct GatewayActions::Failed {
  std::optional<SessionId> id;
  GatewayAction::ActionCase kind = GatewayAction::ACTION_NOT_SET;
  /// As ShardNumberFor says.
  std::optional<std::uint32_t> shard;
  std::uint64_t attempt = 0;
};

void GatewayActions::Handle(GatewayPeer& gateway, GatewayAction& action, std::uint64_t arrival,
                            bool is_checked) {
  owner_.NoteTime();
  if (action.has_attach_done()) return attachments_.OnAttachDone(gateway, action.attach_done());
  const Failed one{SessionId::FromBytes(action.session_id()), action.action_case(), ShardNumberFor(action),
                   action.resume().attempt()};
  try {
    DoOne(gateway, action, arrival, is_checked);
  } catch (const std::exception& failure) {
    const auto* const field = GatewayAction::descriptor()->FindFieldByNumber(one.kind);
    owner_.NoteActionFailed(field == nullptr ? "none" : field->name(), failure,
                            one.id ? "its session ends" : "nobody is answered");
    EndFailed(gateway, action, one);
  }
}

void GatewayActions::EndFailed(GatewayPeer& gateway, const GatewayAction& action, const Failed& failed) {
  if (!failed.id) return;
  const SessionId& id = *failed.id;
  const auto session = table_.Find(id);
  Shard* shard = failed.shard ? shards_.Find(*failed.shard) : nullptr;
  if (session) shard = session->user->shard;
  // Before it has an epoch, gateways are still to be asked for what they have.
  if (shard == nullptr || shard->epoch < 0) return;
  const bool is_attach = failed.kind == GatewayAction::kAttach;
  if (session && session->gateway == nullptr && is_attach) gateways_.Assign(*session, &gateway);
  if (session && session->gateway == &gateway) {
    session->has_failed = true;
    ends_.End(session, "internal-server-error");
    // The gateway that has asked for it does not know it by its id yet.
    if (failed.kind != GatewayAction::kStart && failed.kind != GatewayAction::kResume) return;
  }
  if (is_attach && !session) return ends_.EndNotTaken(gateway, *shard, id, action.attach());
  if (is_attach)
    return AddAction(gateway, id, *shard).mutable_ended()->set_condition("internal-server-error");
  // Nothing else that is said of a shard is about a session that this gateway does not have.
  if (!failed.shard) return;
  GatewayAction asked;
  asked.set_session_id(id.str());
  if (failed.kind == GatewayAction::kResume) {
    asked.mutable_resume()->set_attempt(failed.attempt);
  } else {
    asked.mutable_start();
  }
  Admission::Refuse(gateway, asked, *shard, absl::InternalError("half-way"));
}

void GatewayActions::DoOne(GatewayPeer& gateway, GatewayAction& action, std::uint64_t arrival,
                           bool is_checked) {
  if (action.has_credentials_lookup())
    return accounts_.LookUpCredentials(gateway.instance(), std::move(*action.mutable_credentials_lookup()));
  if (action.has_create()) return Create(gateway, action, arrival);
  // Everything else is about a session.
  if (!SessionId::FromBytes(action.session_id())) return;

  if (turned_away_.DropUntilAttached(gateway, action, arrival)) return;
  if (attachments_.AwaitCheck(gateway, action, arrival)) return;
  Shard* shard = nullptr;
  std::shared_ptr<Session> session;
  const std::optional<std::uint32_t> number = ShardNumberFor(action);
  if (number) {
    shard = shards_.Find(*number);
  } else {
    // Of a session that was started, resumed or attached before, or whose attachment still waits.
    const SessionId id(action.session_id());
    session = table_.Find(id);
    if (session) {
      shard = session->user->shard;
    } else if (const auto awaited = waiting_.ShardOf(id)) {
      shard = shards_.Find(*awaited);
    }
    // Ended here, or its shard has just gone to another owner: there the gateway attaches it and
    // says this again. It must not take our ignorance for the end of the session.
    if (shard == nullptr) return;
  }
  // A session may be brought before the shard is ours: nothing else may be said of it by then.
  if (shard == nullptr || (shard->epoch < 0 && !action.has_attach()))
    return RefuseNotOwner(gateway, action, shard != nullptr ? shard->number : *number);
  if (!shard->live() && (!action.has_attach() || attachments_.HasToWait(action, *shard))) {
    if (!waiting_.HasRoom(*shard)) return turned_away_.Add(gateway, action, arrival, shard->number);
    return waiting_.Add(*shard, {gateway.instance(), std::move(action), arrival});
  }
  if (action.has_attach()) {
    attachments_.Attach(gateway, action, arrival, *shard, is_checked);
  } else if (action.has_start() || action.has_resume()) {
    admission_.Admit(gateway, {gateway.instance(), std::move(action), arrival}, *shard);
  } else if (session) {
    sessions_.Do(gateway, action, session);
  }
}

void GatewayActions::Create(GatewayPeer& gateway, GatewayAction& action, std::uint64_t arrival) {
  Shard* const home = shards_.Find(addresses_.ShardOf(action.create().user()));
  // What was said to whoever had the name before has to be read first.
  if (home != nullptr && !home->live() && waiting_.HasRoom(*home))
    return waiting_.Add(*home, {gateway.instance(), std::move(action), arrival});
  accounts_.Create(home == nullptr ? nullptr : shards_.Shared(home->number), gateway.instance(),
                   std::move(*action.mutable_create()));
}

std::optional<std::uint32_t> GatewayActions::ShardNumberFor(const GatewayAction& action) const {
  std::string_view user;
  switch (action.action_case()) {
    case GatewayAction::kStart:
      user = action.start().user();
      break;
    case GatewayAction::kResume:
      user = action.resume().user();
      break;
    case GatewayAction::kAttach:
      user = xmpp::BareOf(action.attach().full_jid());
      break;
    default:
      return std::nullopt;
  }
  return addresses_.ShardOf(user);
}

}  // namespace rookery::session_manager
