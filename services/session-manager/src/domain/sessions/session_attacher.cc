#include "domain/sessions/session_attacher.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "domain/delivery/deliverer.h"
#include "domain/delivery/delivery_state.h"
#include "domain/delivery/ghosts.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/offline_recovery.h"
#include "domain/features/feature_hooks.h"
#include "domain/metrics.h"
#include "domain/outbound/confirmations.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/caps_tracker.h"
#include "domain/presence/presence_tracker.h"
#include "domain/roster/subscription_handler.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_ends.h"
#include "domain/sessions/session_resumer.h"
#include "domain/sessions/session_snapshot.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;

namespace {

/// The session is with another gateway than this one.
bool IsElsewhere(const Session& session, const GatewayPeer& gateway) {
  return session.gateway != nullptr && session.gateway != &gateway;
}

}  // namespace

struct SessionAttacher::Brought {
  GatewayPeer& gateway;
  const GatewayAction& action;
  Shard& shard;
  SessionId id;
  session::v1::SessionManagerState state;

  const session::v1::SessionAttach& attach() const { return action.attach(); }
  std::string_view bare() const { return xmpp::BareOf(attach().full_jid()); }
  /// Also while the shard is suspended.
  bool is_live() const { return shard.phase == Shard::Phase::kLive; }
};

void SessionAttacher::Attach(GatewayPeer& gateway, const GatewayAction& action, Shard& shard) {
  const session::v1::SessionAttach& attach = action.attach();
  const Brought brought{gateway, action, shard, SessionId(action.session_id()), StateOf(attach)};
  std::shared_ptr<Session> session = table_.Find(brought.id);
  if (AnswerIfOver(brought, session.get())) return;
  const Arrival arrival = ArrivalOf(brought, session.get());
  metrics_.sessions_attached.Increment();
  if (arrival == Arrival::kKnown && brought.is_live()) {
    AttachAgain(gateway, session, attach);
    return;
  }
  const std::uint64_t logged = session ? session->inbound.confirmed() : 0;
  UnackedQueue known = session ? std::exchange(session->unacked, {}) : UnackedQueue();
  if (arrival == Arrival::kKnown) {
    session->row.OnGatewayNewer();
    if (session->phase() == SessionPhase::kParked) live_.Enter(*session, SessionPhase::kAway);
  } else {
    session = MakeSession(brought, session);
  }
  Adopt(*session, attach, clock_.Now());
  // It has changed them itself, and its gateway was not told.
  const auto* change = live_.EndedOf(shard).ChangeOf(session->jid.bare());
  if (change != nullptr && change->session == brought.id)
    session->state.set_credentials_version(change->version);
  // The gateway may not have heard of all that is in the log, and sends it again.
  if (logged > session->inbound.confirmed()) session->inbound.Reset(logged);
  session->known_epoch = attach.has_known_epoch() ? attach.known_epoch() : -1;
  const bool is_read_past = arrival == Arrival::kLate || arrival == Arrival::kSettled;
  NoteLate(*session, /*by_us=*/is_read_past, /*by_another=*/WasMissed(*session));
  gateways_.Assign(*session, &gateway);
  session->row.OnBrought();
  Arrive(*session, attach.detached());
  parker_.OnPhase(*session);
  directory_.Changed(*session);
  const bool is_whole = Merge(*session, known);
  recovery_.OnAttached(session);
  features_.Tell(&LifeHook::OnSessionChanged, *session);
  parker_.Park(session);
  TellWhatWasMissed(session, arrival);
  if (arrival == Arrival::kSupersedes && brought.is_live()) GoOn(session, is_whole, attach.last_seq());
}

bool SessionAttacher::AnswerIfOver(const Brought& brought, const Session* known) {
  const auto& [gateway, action, shard, id, state] = brought;
  const session::v1::SessionAttach& attach = brought.attach();
  const EndedSessions& ended = live_.EndedOf(shard);
  const auto tell = [&](std::string_view condition) -> session::v1::SessionEnded& {
    session::v1::SessionEnded& over = *AddAction(gateway, id, shard).mutable_ended();
    over.set_condition(std::string(condition));
    return over;
  };
  if (ended.IsOver(id, state.resumptions()) || ended.HasLostAccount(brought.bare(), state) ||
      ended.HasLostCredentials(brought.bare(), id, state)) {
    // Its contacts know that it is gone. What its client has had may be known to its gateway alone still
    // (E3).
    tell("reset").set_keep(shard.pending_ends.IsAwaitedBy(id, gateway.instance()));
    return true;
  }
  if (known == nullptr) {
    if (attach.has_known_epoch() && attach.known_epoch() == shard.epoch) {
      // We had it, and have told its contacts that it is gone, however long ago.
      tell("reset");
      return true;
    }
    if (!IsForgotten(action, shard)) return false;
    ends_.EndForgotten(gateway, shard, id, attach);
    return true;
  }
  const std::uint64_t newest = known->state.resumptions();
  // Said before it heard that the session was resumed there: it goes by the same id.
  if (state.resumptions() < newest && known->gateway == &gateway) return true;
  const bool is_left =
      state.resumptions() < newest || (state.resumptions() == newest && IsElsewhere(*known, gateway));
  // Resumed on another gateway: over for this one.
  if (is_left) tell("conflict");
  return is_left;
}

SessionAttacher::Arrival SessionAttacher::ArrivalOf(const Brought& brought, const Session* known) {
  const Shard& shard = brought.shard;
  if (known != nullptr) {
    const bool is_newer = brought.state.resumptions() > known->state.resumptions();
    // Once live we know more than the gateway, but not where all that we know is a row.
    const bool is_only_a_row = brought.is_live() && known->row.is_source;
    return is_newer || is_only_a_row ? Arrival::kSupersedes : Arrival::kKnown;
  }
  if (shard.phase != Shard::Phase::kAcquiring) return Arrival::kLate;
  const bool is_settled = shard.delivery && shard.delivery->IsSettled(brought.bare());
  return is_settled ? Arrival::kSettled : Arrival::kInTime;
}

std::shared_ptr<Session> SessionAttacher::MakeSession(const Brought& brought,
                                                      const std::shared_ptr<Session>& superseded) {
  ParkedRow before;
  if (superseded) {
    // The other one was quicker, but the client had left it before.
    if (IsElsewhere(*superseded, brought.gateway))
      AddAction(*superseded).mutable_ended()->set_condition("conflict");
    live_.Retire(superseded);
    before = std::exchange(superseded->row, {});
  }
  auto session = std::make_shared<Session>();
  session->id = brought.id;
  session->jid = xmpp::Jid::FromTrusted(brought.attach().full_jid());
  session->state = brought.state;
  session->row.Succeed(before);
  session->row.OnResumed(live_.EndedOf(brought.shard).BackAfter(brought.id));
  // Its client has left this gateway, which could not be told: where the next one is dead, too, nobody has
  // the session any more (SL13).
  session->row.OnResumed(directory_.ResumptionsOfLeft(brought.shard, brought.id));
  live_.Add(brought.shard.GetUser(brought.bare()), session);
  ends_.EndOlder(*session);
  return session;
}

void SessionAttacher::TellWhatWasMissed(const std::shared_ptr<Session>& session, Arrival arrival) {
  const auto tell_anew = [&] {
    presence_.TellAnew(*session);
    ghosts_.ComeBack(*session);
    subscriptions_.TellAnew(*session);
  };
  // An owner before us has read records without it.
  if (WasMissed(*session)) return tell_anew();
  switch (arrival) {
    case Arrival::kLate:
      tell_anew();
      return;
    case Arrival::kSettled:
      // Nothing was read without it.
      return;
    case Arrival::kSupersedes:
      // The other one was being told of what had been missed before.
      if (session->state.presence_missed()) presence_.TellAnew(*session);
      [[fallthrough]];
    case Arrival::kKnown:
    case Arrival::kInTime:
      // Its gateway tells the next owner that this one had it, too, although nothing else may be said of it.
      if (session->known_epoch == session->user->shard->former_epoch) confirmations_.ConfirmLater(session);
      return;
  }
}

void SessionAttacher::GoOn(const std::shared_ptr<Session>& session, bool is_whole, std::uint64_t last_seq) {
  if (!is_whole && !session->user->backlog) {
    ends_.End(session, "internal-server-error");
    return;
  }
  hand_outs_.HandOutRows(*session->user);  // rows that the other one was given
  if (!session->detached()) (void)deliverer_.Resend(*session, last_seq);
  confirmations_.ConfirmLater(session);
}

bool SessionAttacher::IsForgotten(const GatewayAction& action, const Shard& shard) const {
  const session::v1::SessionAttach& attach = action.attach();
  if (live_.KnowsEndsOf(shard, std::chrono::milliseconds(attach.out_of_reach_ms()))) return false;
  // Its last owner had it until the end, and nobody was there since who could have ended it.
  return !directory_.IsLeft(shard, SessionId(action.session_id()), StateOf(attach).resumptions());
}

void SessionAttacher::AddWait(SteadyTime::duration waited, GatewayAction& action) {
  session::v1::SessionAttach& attach = *action.mutable_attach();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  attach.set_out_of_reach_ms(static_cast<std::uint32_t>(
      std::min<std::int64_t>(attach.out_of_reach_ms() + ms, std::numeric_limits<std::uint32_t>::max())));
}

bool SessionAttacher::HasToWait(const GatewayAction& action, const Shard& shard) const {
  return !shard.live() && table_.Find(SessionId(action.session_id())) == nullptr &&
         IsForgotten(action, shard);
}

void SessionAttacher::AttachAgain(GatewayPeer& gateway, const std::shared_ptr<Session>& session,
                                  const session::v1::SessionAttach& attach) {
  // We know more than the gateway; it tells what reached it before the link broke.
  gateways_.Assign(*session, &gateway);
  if (session->management == StreamManagement::kOff && attach.stream_management()) {
    session->management = ManagementOf(attach);
    session->base_seq = attach.base_seq();
  }
  if (session->is_unheard) resumer_.OnHeard(session);
  Arrive(*session, attach.detached());
  directory_.Changed(*session);
  deliverer_.Acknowledge(*session, attach.acked_seq());
  // The newest may have been lost with the old link.
  session->is_state_due = false;
  if (attach.state() != session->state.SerializeAsString()) outbox_.Publish(*session);
  if (!session->detached()) {
    hand_outs_.OnBack(session);
    if (!deliverer_.Resend(*session, attach.last_seq())) {
      ends_.End(session, "internal-server-error");
      return;
    }
  } else {
    parker_.Park(session);
  }
  confirmations_.ConfirmLater(session);
  deliverer_.CatchUp(*session);
  resumer_.TryAgain(session);
}

void SessionAttacher::Arrive(Session& session, bool is_away) {
  switch (session.phase()) {
    case SessionPhase::kClosing:
    case SessionPhase::kEnding:
    case SessionPhase::kEndingAway:
      return;
    case SessionPhase::kResumed:
    case SessionPhase::kConnected:
      if (is_away) live_.Enter(session, SessionPhase::kAway);
      return;
    case SessionPhase::kAway:
    case SessionPhase::kParking:
    case SessionPhase::kParked:
      if (!is_away) live_.Enter(session, SessionPhase::kConnected);
      return;
    default:
      live_.Enter(session, is_away ? SessionPhase::kAway : SessionPhase::kConnected);
      return;
  }
}

bool SessionAttacher::Merge(Session& session, UnackedQueue& known) {
  for (UnackedPacket& old : known) old.is_under_way = false;
  // The numbers are the gateway's. A superseded session may have been given newer packets under
  // numbers of its own, so what follows from a record is recognized by that.
  const std::uint64_t last_seq = session.last_seq;
  const std::int64_t last_offset = session.last_offset;
  bool is_whole = true;
  for (UnackedPacket& packet : session.unacked) {
    if (packet.delivery) continue;
    for (UnackedPacket& old : known) {
      const bool is_same = packet.stored_id != 0 ? old.stored_id == packet.stored_id
                                                 : old.stored_id == 0 && old.offset == packet.offset;
      if (!is_same || old.delivery == nullptr) continue;
      if (old.seq != packet.seq) old.stored = false;  // its row has the other number
      old.seq = packet.seq;
      packet = std::exchange(old, {});
      break;
    }
    is_whole = is_whole && (packet.delivery != nullptr || packet.stored_id != 0);
  }
  // Packets that the store has, or that were given since, come after what the gateway has.
  for (UnackedPacket& old : known) {
    if (old.delivery == nullptr) continue;
    const bool from_record = old.offset >= 0 && old.stored_id == 0;
    if (from_record ? old.offset > last_offset : old.seq > last_seq) {
      if (old.seq != session.last_seq + 1) old.stored = false;
      old.seq = ++session.last_seq;
      session.last_offset = std::max(session.last_offset, old.offset);
      if (old.primary) session.last_primary = std::max(session.last_primary, old.offset);
      session.unacked.push_back(std::move(old));
    } else {
      if (old.primary && old.delivery->open_targets > 0) --old.delivery->open_targets;
      deliverer_.Reach(*session.user, old);
    }
  }
  return is_whole;
}

void SessionAttacher::AttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done) {
  Shard* shard = shards_.Find(done.shard());
  if (shard == nullptr || shard->epoch != done.epoch()) return;
  gateways_.NoteAttached(*shard, gateway.instance());
}

}  // namespace rookery::session_manager
