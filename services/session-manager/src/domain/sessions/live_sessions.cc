#include "domain/sessions/live_sessions.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "rookery/base/deadline.h"

namespace rookery::session_manager {

namespace {
/// The most that may wait for the end of one session.
constexpr std::size_t kMaxSuccessors = 16;
/// The part of the duplicate horizon by which a gateway's time out of reach is taken for longer.
constexpr int kMargin = 4;
}  // namespace

LiveSessions::ShardState& LiveSessions::StateOf(const Shard& shard) {
  std::unique_ptr<ShardState>& state = shards_[shard.number];
  if (!state) state = std::make_unique<ShardState>(executor_);
  return *state;
}

void LiveSessions::Add(User& user, const std::shared_ptr<Session>& session) {
  session->user = &user;
  user.sessions.push_back(session);
  table_.Add(session);
  session->CountIn(away_);
  Schedule(*session);
  features_.Tell(&LifeHook::OnSessionBegun, *session);
}

void LiveSessions::Enter(Session& session, SessionPhase phase) {
  session.Move(phase, clock_.Now());
  Schedule(session);
  listener_->OnPhase(session);
}

void LiveSessions::Schedule(Session& session) {
  ShardState& state = StateOf(*session.user->shard);
  SteadyTime due = SteadyTime::max();
  if (IsAway(session.phase())) {
    due = session.detached_since + (session.is_resumable() ? settings_.resume_timeout : settings_.link_grace);
  }
  if (const auto& waits = session.rare().resume_waits) due = std::min(due, waits->limit);
  if (due != session.due) {
    if (session.due != SteadyTime::max()) state.due.erase({session.due, session.id});
    if (due != SteadyTime::max()) state.due.insert({due, session.id});
    session.due = due;
  }
  const bool is_unparked =
      session.is_resumable() && IsAway(session.phase()) && session.phase() != SessionPhase::kParked;
  if (is_unparked) {
    state.unparked.insert(session.id);
  } else if (state.unparked.erase(session.id) > 0 && state.unparked.empty()) {
    state.all_parked->Notify();
  }
}

void LiveSessions::Remove(const std::shared_ptr<Session>& session) {
  table_.Erase(session->id);
  std::erase_if(session->user->sessions, [&](const auto& other) { return other == session; });
}

void LiveSessions::Retire(const std::shared_ptr<Session>& session) {
  Shard& shard = *session->user->shard;
  Enter(*session, SessionPhase::kEnded);
  gateways_.Assign(*session, nullptr);
  Remove(session);
  features_.Tell(&LifeHook::OnSessionEnded, *session);
  for (UnackedPacket& packet : session->unacked)
    if (packet.held >= 0) shard.window.Release(packet.held);
  session->unacked = {};
  session->inbound_order.reset();
  RunSuccessors(*session);
}

// ---- what waits for an end ----------------------------------------------------

bool LiveSessions::RunAfterEnd(Session& session, WaitingAction asked) {
  if (session.rare().successors.size() >= kMaxSuccessors) return false;
  session.MakeRare().successors.push_back(std::move(asked));
  return true;
}

void LiveSessions::RunSuccessors(Session& session) {
  if (session.rare().resume_waits)
    DoLater(std::move(std::exchange(session.MakeRare().resume_waits, {})->asked));
  if (session.rare().successors.empty()) return;
  for (WaitingAction& next : std::exchange(session.MakeRare().successors, {})) DoLater(std::move(next));
}

void LiveSessions::DoLater(WaitingAction waiting) {
  // Not from within what ends the session.
  asio::post(executor_, [this, next = std::move(waiting)]() mutable { actions_->Do(std::move(next)); });
}

// ---- time -----------------------------------------------------------------------

std::vector<std::shared_ptr<Session>> LiveSessions::Unparked(const Shard& shard) {
  std::vector<std::shared_ptr<Session>> sessions;
  for (const SessionId& id : StateOf(shard).unparked)
    if (auto session = table_.Find(id)) sessions.push_back(std::move(session));
  return sessions;
}

Task<void> LiveSessions::AwaitParked(std::shared_ptr<Shard> shard, std::chrono::milliseconds limit) {
  const Deadline deadline = Deadline::After(limit);
  while (true) {
    ShardState& state = StateOf(*shard);
    if (state.unparked.empty()) co_return;
    const std::shared_ptr<runtime::Event> all_parked = state.all_parked;
    const bool is_in_time = co_await all_parked->Wait(deadline);
    if (!is_in_time) co_return;
  }
}

std::shared_ptr<Session> LiveSessions::TakeDue(const Shard& shard) {
  ShardState& state = StateOf(shard);
  while (!state.due.empty() && state.due.begin()->first <= clock_.Now()) {
    auto session = table_.Find(state.due.begin()->second);
    state.due.erase(state.due.begin());
    if (!session) continue;
    session->due = SteadyTime::max();
    return session;
  }
  return nullptr;
}

bool LiveSessions::KnowsEndsOf(const Shard& shard, std::chrono::milliseconds out_of_reach) {
  if (out_of_reach.count() == 0) return true;
  // Some earlier: what was under way then, and clocks that differ.
  const SteadyTime since = clock_.Now() - out_of_reach - settings_.duplicate_horizon / kMargin;
  return since > std::max(shard.read_since, EndedOf(shard).forgotten_until());
}

void LiveSessions::Expire(const Shard& shard) {
  EndedSessions& ended = StateOf(shard).ended;
  // Removals that are not finished stay known however long they take.
  for (const auto& [bare, removal] : shard.removals)
    ended.AddAccount(bare, removal.record, removal.generation, clock_.Now());
  ended.Expire(clock_.Now() - settings_.duplicate_horizon);
  // As long as the filter knows a client's session at most.
  StateOf(shard).logged.Expire(clock_.Now() -
                               sharding::DuplicateFilter::kMostHorizons * settings_.duplicate_horizon);
}

// ---- the shard goes ---------------------------------------------------------------

void LiveSessions::Forget(Shard& shard) {
  for (auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      session->Move(SessionPhase::kEnded, clock_.Now());
      gateways_.Assign(*session, nullptr);
      features_.Tell(&LifeHook::OnSessionEnded, *session);
      session->unacked = {};
      table_.Erase(session->id);
    }
  }
  shards_[shard.number].reset();
}

}  // namespace rookery::session_manager
