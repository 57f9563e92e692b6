#include "domain/sessions/session_ends.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <limits>
#include <utility>

#include "domain/addresses.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/applied_ends.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_snapshot.h"
#include "domain/state/session_table.h"
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

void SessionEnds::End(const std::shared_ptr<Session>& session, std::string_view condition,
                      std::string_view text) {
  if (!session || session->ended() || IsEnding(session->phase())) return;
  // An owner that is not certain decides nothing by itself.
  if (condition.empty() && session->user->shard->live() && LeavesNothing(*session))
    return applied_.EndAtOnce(session);
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

void SessionEnds::EndOldCredentials(Shard& shard) {
  for (const auto& [id, version] : live_.TakeOldCredentials(shard)) {
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
  EndBrought(gateway, shard, id, attach, "reset");
}

void SessionEnds::EndNotTaken(GatewayPeer& gateway, Shard& shard, const SessionId& id,
                              const session::v1::SessionAttach& attach) {
  EndBrought(gateway, shard, id, attach, "internal-server-error");
}

void SessionEnds::EndBrought(GatewayPeer& gateway, Shard& shard, const SessionId& id,
                             const session::v1::SessionAttach& attach, const std::string& condition) {
  const session::v1::SessionManagerState state = StateOf(attach);
  events::v1::UserRecord record = MakeEndRecord();
  auto& ended = *record.mutable_session_ended();
  ended.set_session_id(id.str());
  ended.set_full_jid(attach.full_jid());
  ended.set_condition(condition);
  ended.set_resumptions(state.resumptions());
  ended.set_available(state.available() || state.unavailable_untold());
  AddDirected(state, ended);
  ended.set_is_lost(true);
  const auto tell = [this, id, instance = gateway.instance(), condition](Shard& from) {
    if (GatewayPeer* peer = gateways_.Find(instance))
      AddAction(*peer, id, from).mutable_ended()->set_condition(condition);
  };
  AppendEndRecord(shard, record, /*holds=*/-1, tell);
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

void SessionEnds::AppendEnd(Session& session, std::string_view condition, std::string_view text,
                            std::int64_t holds) {
  Shard& shard = *session.user->shard;
  session.ends_by_timeout = condition == kTimedOut;
  events::v1::UserRecord record = MakeEndRecord();
  auto& ended = *record.mutable_session_ended();
  ended.set_session_id(session.id.str());
  ended.set_full_jid(std::string(session.jid.str()));
  ended.set_condition(std::string(condition));
  ended.set_text(std::string(text));
  ended.set_resumptions(session.state.resumptions());
  ended.set_available(session.available() || session.state.unavailable_untold());
  AddDirected(session.state, ended);
  ended.set_confirmed_count(applied_.CountAtEnd(session));
  ended.set_is_count_unknown(session.is_outdated() || !session.inbound.is_all_confirmed());
  AppendEndRecord(shard, record, holds, /*on_logged=*/{});
  // Last: an exception leaves it to be ended.
  live_.Enter(session, EndingOf(session.phase()));
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

}  // namespace rookery::session_manager
