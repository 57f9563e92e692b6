#include "domain/delivery/hand_outs.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "domain/delivery/delivery_states.h"
#include "domain/delivery/held_records.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/packets.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/outbound/outbox.h"
#include "domain/settings.h"
#include "domain/state/shards.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr std::size_t kPageBytes = 512 * 1024;
constexpr std::size_t kBurstBytes = 256 * 1024;
/// How often a receiver that takes nothing is looked at.
constexpr std::chrono::seconds kLook{10};

/// Nobody is there whom the store's rows can be sent to: whoever is there next has to ask for them (W10).
void LeaveToTheNext(Outbox& outbox, const User& user) {
  if (user.delivery->is_store_empty) return;
  for (const auto& session : user.sessions) SetGiven(outbox, *session, false);
}

}  // namespace

/// A message that is about to be sent: a row, or one that waits in memory.
struct HandOuts::Candidate {
  std::uint64_t id = 0;
  std::optional<WaitingStore::OfflineMessage> row;
};

bool HandOuts::IsInBurst(std::size_t packets, std::size_t bytes) const {
  return packets <= std::min(settings_.hand_out_burst,
                             static_cast<std::size_t>(settings_.max_unacked_packets) / 4) &&
         bytes <= std::min(kBurstBytes, static_cast<std::size_t>(settings_.max_unacked_bytes) / 4);
}

void HandOuts::HandOutSoon(User& user) {
  Shard& shard = *user.shard;
  if (shard.phase == Shard::Phase::kAcquiring) {
    user.offline_due = true;  // HandOutWhatIsDue comes
    if (user.storing == 0) user.delivery.reset();
    return;
  }
  user.offline_due = false;
  UserDelivery& state = waiting_.Of(user);
  if (state.receiver) {
    if (!CanReceive(*state.receiver)) {
      // Stanzas that come for the next one from now on have to wait behind, too: not only when the store,
      // which may be away, has said what waits.
      if (const std::shared_ptr<Session> next = FindReceiver(user)) {
        state.receiver = next;
        waiting_.SendBehind(user, SteadyTime::max());
      }
    }
    state.look_again = true;
    state.changed.Notify();
    return;
  }
  state.receiver = FindReceiver(user);
  if (!state.receiver) {
    LeaveToTheNext(outbox_, user);
    if (user.storing == 0) user.delivery.reset();
    return;
  }
  ++user.storing;
  shard.Spawn("offline.hand_out", HandOutTask(shards_.Shared(shard.number), user.bare));
}

void HandOuts::HandOutRows(User& user) {
  UserDelivery& state = waiting_.Of(user);
  state.is_store_empty = false;
  state.oldest_new = 0;  // rows of any age may be nobody's again
  HandOutSoon(user);
}

void HandOuts::OnRoom(const Session& session) {
  const User& user = *session.user;
  if (IsBehind(user, session)) user.delivery->changed.Notify();
}

void HandOuts::OnBack(const std::shared_ptr<Session>& session) {
  if (CanReceive(*session) && !session->state.offline_given()) HandOutSoon(*session->user);
}

void HandOuts::HandOutWhatIsDue(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    if (user->offline_due) HandOutRows(*user);
}

void HandOuts::GoLive(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    if (user->delivery && user->delivery->receiver) user->delivery->changed.Notify();
}

std::vector<HandOuts::Candidate> HandOuts::Candidates(User& user,
                                                      std::vector<WaitingStore::OfflineMessage> rows,
                                                      std::uint64_t last) {
  const UserDelivery& state = *user.delivery;
  std::vector<Candidate> candidates;
  for (WaitingStore::OfflineMessage& row : rows) {
    const auto waiting = state.waiting.find(OffsetOf(row.id));
    // A message that is in memory is sent from there.
    if (waiting != state.waiting.end() && !waiting->second.only_from_store) continue;
    // A message that a session has stays with it, acknowledged (the mark is on its way, or came while the
    // rows were read) or not.
    const auto is_in = [&](const std::vector<std::uint64_t>& ids) {
      return std::find(ids.begin(), ids.end(), row.id) != ids.end();
    };
    const bool is_taken = is_in(state.marking) || is_in(state.marked) ||
                          std::any_of(user.sessions.begin(), user.sessions.end(),
                                      [&](const auto& holder) { return HasRow(*holder, row.id); }) ||
                          TakeBack(marks_, outbox_, user, row);
    if (!is_taken) candidates.push_back({row.id, std::move(row)});
  }
  for (const auto& [offset, waiting] : state.waiting)
    if (waiting.is_open() && !waiting.only_from_store && RowIdOf(offset) <= last &&
        (!waiting.session || waiting.session == state.receiver))
      candidates.push_back({RowIdOf(offset), std::nullopt});
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return candidates;
}

std::optional<std::uint64_t> HandOuts::FirstUnsettled(const User& user, std::uint64_t after,
                                                      const std::vector<WaitingStore::OfflineMessage>& rows) {
  for (const auto& [offset, waiting] : user.delivery->waiting) {
    const std::uint64_t id = RowIdOf(offset);
    if (!waiting.only_from_store || !waiting.is_open() || id <= after) continue;
    const auto row =
        std::lower_bound(rows.begin(), rows.end(), id,
                         [](const auto& message, std::uint64_t key) { return message.id < key; });
    if (row == rows.end() || row->id != id) return id;
  }
  return std::nullopt;
}

std::size_t HandOuts::SendSome(User& user, std::vector<Candidate>& candidates, std::size_t from) {
  UserDelivery& state = *user.delivery;
  Session& session = *state.receiver;
  std::vector<std::pair<std::shared_ptr<Delivery>, bool>> deliveries;
  std::size_t until = from;
  std::size_t bytes = session.unacked_bytes;
  for (; until < candidates.size(); ++until) {
    if (!deliveries.empty() && !IsInBurst(session.unacked.size() + deliveries.size(), bytes)) break;
    Candidate& candidate = candidates[until];
    if (state.oldest_new < candidate.id) break;
    const auto waiting = state.waiting.find(OffsetOf(candidate.id));
    if (candidate.row) {
      deliveries.emplace_back(FromRow(user.bare, *candidate.row), true);
    } else if (waiting != state.waiting.end() && waiting->second.session.get() == &session) {
      deliveries.emplace_back(waiting->second.message, false);
    } else if (waiting != state.waiting.end() && !waiting->second.session && waiting->second.is_open()) {
      deliveries.emplace_back(FromMemory(user.bare, waiting->second), false);
    } else if (waiting != state.waiting.end()) {
      continue;  // somebody has it, or its sender hears that it is refused
    } else {
      break;  // the store has got it since: it is read again before anything newer goes
    }
    bytes += deliveries.back().first->bytes();
  }
  if (!deliveries.empty()) NotePassing(outbox_, user);
  // First what the next owner needs to tell an acknowledged one from one that never arrived.
  std::uint64_t seq = session.last_seq;
  bool is_any_given = false;
  for (const auto& [delivery, is_row] : deliveries) {
    ++seq;
    if (delivery->stored_id == 0) continue;
    auto& given = *session.state.add_given_offline();
    given.set_seq(seq);
    given.set_id(delivery->stored_id);
    is_any_given = true;
  }
  if (is_any_given) {
    session.state.set_offline_given(false);
    outbox_.Publish(session);
  }
  for (const auto& [delivery, is_row] : deliveries) {
    const auto waiting = state.waiting.find(delivery->offset);
    if (!is_row && waiting->second.session) {
      const bool primary = waiting->second.primary;
      if (primary && delivery->open_targets > 0) --delivery->open_targets;
      packets_.SendNow(session, delivery, primary);
      waiting_.Leave(user, waiting);
      continue;
    }
    packets_.SendNow(session, delivery, /*primary=*/true);
    if (is_row) continue;
    waiting->second.is_sent = true;
    // From here on the packet keeps the record.
    const bool is_withdrawn =
        !waiting->second.is_written ||
        (!waiting->second.is_last_trace && states_.WriterOf(*user.shard).Withdraw(waiting->second.ticket));
    if (is_withdrawn) waiting_.Leave(user, waiting);
  }
  return until - from;
}

void HandOuts::EndHandOut(User& user, bool is_done) {
  UserDelivery& state = *user.delivery;
  state.receiver = nullptr;
  if (is_done) {
    // But for rows of which sessions have the messages.
    state.is_store_empty = true;
    for (const auto& session : user.sessions)
      if (CanReceive(*session)) SetGiven(outbox_, *session, true);
  } else {
    LeaveToTheNext(outbox_, user);
    waiting_.WriteUnsent(user);
  }
  waiting_.SendBehind(user, SteadyTime::max());
  waiting_.FinishUse(*user.shard, std::string(user.bare));
}

Task<void> HandOuts::HandOutTask(std::shared_ptr<Shard> shard, std::string bare) {
  // Never within the call that starts it: its caller may still use the user.
  co_await runtime::Yield();
  const std::shared_ptr<UserDelivery> state = shard->FindUser(bare)->delivery;
  while (shard->phase == Shard::Phase::kRecovering)
    (void)co_await state->changed.Wait(Deadline::After(kLook));
  runtime::Backoff backoff(kBackendRetries);
  std::uint64_t after = 0;
  while (true) {
    User& user = *shard->FindUser(bare);
    if (!CanReceive(*state->receiver)) {
      state->receiver = FindReceiver(user);
      waiting_.SendBehind(user, SteadyTime::max());
      after = 0;
      if (!state->receiver) {
        EndHandOut(user, /*is_done=*/false);
        co_return;
      }
    }
    // Messages older than those that have been passed may begin to wait at any time.
    const auto is_older_new = [&] { return state->oldest_new <= after; };
    if (std::exchange(state->look_again, false) || is_older_new()) after = 0;
    state->oldest_new = UserDelivery::kNothingNew;
    state->marked.clear();
    using Rows = std::vector<WaitingStore::OfflineMessage>;
    absl::StatusOr<Rows> rows{Rows()};
    if (!state->is_store_empty)
      rows = co_await store_.LoadOffline(bare, after, {settings_.hand_out_page, kPageBytes});
    if (!rows.ok()) {
      // Nobody knows what waits: what came later has to wait too.
      if (backoff.failures() == 0 || !IsTemporary(rows.status()))
        telemetry::LogWarn("offline.load_failed", {{"error", Message(rows.status())}});
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    if (state->look_again || is_older_new()) continue;
    const bool is_last = rows->empty();
    std::uint64_t last = is_last ? std::numeric_limits<std::uint64_t>::max() : rows->back().id;
    const std::optional<std::uint64_t> unsettled = FirstUnsettled(user, after, *rows);
    const bool is_cut = unsettled && *unsettled <= last;
    if (is_cut) {
      last = *unsettled;
      std::erase_if(*rows, [last](const auto& row) { return row.id > last; });
    }
    std::vector<Candidate> candidates = Candidates(user, *std::move(rows), last);
    state->oldest_new = UserDelivery::kNothingNew;
    const std::shared_ptr<Session> receiver = state->receiver;
    bool is_interrupted = false;
    for (std::size_t next = 0; next < candidates.size() && !is_interrupted;) {
      const bool has_room = co_await AwaitRoom(state, receiver);
      const std::size_t passed = has_room ? SendSome(user, candidates, next) : 0;
      next += passed;
      is_interrupted = passed == 0;
    }
    after = is_interrupted || is_cut ? 0 : last;
    if (is_interrupted || (!is_last && !is_cut)) continue;
    after = 0;
    if (state->look_again || !CanReceive(*state->receiver)) continue;
    const bool is_done = std::all_of(state->waiting.begin(), state->waiting.end(),
                                     [](const auto& entry) { return !entry.second.is_open(); });
    if (is_done) {
      EndHandOut(user, /*is_done=*/true);
      co_return;
    }
    // More has come in meanwhile, or the store has yet to say what an earlier owner has stored.
    const bool is_settled = unsettled && !state->waiting.contains(OffsetOf(*unsettled));
    const bool has_more = is_settled || !Candidates(user, {}, last).empty();
    if (!has_more) (void)co_await state->changed.Wait(Deadline::After(kLook));
  }
}

Task<bool> HandOuts::AwaitRoom(std::shared_ptr<UserDelivery> state, std::shared_ptr<Session> receiver) {
  while (state->receiver == receiver && CanReceive(*receiver)) {
    if (IsInBurst(receiver->unacked.size(), receiver->unacked_bytes)) co_return true;
    (void)co_await state->changed.Wait(Deadline::After(kLook));
  }
  co_return false;
}

void HandOuts::OnStored(User& user) { HandOutSoon(user); }

}  // namespace rookery::session_manager
