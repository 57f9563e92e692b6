#include "domain/session_resumer.h"

#include <algorithm>

#include "domain/caps_tracker.h"
#include "domain/deliverer.h"
#include "domain/directory_writer.h"
#include "domain/link_actions.h"
#include "domain/session_keeper.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;

namespace {

constexpr std::chrono::milliseconds kBetweenLooks{5};
constexpr int kLooks = 200;

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

/// h counts modulo 2^32 from base_seq: how many packets after FloorOf it newly covers.
std::uint32_t NewlyHandled(const Session& session, std::uint32_t h) {
  return h - static_cast<std::uint32_t>(FloorOf(session) - session.base_seq);
}

}  // namespace

void SessionResumer::Resume(GatewayPeer& gateway, const GatewayAction& action, Shard& shard) {
  const auto session = core_.FindSession(SessionId(action.session_id()));
  if (session && !session->resume && session->user->bare == action.resume().user()) {
    // Only who was told <enabled/> knows the id: its gateway says so to us any moment.
    core_.tasks().Spawn("session.await_enable",
                        AwaitEnable(core_.SharedShard(shard.number), session, gateway.instance(), action));
    return;
  }
  Answer(gateway, action, shard);
}

Task<void> SessionResumer::AwaitEnable(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                       std::string gateway, GatewayAction action) {
  for (int look = 0; look < kLooks && !session->ended && !session->resume; ++look)
    co_await runtime::Sleep(kBetweenLooks);
  GatewayPeer* peer = core_.sessions().FindGateway(gateway);
  if (shard->released() || peer == nullptr) co_return;  // the gateway asks the next owner
  Answer(*peer, action, *shard);
}

void SessionResumer::Answer(GatewayPeer& gateway, const GatewayAction& action, Shard& shard) {
  const SessionId id(action.session_id());
  const session::v1::SessionResume& request = action.resume();
  const std::shared_ptr<Session> session = core_.FindSession(id);
  if (!session || session->user->bare != request.user() || !session->resume) {
    auto& resumed = *AddAction(gateway, id, shard).mutable_resumed();
    resumed.set_attempt(request.attempt());
    SetFailure(*resumed.mutable_failure(), xmpp::ErrorCondition::kItemNotFound, "no such session");
    if (const EndedSessions::Ended* ended = ended_.Find(id); ended && ended->user == request.user()) {
      resumed.set_has_ended_count(true);
      resumed.set_ended_inbound_count(ended->inbound_count);
    }
    return;
  }
  if (FloorOf(*session) + NewlyHandled(*session, request.handled()) > session->last_seq) {
    auto& resumed = *AddAction(gateway, id, shard).mutable_resumed();
    resumed.set_attempt(request.attempt());
    resumed.set_handled_too_high(true);
    resumed.set_sent_count(static_cast<std::uint32_t>(session->last_seq - session->base_seq));
    SetFailure(*resumed.mutable_failure(), xmpp::ErrorCondition::kUndefinedCondition,
               "h is higher than what was sent");
    return;
  }
  FinishResume(session, gateway.instance(), request.attempt(), request.handled(), ++session->resume_attempts);
}

void SessionResumer::FinishResume(const std::shared_ptr<Session>& session, const std::string& instance,
                                  std::uint64_t attempt, std::uint32_t handled, std::uint32_t number) {
  GatewayPeer* gateway = core_.sessions().FindGateway(instance);
  if (session->ended || session->user->shard->released() || gateway == nullptr) return;
  if (session->resume_attempts != number) return;  // the client has tried again since
  if (session->inbound.received() != session->inbound.confirmed()) {
    // h must say only what is in the log: it will be, in milliseconds. Until then the session
    // stays where it is: should we die now, its old gateway still has it.
    core_.tasks().Spawn("session.resume",
                        [](SessionResumer& self, std::shared_ptr<Session> waiting, std::string name,
                           std::uint64_t id, std::uint32_t h, std::uint32_t n) -> Task<void> {
                          co_await runtime::Sleep(std::chrono::milliseconds(2));
                          self.FinishResume(waiting, name, id, h, n);
                        }(*this, session, instance, attempt, handled, number));
    return;
  }
  GatewayPeer* const before = session->gateway;
  // On one gateway both connections go by the same id: the old one ends before the new one begins.
  if (before == gateway) AddAction(*session).mutable_ended()->set_condition("conflict");
  core_.deliverer().Acknowledge(*session, FloorOf(*session) + NewlyHandled(*session, handled));
  session->gateway = gateway;
  session->detached = false;
  session->park_wanted = false;
  session->parked = false;  // what is in the store says less than its client knows from here on
  session->is_handed_over = true;
  session->left_gateway = before != nullptr && before != gateway ? before->instance() : std::string();
  session->state.set_resumptions(session->state.resumptions() + 1);
  core_.directory().Changed(*session);
  auto& resumed = *AddAction(*session).mutable_resumed();
  resumed.set_attempt(attempt);
  resumed.set_full_jid(std::string(session->jid.str()));
  resumed.set_inbound_count(session->inbound.confirmed());
  resumed.set_base_seq(session->base_seq);
  resumed.set_acked_seq(session->acked_seq);
  resumed.set_acked_offset(AckedOffset(*session));
  resumed.set_state(session->state.SerializeAsString());
  if (!core_.deliverer().Resend(*session, session->acked_seq)) {
    core_.sessions().End(session, "internal-server-error");
    return;
  }
  core_.metrics().sessions_resumed.Increment();
  core_.caps().OnPresence(*session);
  if (session->available() && session->priority() >= 0 && !session->state.offline_given()) {
    // The connection broke in the middle of the offline messages.
    session->state.set_offline_given(true);
    core_.TakeTurn(*session->user,
                   [this, shard = core_.SharedShard(session->user->shard->number), session]() -> Task<void> {
                     return core_.deliverer().GiveOfflineMessages(shard, session);
                   });
  }
  core_.tasks().Spawn("session.leave_old", LeaveOld(core_.SharedShard(session->user->shard->number), session,
                                                    session->left_gateway));
}

Task<void> SessionResumer::LeaveOld(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                    std::string gateway) {
  // The new gateway has the session by now, or we have died: only then may the old gateway and
  // the store forget it.
  const std::uint64_t resumption = session->state.resumptions();
  co_await runtime::Sleep(core_.settings().resume_hand_over);
  if (shard->released()) co_return;
  GatewayPeer* old = core_.sessions().FindGateway(gateway);
  if (old != nullptr && old != session->gateway)
    AddAction(*old, session->id, *shard).mutable_ended()->set_condition("conflict");
  if (session->ended || session->state.resumptions() != resumption) co_return;
  session->left_gateway.clear();
  session->is_handed_over = false;
  if (!session->detached) parker_.Unpark(session);
}

}  // namespace rookery::session_manager
