#include "domain/sessions/session_resumer.h"

#include <algorithm>

#include "domain/delivery/deliverer.h"
#include "domain/delivery/hand_outs.h"
#include "domain/features/feature_hooks.h"
#include "domain/metrics.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/presence/caps_tracker.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_ends.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;

namespace {

/// Only who was told <enabled/> knows the id: its gateway says so to us any moment.
constexpr std::chrono::seconds kEnableLimit{1};
/// So long an answer waits for the gateway that may have the session: shorter than gateways wait for answers.
constexpr std::chrono::seconds kBringLimit{10};

/// Where h counts on from: what is acknowledged, or where stream management began.
std::uint64_t FloorOf(const Session& session) { return std::max(session.acked_seq, session.base_seq); }

/// Up to where the session's client has all that it was given: so much, and no more, may the new
/// gateway tell the next owner before the packets that follow have reached it.
std::int64_t AckedOffset(const Session& session) {
  std::int64_t acked = session.last_offset;
  for (const UnackedPacket& packet : session.unacked)
    if (packet.offset >= 0 && packet.stored_id == 0 && !packet.is_late)
      acked = std::min(acked, packet.offset - 1);
  return acked;
}

/// Whether the session was let in by something else than who asks for it.
bool IsOfOthers(const Session& session, const session::v1::SessionResume& asker) {
  const auto differ = [](std::uint64_t a, std::uint64_t b) { return a != 0 && b != 0 && a != b; };
  return differ(session.state.account_generation(), asker.account_generation()) ||
         differ(session.state.credentials_version(), asker.credentials_version());
}

/// h counts modulo 2^32 from base_seq: how many packets after FloorOf it newly covers.
std::uint32_t NewlyHandled(const Session& session, std::uint32_t h) {
  return h - static_cast<std::uint32_t>(FloorOf(session) - session.base_seq);
}

}  // namespace

void SessionResumer::Resume(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard) {
  const GatewayAction& action = asked.action;
  const session::v1::SessionResume& request = action.resume();
  const std::shared_ptr<Session> session = table_.Find(SessionId(action.session_id()));
  if (!session && MayBeBrought(action, shard)) return AwaitGateways(gateway, asked, shard);
  if (!session || session->user->bare != request.user()) return Refuse(gateway, action, shard);
  if (IsOfOthers(*session, request)) {
    // It was let in by what the account is no more: nobody has ended it yet.
    ends_.End(session, "reset");
    return Refuse(gateway, action, shard);
  }
  const bool is_over =
      session->phase() == SessionPhase::kClosing || (IsEnding(session->phase()) && !session->ends_by_timeout);
  if (is_over) {
    // How much of it has arrived is known when it has ended.
    if (!live_.RunAfterEnd(*session, asked)) Refuse(gateway, action, shard);
    return;
  }
  const WaitingResume* const waits = session->rare().resume_waits.get();
  const std::uint64_t waiting = waits != nullptr ? waits->asked.arrival : 0;
  if (asked.arrival < std::max(session->arrival, waiting)) return Refuse(gateway, action, shard);
  if (!session->is_resumable()) {
    const SteadyTime limit = waits != nullptr ? waits->limit : SteadyTime::max();
    Wait(*session, asked, std::min(limit, clock_.Now() + kEnableLimit));
    return;
  }
  // Sent again to the owner of a new epoch: its answer is on the same link, behind the news of that.
  if (session->gateway == &gateway && session->resumed_by == request.attempt() && request.attempt() != 0)
    return;
  const std::uint64_t handled = FloorOf(*session) + NewlyHandled(*session, request.handled());
  if (session->is_outdated() || (handled > session->sent_seq && session->row.is_source)) {
    // Its gateway and the owner that has sent it more are dead, and what we know is older. Nobody knows
    // what the client counts: whatever it may lack goes to its next session. A gateway that brings it after
    // all comes too late.
    session->state.set_resumptions(std::max(session->state.resumptions(), session->row.told_resumptions));
    telemetry::LogInfo("session.outdated", {{"jid", telemetry::HashedJid(session->user->bare)}});
    ends_.End(session, "reset");
    return Refuse(gateway, action, shard);
  }
  if (handled > session->sent_seq) {
    auto& resumed = *AddAction(gateway, session->id, shard).mutable_resumed();
    resumed.set_attempt(request.attempt());
    resumed.set_handled_too_high(true);
    resumed.set_sent_count(static_cast<std::uint32_t>(session->sent_seq - session->base_seq));
    SetFailure(*resumed.mutable_failure(), xmpp::ErrorCondition::kUndefinedCondition,
               "h is higher than what was sent");
    return;
  }
  if (!session->inbound.is_all_confirmed() || session->row.misleads) {
    // h must say only what is in the log, and what no row denies: it will, in milliseconds. Until then
    // the session stays where it is: should we die now, its old gateway still has it.
    Wait(*session, asked, SteadyTime::max());
    return;
  }
  if (waits != nullptr) session->MakeRare().resume_waits.reset();
  live_.Schedule(*session);
  Finish(session, gateway, asked);
}

void SessionResumer::Wait(Session& session, const WaitingAction& asked, SteadyTime limit) {
  // A client that has tried twice waits for the answer to the newer attempt.
  session.MakeRare().resume_waits = std::make_unique<WaitingResume>(WaitingResume{asked, limit});
  live_.Schedule(session);
  live_.NoteAwaited(session);
}

bool SessionResumer::MayBeBrought(const GatewayAction& action, const Shard& shard) const {
  const SessionId id(action.session_id());
  return live_.EndedOf(shard).Find(id, action.resume().user()) == nullptr &&
         !gateways_.HaveAllAttached(shard);
}

void SessionResumer::AwaitGateways(GatewayPeer& gateway, const WaitingAction& asked, Shard& shard) {
  const SessionId id(asked.action.session_id());
  auto& waiting = shard.unknown_resumes;
  if (waiting.size() >= settings_.max_waiting_actions && !waiting.contains(id))
    return Refuse(gateway, asked.action, shard);
  const auto [attempt, is_first] = waiting.try_emplace(id);
  // A client that has tried twice waits for the answer to the newer attempt.
  if (asked.arrival < attempt->second.asked.arrival) return Refuse(gateway, asked.action, shard);
  attempt->second.asked = asked;
  if (is_first) attempt->second.limit = clock_.Now() + kBringLimit;
}

void SessionResumer::LookForUnknown(Shard& shard) {
  if (shard.unknown_resumes.empty()) return;
  const bool have_all_attached = gateways_.HaveAllAttached(shard);
  const SteadyTime now = clock_.Now();
  for (auto it = shard.unknown_resumes.begin(); it != shard.unknown_resumes.end();) {
    const bool is_known = table_.Find(it->first) != nullptr;
    if (!is_known && !have_all_attached && it->second.limit > now) {
      ++it;
      continue;
    }
    const WaitingAction asked = std::move(it->second.asked);
    it = shard.unknown_resumes.erase(it);
    GatewayPeer* gateway = gateways_.Find(asked.gateway);
    if (gateway == nullptr) continue;  // asks again over its next link
    if (is_known) {
      Resume(*gateway, asked, shard);
    } else {
      Refuse(*gateway, asked.action, shard);
    }
  }
}

void SessionResumer::TryAgain(const std::shared_ptr<Session>& session) {
  if (!session->rare().resume_waits) return;
  const WaitingAction asked = session->rare().resume_waits->asked;
  GatewayPeer* gateway = gateways_.Find(asked.gateway);
  if (gateway != nullptr) {
    Resume(*gateway, asked, *session->user->shard);
  } else {
    session->MakeRare().resume_waits.reset();
    live_.Schedule(*session);
  }
}

void SessionResumer::GiveUp(const std::shared_ptr<Session>& session) {
  const auto given_up = std::move(session->MakeRare().resume_waits);
  live_.Schedule(*session);
  GatewayPeer* gateway = gateways_.Find(given_up->asked.gateway);
  if (gateway != nullptr) Refuse(*gateway, given_up->asked.action, *session->user->shard);
}

void SessionResumer::Refuse(GatewayPeer& gateway, const GatewayAction& action, const Shard& shard) {
  const SessionId id(action.session_id());
  auto& resumed = *AddAction(gateway, id, shard).mutable_resumed();
  resumed.set_attempt(action.resume().attempt());
  SetFailure(*resumed.mutable_failure(), xmpp::ErrorCondition::kItemNotFound, "no such session");
  const EndedSessions::Ended* ended = live_.EndedOf(shard).Find(id, action.resume().user());
  if (ended == nullptr || !ended->confirmed_count) return;
  resumed.set_has_ended_count(true);
  resumed.set_ended_inbound_count(*ended->confirmed_count);
}

void SessionResumer::Finish(const std::shared_ptr<Session>& session, GatewayPeer& new_gateway,
                            const WaitingAction& asked) {
  const session::v1::SessionResume& request = asked.action.resume();
  GatewayPeer* const gateway = &new_gateway;
  GatewayPeer* const before = session->gateway;
  // On one gateway both connections go by the same id: the old one ends before the new one begins.
  if (before == gateway) AddAction(*session).mutable_ended()->set_condition("conflict");
  std::string left = before != nullptr && before != gateway ? before->instance() : std::string();
  const std::string& left_before = session->rare().left_gateway;
  if (session->is_unheard && !left_before.empty() && left_before != gateway->instance()) {
    // Whether the one that it leaves now has the session is not known, but the one before that does.
    if (!left.empty()) AddAction(*session).mutable_ended()->set_condition("conflict");
    left = left_before;
  }
  deliverer_.Acknowledge(*session, FloorOf(*session) + NewlyHandled(*session, request.handled()));
  gateways_.Assign(*session, gateway);
  if (left != session->rare().left_gateway) session->MakeRare().left_gateway = std::move(left);
  session->resumed_by = request.attempt();
  session->arrival = asked.arrival;
  session->is_unheard = true;
  session->state.set_resumptions(session->state.resumptions() + 1);
  live_.Enter(*session, SessionPhase::kResumed);
  directory_.Changed(*session);
  auto& resumed = *AddAction(*session).mutable_resumed();
  resumed.set_attempt(request.attempt());
  resumed.set_full_jid(std::string(session->jid.str()));
  resumed.set_inbound_count(session->inbound.confirmed());
  resumed.set_base_seq(session->base_seq);
  resumed.set_acked_seq(session->acked_seq);
  resumed.set_acked_offset(AckedOffset(*session));
  resumed.set_state(session->state.SerializeAsString());
  session->is_state_due = false;
  if (!deliverer_.Resend(*session, session->acked_seq)) {
    ends_.End(session, "internal-server-error");
    return;
  }
  metrics_.sessions_resumed.Increment();
  features_.Tell(&LifeHook::OnSessionChanged, *session);
  hand_outs_.OnBack(session);  // the connection may have broken in the middle of the offline messages
}

void SessionResumer::OnHeard(const std::shared_ptr<Session>& session) {
  session->is_unheard = false;
  session->row.OnHeard(session->phase());
  directory_.Changed(*session);
  if (session->phase() == SessionPhase::kResumed) live_.Enter(*session, SessionPhase::kResumed);
  // A row that misleads goes with others (SessionParker).
  if (session->rare().left_gateway.empty()) return;
  Shard& shard = *session->user->shard;
  shard.Spawn("session.leave_old",
              LeaveOld(shards_.Shared(shard.number), session, session->rare().left_gateway));
}

Task<void> SessionResumer::LeaveOld(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                    std::string gateway) {
  // The new gateway has the session. A moment later the old one and the store may forget it: what the log
  // says of the resumption is read by then.
  const std::uint64_t resumption = session->state.resumptions();
  co_await runtime::Sleep(settings_.resume_hand_over);
  GatewayPeer* old = gateways_.Find(gateway);
  if (old != nullptr && old != session->gateway)
    AddAction(*old, session->id, *shard).mutable_ended()->set_condition("conflict");
  if (session->ended() || session->state.resumptions() != resumption) co_return;
  session->MakeRare().left_gateway.clear();
  if (session->phase() == SessionPhase::kResumed) {
    live_.Enter(*session, SessionPhase::kConnected);
  } else {
    live_.NoteLeft(*session);
  }
}

}  // namespace rookery::session_manager
