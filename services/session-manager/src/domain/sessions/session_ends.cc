#include "domain/sessions/session_ends.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <limits>
#include <utility>

#include "domain/addresses.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/session_closer.h"
#include "domain/delivery/session_rows.h"
#include "domain/features/feature_hooks.h"
#include "domain/features/hooks.h"
#include "domain/metrics.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_parker.h"
#include "domain/sessions/session_snapshot.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "domain/users/users.h"
#include "rookery/runtime/event.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr std::string_view kTimedOut = "connection-timeout";
/// The record of a session's end names addresses that it has directed presence to up to so many bytes: it has
/// to fit into the log. Sessions that an earlier release has begun may have more.
constexpr std::size_t kMaxDirectedBytes = 256 * 1024;

/// Adds those whom the session has told directly that it is there, to be told that it is gone.
void AddDirected(const session::v1::SessionManagerState& state, events::v1::SessionEnded& ended) {
  std::size_t bytes = 0;
  for (const std::string& address : state.directed()) {
    bytes += address.size();
    if (bytes > kMaxDirectedBytes) break;
    ended.add_directed(address);
  }
}

/// Whether a session that its client has closed leaves nothing: nobody sees it, nobody can bring it back, and
/// none of its packets has to go elsewhere.
bool LeavesNothing(const Session& session) {
  const session::v1::SessionManagerState& state = session.state;
  const bool is_seen = state.available() || state.unavailable_untold() || !state.directed().empty();
  const bool may_come_back = session.is_resumable() || state.resumptions() > 0 ||
                             session.row.content != ParkedRow::Content::kNone || session.row.is_busy;
  const bool has_packets = session.has_rows || !session.unacked.empty() || !state.held_records().empty();
  return !is_seen && !may_come_back && !has_packets && !session.user->backlog;
}

}  // namespace

// ---- decisions ------------------------------------------------------------------

void SessionEnds::End(const std::shared_ptr<Session>& session, std::string_view condition,
                      std::string_view text) {
  if (!session || session->ended() || IsEnding(session->phase())) return;
  // An owner that is not certain decides nothing by itself.
  if (condition.empty() && session->user->shard->live() && LeavesNothing(*session)) {
    live_.EndedOf(*session->user->shard)
        .Add(session->id, session->user->bare, session->state.resumptions(), CountAtEnd(*session),
             clock_.Now());
    Remove(session, /*ended=*/{}, /*cause=*/nullptr);
    return;
  }
  AppendEnd(*session, condition, text, /*holds=*/-1);
}

void SessionEnds::EndOlder(Session& session) {
  User& user = *session.user;
  Session* const other = user.FindResource(session.resource());
  if (other == nullptr || other == &session) return;
  const bool is_newer = IsNewer(session, *other);
  // Stanzas to the full JID go to the newer one from here on.
  if (is_newer) std::rotate(user.sessions.begin(), user.sessions.end() - 1, user.sessions.end());
  const auto loser = table_.Find(is_newer ? other->id : session.id);
  if (user.shard->live()) {
    End(loser, "conflict", "replaced by a new session");
  } else {
    live_.NoteConflict(*loser);
  }
}

void SessionEnds::EndTimedOut(const std::shared_ptr<Session>& session) { End(session, kTimedOut); }

void SessionEnds::EndConflicts(Shard& shard) {
  for (const SessionId& id : live_.TakeConflicts(shard)) {
    const auto session = table_.Find(id);
    if (!session) continue;
    const User& user = *session->user;
    const bool is_alone = std::none_of(user.sessions.begin(), user.sessions.end(), [&](const auto& other) {
      return other != session && other->resource() == session->resource();
    });
    if (!is_alone) End(session, "conflict");
  }
}

void SessionEnds::EndOutdated(Shard& shard) {
  for (const auto& [id, version] : live_.TakeOutdated(shard)) {
    const auto session = table_.Find(id);
    // The log has said meanwhile that it goes on.
    if (session && session->state.credentials_version() != version) End(session, "reset");
  }
}

void SessionEnds::EndLost(Shard& shard, SteadyTime::duration patience) {
  const std::vector<SessionDirectory::Entry> unclaimed = directory_.TakeUnclaimed(shard, patience);
  if (unclaimed.empty()) return;
  std::size_t count = 0;
  for (const SessionDirectory::Entry& lost : unclaimed) {
    if (live_.EndedOf(shard).IsOver(SessionId(lost.session_id), lost.resumptions) ||
        addresses_.ShardOf(xmpp::BareOf(lost.full_jid)) != shard.number) {
      directory_.Forget(shard, SessionId(lost.session_id), lost.full_jid);
      continue;
    }
    events::v1::UserRecord record = MakeEndRecord();
    auto& ended = *record.mutable_session_ended();
    ended.set_session_id(lost.session_id);
    ended.set_full_jid(lost.full_jid);
    ended.set_condition("reset");
    ended.set_resumptions(std::numeric_limits<std::uint64_t>::max());
    ended.set_available(lost.is_available);
    ended.set_is_lost(true);
    AppendEndRecord(shard, record, /*holds=*/-1, /*on_logged=*/{});
    ++count;
  }
  if (count > 0) telemetry::LogWarn("sessions.lost", {{"shard", shard.number}, {"sessions", count}});
}

void SessionEnds::EndForgotten(GatewayPeer& gateway, Shard& shard, const SessionId& id,
                               const session::v1::SessionAttach& attach) {
  const session::v1::SessionManagerState state = StateOf(attach);
  events::v1::UserRecord record = MakeEndRecord();
  auto& ended = *record.mutable_session_ended();
  ended.set_session_id(id.str());
  ended.set_full_jid(attach.full_jid());
  ended.set_condition("reset");
  ended.set_resumptions(state.resumptions());
  ended.set_available(state.available() || state.unavailable_untold());
  AddDirected(state, ended);
  ended.set_is_lost(true);
  AppendEndRecord(shard, record, /*holds=*/-1, [this, id, instance = gateway.instance()](Shard& from) {
    if (GatewayPeer* peer = gateways_.Find(instance))
      AddAction(*peer, id, from).mutable_ended()->set_condition("reset");
  });
}

void SessionEnds::EndOverflowing(Session& session) {
  if (session.ended()) return;
  // Not from within delivery, which walks the user's sessions.
  asio::post(executor_, [this, shared = table_.Find(session.id)] {
    if (!shared || shared->ended()) return;
    telemetry::LogInfo("session.overflow",
                       {{"packets", shared->unacked.size()}, {"detached", shared->detached()}});
    End(shared, "policy-violation", "too many unacknowledged stanzas");
  });
}

void SessionEnds::OnPresenceLost(const std::shared_ptr<Session>& session) {
  End(session, "reset", "the presence of its contacts is not known any more");
}

void SessionEnds::OnAccountRemoved(User& user, std::int64_t offset) {
  const EndedSessions& ended = live_.EndedOf(*user.shard);
  for (const auto& session : user.sessions)
    if (!IsEnding(session->phase()) && ended.HasLostAccount(user.bare, session->state))
      AppendEnd(*session, "not-authorized", {}, offset);
}

void SessionEnds::OnCredentialsChanged(User& user, std::int64_t offset) {
  const EndedSessions& ended = live_.EndedOf(*user.shard);
  for (const auto& session : user.sessions)
    if (!IsEnding(session->phase()) && ended.HasLostCredentials(user.bare, session->id, session->state))
      AppendEnd(*session, "reset", {}, offset);
}

std::uint64_t SessionEnds::CountAtEnd(const Session& session) const {
  // Those that are in the log, and questions before them, which nobody waits for any more. Sent again
  // would be what was sent after a question, too.
  if (!session.inbound_order) return session.inbound.confirmed();
  return session.inbound.ConfirmedBut([&](std::uint64_t count) {
    return session.inbound_order->IsUnanswered(count, [this](const xmpp::Stanza& stanza) {
      return hooks_.EffectOf(stanza) == Hooks::Effect::kNone;
    });
  });
}

std::optional<std::uint64_t> SessionEnds::CountOf(const Session* session,
                                                  const events::v1::SessionEnded& ended) const {
  if (session != nullptr) return CountAtEnd(*session);
  if (ended.is_lost()) return std::nullopt;
  return ended.confirmed_count();
}

void SessionEnds::AppendEnd(Session& session, std::string_view condition, std::string_view text,
                            std::int64_t holds) {
  Shard& shard = *session.user->shard;
  session.ends_by_timeout = condition == kTimedOut;
  live_.Enter(session, EndingOf(session.phase()));
  events::v1::UserRecord record = MakeEndRecord();
  auto& ended = *record.mutable_session_ended();
  ended.set_session_id(session.id.str());
  ended.set_full_jid(std::string(session.jid.str()));
  ended.set_condition(std::string(condition));
  ended.set_text(std::string(text));
  ended.set_resumptions(session.state.resumptions());
  ended.set_available(session.available());
  AddDirected(session.state, ended);
  ended.set_confirmed_count(CountAtEnd(session));
  AppendEndRecord(shard, record, holds, /*on_logged=*/{});
}

events::v1::UserRecord SessionEnds::MakeEndRecord() const {
  events::v1::UserRecord record;
  record.set_received_at_ms(clock_.UnixMillisNow());
  return record;
}

/// The session is over whatever the log says, and its contacts must hear of it.
struct SessionEnds::FollowUp {
  SessionEnds& ends;
  std::int64_t holds;
  OnLogged on_logged;

  sharding::AfterRefusal OnRefused(Shard& from, const absl::Status& why, events::v1::UserRecord& record) {
    events::v1::SessionEnded& ended = *record.mutable_session_ended();
    if (!absl::IsInvalidArgument(why) || ended.directed().empty()) return sharding::AfterRefusal::kSayAgain;
    // It is too large: rather without those to whom the session has directed presence than never.
    ended.clear_directed();
    ends.AppendEndRecord(from, record, holds, std::exchange(on_logged, nullptr));
    return sharding::AfterRefusal::kHandled;
  }
  void operator()(Shard& from, std::int64_t offset) const {
    if (offset >= 0 && on_logged) on_logged(from);
  }
};

void SessionEnds::AppendEndRecord(Shard& shard, events::v1::UserRecord& record, std::int64_t holds,
                                  OnLogged on_logged) {
  const std::string bare(xmpp::BareOf(record.session_ended().full_jid()));
  follow_ups_.Append(shard, {.offset = holds}, {events::Topic::kUsers, shard.number, bare}, record,
                     FollowUp{*this, holds, std::move(on_logged)});
}

// ---- what the log says ----------------------------------------------------------

void SessionEnds::OnEndRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionEnded& ended = pending.record.session_ended();
  const std::string_view bare = xmpp::BareOf(ended.full_jid());
  const SessionId id(ended.session_id());
  const auto session = table_.Find(id);
  if (addresses_.ShardOf(bare) != shard.number || (session && session->user->bare != bare)) {
    owner_.NoteMisplaced(shard, pending.offset);
    return;
  }
  if (session && session->state.resumptions() > ended.resumptions()) {
    live_.RunSuccessors(*session);
    return;
  }
  EndedSessions& known = live_.EndedOf(shard);
  const bool is_known = known.IsOver(id, ended.resumptions());
  known.Add(id, bare, ended.resumptions(), CountOf(session.get(), ended), clock_.Now());
  Cause cause = CauseOf(pending);
  if (session) {
    Remove(session, ended, &cause);
  } else if (!is_known) {
    // It died with its gateway and the owner that has put this into the log, or an earlier one.
    directory_.Forget(shard, id, ended.full_jid());
    presence_.OnUnknownSessionEnd(shard, cause, ended);
  }
}

void SessionEnds::OnFinishedRecord(Shard& shard, const PendingRecord& pending) {
  const SteadyTime now = clock_.Now();
  if (pending.record.has_account_removed()) {
    const events::v1::AccountRemoved& removed = pending.record.account_removed();
    live_.EndedOf(shard).AddAccount(removed.jid(), pending.offset, removed.generation(), now);
    return;
  }
  if (!pending.record.has_session_ended()) return;
  const events::v1::SessionEnded& ended = pending.record.session_ended();
  const SessionId id(ended.session_id());
  live_.EndedOf(shard).Add(id, xmpp::BareOf(ended.full_jid()), ended.resumptions(),
                           CountOf(/*session=*/nullptr, ended), now);
  const auto session = table_.Find(id);
  if (!session) directory_.Forget(shard, id, ended.full_jid());
  if (session && session->user->shard == &shard && session->state.resumptions() <= ended.resumptions())
    Remove(session, ended, /*cause=*/nullptr);
}

void SessionEnds::Remove(const std::shared_ptr<Session>& session, const events::v1::SessionEnded& ended,
                         Cause* cause) {
  User& user = *session->user;
  const std::shared_ptr<Shard> shard = shards_.Shared(user.shard->number);
  GatewayPeer* const gateway = session->gateway;
  session->end_record = cause != nullptr ? cause->offset : -1;
  // The one that its client has left must not bring it back.
  if (GatewayPeer* left = gateways_.Find(session->left_gateway); left != nullptr && left != gateway)
    AddAction(*left, session->id, *shard).mutable_ended()->set_condition("conflict");
  live_.Enter(*session, SessionPhase::kEnded);
  gateways_.Assign(*session, nullptr);
  directory_.Ended(*session);
  metrics_.sessions_ended.Increment();
  live_.Remove(session);
  if (cause != nullptr) presence_.OnSessionEnd(user, *session, *cause);
  features_.Tell(&LifeHook::OnSessionEnded, *session);
  deliverer_.Abandon(user, *session);
  session->inbound_order.reset();
  marks_.MarkEnded(session);
  // Its gateway forgets it when its packets are gone from the store: nobody could tell those that its
  // client has had from those that it has not.
  if (session->has_rows) rows_.Remove(*session);
  if (gateway != nullptr) TellEnded(session, *gateway, ended);
  // The store forgets the session when it has what the session's rows may be the last trace of; the
  // record of the end is there until then, so that the next owner does the same.
  const std::int64_t offset = session->end_record;
  if (offset >= 0) {
    shard->window.Hold(offset);
    parker_.OnEndRead(*session);
  }
  shard->Spawn("session.finish_end",
               FinishEnd(shard, session, /*is_only_in_row=*/gateway == nullptr, offset));
  live_.RunSuccessors(*session);
  if (!user.HasAvailable()) user.contacts.reset();
  users_.MaybeForget(user);
}

Task<void> SessionEnds::FinishEnd(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                  bool is_only_in_row, std::int64_t offset) {
  if (is_only_in_row) {
    // The row is all that tells what its client has had.
    const auto may_go = std::make_shared<runtime::Event>(executor_);
    closer_.Close(session, [may_go] { may_go->Set(); }, /*close=*/nullptr, /*holds=*/offset);
    co_await may_go->Wait();
  }
  co_await parker_.RemoveRows(shard, session);
  if (offset >= 0) shard->window.Release(offset);
  closer_.Check(*shard);
}

void SessionEnds::TellEnded(const std::shared_ptr<Session>& session, GatewayPeer& gateway,
                            const events::v1::SessionEnded& ended) {
  const Shard& shard = *session->user->shard;
  const auto tell = [this, id = session->id, number = shard.number, epoch = shard.epoch,
                     instance = gateway.instance(), condition = ended.condition(),
                     text = ended.text()](bool keep) {
    const Shard* now = shards_.Find(number);
    GatewayPeer* peer = gateways_.Find(instance);
    if (peer == nullptr || now == nullptr || now->epoch != epoch) return;
    auto& told = *AddAction(*peer, id, *now).mutable_ended();
    told.set_condition(condition);
    told.set_text(text);
    told.set_keep(keep);
  };
  std::function<void()> close;
  if (!ended.condition().empty()) close = [tell] { tell(/*keep=*/true); };
  closer_.Close(session, [tell] { tell(/*keep=*/false); }, std::move(close));
}

}  // namespace rookery::session_manager
