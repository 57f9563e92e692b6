#include "domain/delivery/offline_messages.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <limits>

#include "domain/addresses.h"
#include "domain/delivery/bounces.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/held_records.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/packets.h"
#include "domain/delivery/session_closer.h"
#include "domain/inbound/stamps.h"
#include "domain/metrics.h"
#include "domain/records/shards.h"
#include "domain/records/users.h"
#include "domain/sessions/link_actions.h"
#include "domain/sessions/outbox.h"
#include "domain/sessions/session_table.h"
#include "domain/settings.h"
#include "ports/waiting_store.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr BackoffOptions kRetries{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000), 0.5};

/// Messages are read so many at a time, and given while less than a burst is unacknowledged.
constexpr WaitingStore::PageLimit kPage{64, 512 * 1024};
constexpr std::size_t kBurst = 256;
constexpr std::size_t kBurstBytes = 256 * 1024;
/// How often a receiver that takes nothing is looked at.
constexpr std::chrono::seconds kLook{10};
constexpr std::size_t kKeysAtOnce = 500;
constexpr int kMaxPassedOver = 16;

std::int64_t OffsetOf(std::uint64_t row_id) { return static_cast<std::int64_t>(row_id) - 1; }
std::uint64_t RowIdOf(std::int64_t offset) { return static_cast<std::uint64_t>(offset) + 1; }

bool IsTemporary(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsAborted(status);
}

/// Whether the session was given the message as the row that it is.
bool HasTaken(const Session& session, std::uint64_t id) {
  const auto& given = session.state.given_offline();
  return std::any_of(given.begin(), given.end(), [&](const auto& entry) { return entry.id() == id; }) ||
         std::any_of(session.unacked.begin(), session.unacked.end(),
                     [&](const UnackedPacket& packet) { return packet.stored_id == id; });
}

bool HasRow(const Session& session, std::uint64_t id) {
  return HasTaken(session, id) ||
         std::any_of(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& packet) {
           return packet.primary && packet.offset == OffsetOf(id);
         });
}

bool CanReceive(const Session& session) {
  return !session.ended && !session.detached && session.available() && session.priority() >= 0;
}

}  // namespace

/// A message that is about to be sent: a row, or one that waits in memory.
struct OfflineMessages::Candidate {
  std::uint64_t id = 0;
  std::optional<WaitingStore::OfflineMessage> row;
};

bool IsPassedOver(const Session& session, std::int64_t offset) {
  const auto& ranges = session.state.passed_over();
  return std::any_of(ranges.begin(), ranges.end(), [&](const session::v1::PassedOver& range) {
    return range.first() <= offset && offset <= range.last();
  });
}

UserDelivery& OfflineMessages::StateOf(User& user) {
  if (!user.delivery) {
    user.delivery = std::make_shared<UserDelivery>(executor_);
    // Somebody was handed everything, and nothing was kept since (PassOver).
    user.delivery->is_store_empty =
        std::any_of(user.sessions.begin(), user.sessions.end(),
                    [](const auto& session) { return session->state.offline_given(); });
  }
  return *user.delivery;
}

// ---- into memory, and into the store ----------------------------------------

void OfflineMessages::PassOver(User& user, std::int64_t offset) {
  // A later owner that reads the record again must not take it for given to a session just
  // because newer ones were; and the session, should it become available, has to ask the store.
  for (const auto& session : user.sessions) {
    auto& state = session->state;
    if (offset <= state.start_offset() || IsPassedOver(*session, offset)) {
      SetGiven(*session, false);
      continue;
    }
    auto& ranges = *state.mutable_passed_over();
    const std::int64_t committed = user.shard->last_commit;
    while (!ranges.empty() && ranges.begin()->last() < committed) ranges.erase(ranges.begin());
    if (!ranges.empty() && offset > ranges.rbegin()->last() &&
        session->last_offset <= ranges.rbegin()->last()) {
      // Nothing was given in between.
      ranges.rbegin()->set_last(offset);
    } else if (ranges.size() >= kMaxPassedOver) {
      auto& newest = *ranges.rbegin();
      newest.set_first(std::min(newest.first(), offset));
      newest.set_last(std::max(newest.last(), offset));
    } else {
      auto& range = *ranges.Add();
      range.set_first(offset);
      range.set_last(offset);
    }
    state.set_offline_given(false);
    outbox_.Publish(*session);
  }
}

WaitingStanza& OfflineMessages::Keep(User& user, std::shared_ptr<Delivery> message,
                                     std::optional<std::int64_t> quota, bool is_last_trace) {
  const std::int64_t offset = message->offset;
  UserDelivery& state = StateOf(user);
  PassOver(user, offset);
  auto [it, is_new] = state.waiting.try_emplace(offset);
  WaitingStanza& waiting = it->second;
  // One that is being written was sent to a session, which has ended since.
  waiting.is_sent = false;
  waiting.message = std::move(message);
  if (!is_new) return waiting;
  ++user.storing;
  waiting.is_last_trace = is_last_trace;
  if (!is_last_trace) user.shard->window.Hold(offset);
  waiting.since = clock_.Now();
  waiting.quota = quota;
  return waiting;
}

void OfflineMessages::Store(User& user, std::shared_ptr<Delivery> message, bool recovering) {
  WaitingStanza& waiting =
      Keep(user, std::move(message), settings_.max_offline_messages, /*is_last_trace=*/false);
  waiting.is_late = true;
  waiting.only_from_store = waiting.only_from_store || recovering;
  StoreOrAwait(user, waiting);
}

void OfflineMessages::StoreEnded(User& user, Session& ended, std::shared_ptr<Delivery> message,
                                 bool is_last_trace) {
  ++ended.EndWritesOf()->open;
  WaitingStanza& waiting =
      Keep(user, std::move(message),
           user.HasAvailable() ? std::nullopt : std::optional(settings_.max_offline_messages), is_last_trace);
  waiting.is_late = true;
  // An earlier owner may have sent it to another session, whose client has it.
  waiting.only_from_store = waiting.only_from_store || waiting.message->offset < user.shard->epoch;
  waiting.ends.push_back(ended.end_writes);
  StoreOrAwait(user, waiting);
}

bool OfflineMessages::IsBehind(const User& user, const Session& session) {
  return user.delivery && user.delivery->receiver.get() == &session;
}

bool OfflineMessages::IsLeftBehind(const User& user, const Session& session) const {
  return session.detached && !session.ended && session.available() && session.priority() >= 0 &&
         !session.state.offline_given() && !FindReceiver(user);
}

void OfflineMessages::WaitBehind(User& user, std::shared_ptr<Delivery> message, bool recovering) {
  WaitingStanza& waiting =
      Keep(user, std::move(message), settings_.max_offline_messages, /*is_last_trace=*/false);
  waiting.only_from_store = waiting.only_from_store || recovering;
  StoreOrAwait(user, waiting);
  StateOf(user).changed.Notify();
}

bool OfflineMessages::WaitBehind(Session& session, const std::shared_ptr<Delivery>& stanza, bool primary) {
  User& user = *session.user;
  auto [it, is_new] = StateOf(user).waiting.try_emplace(stanza->offset);
  if (!is_new) return false;
  WaitingStanza& waiting = it->second;
  waiting.message = stanza;
  waiting.session = table_.Find(session.id);
  waiting.primary = primary;
  waiting.is_last_trace = !stanza->is_logged;
  waiting.since = clock_.Now();
  if (primary) ++stanza->open_targets;
  ++user.storing;
  if (stanza->is_logged) user.shard->window.Hold(stanza->offset);
  Arm(user, waiting.since);
  StateOf(user).changed.Notify();
  return true;
}

bool OfflineMessages::IsWaiting(const User& user, const Session& session, std::int64_t offset) {
  if (!user.delivery) return false;
  const auto waiting = user.delivery->waiting.find(offset);
  return waiting != user.delivery->waiting.end() && waiting->second.session.get() == &session;
}

void OfflineMessages::DropBehind(User& user, const Session& session, const Route& route) {
  if (!user.delivery) return;
  const std::shared_ptr<UserDelivery> state = user.delivery;
  for (auto it = state->waiting.begin(); it != state->waiting.end();) {
    const auto next = std::next(it);
    if (it->second.session.get() == &session) {
      const std::shared_ptr<Delivery> stanza = it->second.message;
      if (it->second.primary) {
        if (stanza->open_targets > 0) --stanza->open_targets;
        if (!stanza->reached && stanza->open_targets == 0) route(*stanza);
      }
      Leave(user, it);
    }
    it = next;
  }
}

void OfflineMessages::SendBehind(User& user, SteadyTime limit) {
  const std::shared_ptr<UserDelivery> state = user.delivery;
  for (auto it = state->waiting.begin(); it != state->waiting.end();) {
    const auto next = std::next(it);
    if (it->second.session && it->second.since <= limit) {
      const WaitingStanza& waiting = it->second;
      if (waiting.primary && waiting.message->open_targets > 0) --waiting.message->open_targets;
      // Another snapshot of the same session may have taken its place.
      const std::shared_ptr<Session> session =
          waiting.session->ended ? table_.Find(waiting.session->id) : waiting.session;
      if (session) packets_.SendNow(*session, waiting.message, waiting.primary);
      Leave(user, it);
    }
    it = next;
  }
}

void OfflineMessages::Arm(User& user, SteadyTime since) {
  if (std::exchange(StateOf(user).is_due, true)) return;
  states_.Of(*user.shard).overdue.Push(since + settings_.window_time, user.bare);
}

void OfflineMessages::StoreOrAwait(User& user, WaitingStanza& waiting) {
  UserDelivery& state = StateOf(user);
  if (waiting.is_last_trace || waiting.only_from_store || (!state.receiver && !FindReceiver(user))) {
    Write(user, waiting);
    return;
  }
  // Somebody is there who will have it before a store could.
  Arm(user, waiting.since);
}

void OfflineMessages::Write(User& user, WaitingStanza& waiting) {
  if (std::exchange(waiting.is_written, true)) return;
  user.delivery->is_store_empty = false;
  const std::shared_ptr<Delivery>& message = waiting.message;
  WaitingStore::OfflineWrite row;
  row.key = {user.bare, RowIdOf(message->offset)};
  row.received_at_ms = message->received_at_ms;
  row.stanza = WaitingStore::SharedStanza(message, &message->stanza);
  row.quota = waiting.quota;
  auto done = [this, weak = std::weak_ptr(shards_.Shared(user.shard->number)), bare = user.bare,
               offset = message->offset](const StoreWriter::Answer& answer) {
    const std::shared_ptr<Shard> shard = weak.lock();
    if (shard && !shard->released()) OnWritten(*shard, bare, offset, answer);
  };
  waiting.ticket = states_.WriterOf(*user.shard).StoreOffline(std::move(row), std::move(done));
}

void OfflineMessages::OnWritten(Shard& shard, const std::string& bare, std::int64_t offset,
                                const StoreWriter::Answer& answer) {
  User* user = shard.FindUser(bare);
  if (user == nullptr || !user->delivery) return;
  UserDelivery& state = *user->delivery;
  const auto it = state.waiting.find(offset);
  if (it == state.waiting.end()) return;
  const WaitingStanza& waiting = it->second;
  std::optional<xmpp::ErrorCondition> refusal;
  std::string_view text;
  if (!answer.status.ok()) {
    refusal = xmpp::ErrorCondition::kInternalServerError;
  } else {
    switch (answer.stored) {
      case WaitingStore::Stored::kStored:
        metrics_.stored_offline.Increment();
        break;
      case WaitingStore::Stored::kAlreadyThere:
        break;
      case WaitingStore::Stored::kNoSuchUser:
        refusal = xmpp::ErrorCondition::kServiceUnavailable;
        break;
      case WaitingStore::Stored::kQuotaReached:
        refusal = xmpp::ErrorCondition::kResourceConstraint;
        text = "the recipient's offline storage is full";
        break;
    }
  }
  if (!refusal) state.is_store_empty = false;
  if (waiting.is_sent) {
    // Whoever has it: the row is there, or is not needed.
    if (!refusal)
      for (const auto& session : user->sessions)
        for (UnackedPacket& packet : session->unacked)
          if (packet.stored_id == RowIdOf(offset)) packet.has_row = true;
  } else if (refusal && waiting.is_last_trace && !waiting.ends.empty()) {
    bounces_.BounceEnded(shard, waiting.ends.front(), *waiting.message, *refusal, text);
  } else if (refusal) {
    bounces_.Bounce(shard, *waiting.message, *refusal, text);
  } else if (state.receiver) {
    state.look_again = true;
  } else {
    // Somebody may have come meanwhile.
    HandOutSoon(*user);
  }
  Leave(*user, it);
}

void OfflineMessages::Leave(User& user, std::map<std::int64_t, WaitingStanza>::iterator waiting) {
  Shard& shard = *user.shard;
  const std::int64_t offset = waiting->first;
  const std::vector<Ends> ends = std::move(waiting->second.ends);
  const bool is_last_trace = waiting->second.is_last_trace;
  user.delivery->waiting.erase(waiting);
  user.delivery->changed.Notify();
  if (!is_last_trace) shard.window.Release(offset);
  for (const Ends& end : ends) end->Finish();
  FinishUse(shard, std::string(user.bare));
  closer_.Check(shard);
}

void OfflineMessages::FinishUse(Shard& shard, const std::string& bare) {
  User* user = shard.FindUser(bare);
  if (user == nullptr) return;
  --user->storing;
  // Most users have nothing that waits: nothing is kept for them.
  if (user->delivery && user->storing == 0 && user->delivery->waiting.empty()) user->delivery.reset();
  users_.MaybeForget(*user);
}

void OfflineMessages::AfterWrites(const Session& session, std::function<void()> then) {
  if (session.end_writes && session.end_writes->open > 0) {
    session.end_writes->then.push_back(std::move(then));
  } else {
    then();
  }
}

void OfflineMessages::RemoveRows(Session& session, std::optional<std::uint64_t> up_to_seq) {
  const Ends ends = session.EndWritesOf();
  const WaitingStore::SessionKey key{std::string(session.jid.bare()), session.id.str()};
  if (ends->open == 0) {
    StartRemoval(key, up_to_seq, ends);
    return;
  }
  ends->remove = [this, key, up_to_seq, weak = std::weak_ptr(ends)] {
    if (const Ends open = weak.lock()) StartRemoval(key, up_to_seq, open);
  };
}

void OfflineMessages::StartRemoval(const WaitingStore::SessionKey& key,
                                   std::optional<std::uint64_t> up_to_seq, const Ends& ends) {
  Shard* shard = shards_.Find(addresses_.ShardOf(key.owner));
  if (shard == nullptr || shard->released()) return;
  ++ends->open;
  auto done = [ends](const StoreWriter::Answer& answer) {
    if (!absl::IsCancelled(answer.status)) ends->Finish();
  };
  if (up_to_seq) {
    states_.WriterOf(*shard).RemovePackets(key, *up_to_seq, std::move(done));
  } else {
    states_.WriterOf(*shard).RemoveSession(key, std::move(done));
  }
}

// ---- to a session -----------------------------------------------------------

void OfflineMessages::SetGiven(Session& session, bool given) {
  if (session.ended || session.state.offline_given() == given) return;
  session.state.set_offline_given(given);
  outbox_.Publish(session);
}

std::shared_ptr<Session> OfflineMessages::FindReceiver(const User& user) const {
  std::shared_ptr<Session> best;
  for (const auto& session : user.sessions) {
    if (!CanReceive(*session)) continue;
    if (!best || session->priority() > best->priority()) best = session;
  }
  return best;
}

void OfflineMessages::HandOutSoon(User& user) {
  Shard& shard = *user.shard;
  if (shard.phase == Shard::Phase::kAcquiring) {
    user.offline_due = true;  // HandOutWhatIsDue comes
    if (user.storing == 0) user.delivery.reset();
    return;
  }
  user.offline_due = false;
  UserDelivery& state = StateOf(user);
  if (state.receiver) {
    if (!CanReceive(*state.receiver)) {
      // What comes for the next one from now on has to wait behind, too: not only when the store, which
      // may be away, has said what waits.
      if (const std::shared_ptr<Session> next = FindReceiver(user)) {
        state.receiver = next;
        SendBehind(user, SteadyTime::max());
      }
    }
    state.look_again = true;
    state.changed.Notify();
    return;
  }
  state.receiver = FindReceiver(user);
  if (!state.receiver) {
    if (user.storing == 0) user.delivery.reset();
    return;
  }
  ++user.storing;
  tasks_.Spawn("offline.hand_out", HandOutTask(shards_.Shared(shard.number), user.bare));
}

void OfflineMessages::HandOutRows(User& user) {
  StateOf(user).is_store_empty = false;
  HandOutSoon(user);
}

void OfflineMessages::OnRoom(const Session& session) {
  const User& user = *session.user;
  if (IsBehind(user, session)) user.delivery->changed.Notify();
}

void OfflineMessages::OnBack(const std::shared_ptr<Session>& session) {
  if (CanReceive(*session) && !session->state.offline_given()) HandOutSoon(*session->user);
}

std::shared_ptr<Delivery> OfflineMessages::FromRow(std::string_view bare,
                                                   WaitingStore::OfflineMessage& row) const {
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&row.stanza);
  AddDelay(delivery->stanza, xmpp::DomainOf(bare), row.received_at_ms);
  delivery->offset = OffsetOf(row.id);
  delivery->stored_id = row.id;
  delivery->has_row = true;
  delivery->is_logged = false;
  delivery->received_at_ms = row.received_at_ms;
  return delivery;
}

std::shared_ptr<Delivery> OfflineMessages::FromMemory(std::string_view bare,
                                                      const WaitingStanza& waiting) const {
  // Not the same object: it may be on its way into the store.
  const Delivery& message = *waiting.message;
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza = message.stanza;
  delivery->offset = message.offset;
  delivery->stored_id = RowIdOf(message.offset);
  delivery->is_logged = !waiting.is_last_trace;
  delivery->received_at_ms = message.received_at_ms;
  delivery->trace_id = message.trace_id;
  if (waiting.is_late || waiting.is_written)
    AddDelay(delivery->stanza, xmpp::DomainOf(bare), message.received_at_ms);
  return delivery;
}

std::vector<OfflineMessages::Candidate> OfflineMessages::Candidates(
    User& user, std::vector<WaitingStore::OfflineMessage> rows, std::uint64_t last) {
  const UserDelivery& state = *user.delivery;
  std::vector<Candidate> candidates;
  for (WaitingStore::OfflineMessage& row : rows) {
    const auto waiting = state.waiting.find(OffsetOf(row.id));
    // What is in memory is sent from there.
    if (waiting != state.waiting.end() && !waiting->second.only_from_store) continue;
    // What a session has stays with it, acknowledged (the mark is on its way, or came while the rows
    // were read) or not.
    const auto is_in = [&](const std::vector<std::uint64_t>& ids) {
      return std::find(ids.begin(), ids.end(), row.id) != ids.end();
    };
    const bool is_taken = is_in(state.marking) || is_in(state.marked) ||
                          std::any_of(user.sessions.begin(), user.sessions.end(),
                                      [&](const auto& holder) { return HasRow(*holder, row.id); }) ||
                          TakeBack(user, row);
    if (!is_taken) candidates.push_back({row.id, std::move(row)});
  }
  for (const auto& [offset, waiting] : state.waiting)
    if (!waiting.is_sent && !waiting.only_from_store && RowIdOf(offset) <= last &&
        (!waiting.session || waiting.session == state.receiver))
      candidates.push_back({RowIdOf(offset), std::nullopt});
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return candidates;
}

std::optional<std::uint64_t> OfflineMessages::FirstUnsettled(
    const User& user, std::uint64_t after, const std::vector<WaitingStore::OfflineMessage>& rows) {
  for (const auto& [offset, waiting] : user.delivery->waiting) {
    const std::uint64_t id = RowIdOf(offset);
    if (!waiting.only_from_store || waiting.is_sent || id <= after) continue;
    const auto row =
        std::lower_bound(rows.begin(), rows.end(), id,
                         [](const auto& message, std::uint64_t key) { return message.id < key; });
    if (row == rows.end() || row->id != id) return id;
  }
  return std::nullopt;
}

std::size_t OfflineMessages::SendSome(User& user, std::vector<Candidate>& candidates, std::size_t from) {
  UserDelivery& state = *user.delivery;
  Session& session = *state.receiver;
  std::vector<std::pair<std::shared_ptr<Delivery>, bool>> deliveries;
  std::size_t until = from;
  std::size_t bytes = session.unacked_bytes;
  for (; until < candidates.size(); ++until) {
    if (!deliveries.empty() && (bytes > kBurstBytes || session.unacked.size() + deliveries.size() > kBurst))
      break;
    Candidate& candidate = candidates[until];
    const auto waiting = state.waiting.find(OffsetOf(candidate.id));
    if (candidate.row) {
      deliveries.emplace_back(FromRow(user.bare, *candidate.row), true);
    } else if (waiting != state.waiting.end() && waiting->second.session.get() == &session) {
      deliveries.emplace_back(waiting->second.message, false);
    } else if (waiting != state.waiting.end() && !waiting->second.session && !waiting->second.is_sent) {
      deliveries.emplace_back(FromMemory(user.bare, waiting->second), false);
    } else {
      continue;  // the store has it since: it is read again
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
      Leave(user, waiting);
      continue;
    }
    packets_.SendNow(session, delivery, /*primary=*/true);
    if (is_row) continue;
    waiting->second.is_sent = true;
    // From here on the packet keeps the record.
    const bool is_withdrawn =
        !waiting->second.is_written ||
        (!waiting->second.is_last_trace && states_.WriterOf(*user.shard).Withdraw(waiting->second.ticket));
    if (is_withdrawn) Leave(user, waiting);
  }
  return until - from;
}

void OfflineMessages::EndHandOut(User& user, bool is_done) {
  UserDelivery& state = *user.delivery;
  state.receiver = nullptr;
  if (is_done) {
    // But for rows of which sessions have the messages.
    state.is_store_empty = true;
    for (const auto& session : user.sessions)
      if (CanReceive(*session)) SetGiven(*session, true);
  } else {
    for (auto& [offset, waiting] : state.waiting)
      if (!waiting.is_sent && !waiting.session) Write(user, waiting);
  }
  SendBehind(user, SteadyTime::max());
  FinishUse(*user.shard, std::string(user.bare));
}

Task<void> OfflineMessages::HandOutTask(std::shared_ptr<Shard> shard, std::string bare) {
  // Never within the call that starts it: its caller may still use the user.
  co_await asio::post(executor_, asio::use_awaitable);
  if (shard->released()) co_return;
  const std::shared_ptr<UserDelivery> state = shard->FindUser(bare)->delivery;
  runtime::Backoff backoff(kRetries);
  std::uint64_t after = 0;
  while (!shard->released()) {
    User& user = *shard->FindUser(bare);
    if (!CanReceive(*state->receiver)) {
      state->receiver = FindReceiver(user);
      SendBehind(user, SteadyTime::max());
      after = 0;
      if (!state->receiver) {
        EndHandOut(user, /*is_done=*/false);
        co_return;
      }
    }
    if (std::exchange(state->look_again, false)) after = 0;
    state->marked.clear();
    using Rows = std::vector<WaitingStore::OfflineMessage>;
    absl::StatusOr<Rows> rows{Rows()};
    if (!state->is_store_empty) rows = co_await store_.LoadOffline(bare, after, kPage);
    if (shard->released()) co_return;
    if (!rows.ok()) {
      // Nobody knows what waits: what came later has to wait too.
      if (backoff.failures() == 0 || !IsTemporary(rows.status()))
        telemetry::LogWarn("offline.load_failed", {{"error", Message(rows.status())}});
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    if (state->look_again) continue;
    const bool is_last = rows->empty();
    std::uint64_t last = is_last ? std::numeric_limits<std::uint64_t>::max() : rows->back().id;
    const std::optional<std::uint64_t> unsettled = FirstUnsettled(user, after, *rows);
    const bool is_cut = unsettled && *unsettled <= last;
    if (is_cut) {
      last = *unsettled;
      std::erase_if(*rows, [last](const auto& row) { return row.id > last; });
    }
    std::vector<Candidate> candidates = Candidates(user, *std::move(rows), last);
    const std::shared_ptr<Session> receiver = state->receiver;
    bool is_interrupted = false;
    for (std::size_t next = 0; next < candidates.size() && !is_interrupted;) {
      const bool has_room = co_await AwaitRoom(shard, state, receiver);
      if (shard->released()) co_return;
      if (has_room) {
        next += SendSome(user, candidates, next);
      } else {
        is_interrupted = true;
      }
    }
    after = is_interrupted || is_cut ? 0 : last;
    if (is_interrupted || (!is_last && !is_cut)) continue;
    after = 0;
    if (state->look_again || !CanReceive(*state->receiver)) continue;
    const bool is_done = std::all_of(state->waiting.begin(), state->waiting.end(),
                                     [](const auto& entry) { return entry.second.is_sent; });
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

Task<bool> OfflineMessages::AwaitRoom(std::shared_ptr<Shard> shard, std::shared_ptr<UserDelivery> state,
                                      std::shared_ptr<Session> receiver) {
  while (!shard->released() && state->receiver == receiver && CanReceive(*receiver)) {
    if (receiver->unacked_bytes <= kBurstBytes && receiver->unacked.size() <= kBurst) co_return true;
    (void)co_await state->changed.Wait(Deadline::After(kLook));
  }
  co_return false;
}

// ---- marks ------------------------------------------------------------------

void OfflineMessages::MarkGiven(Session& session, std::vector<std::uint64_t> ids) {
  StartMarks(*session.user->shard, table_.Find(session.id), std::move(ids), nullptr);
}

void OfflineMessages::MarkEnded(const std::shared_ptr<Session>& session) {
  std::vector<std::uint64_t> ids;
  for (const auto& given : session->state.given_offline())
    if (given.seq() <= session->acked_seq) ids.push_back(given.id());
  if (ids.empty()) return;
  // Some may be marked already, or about to be: once more does no harm.
  ++session->EndWritesOf()->open;
  StartMarks(*shards_.Find(addresses_.ShardOf(session->jid.bare())), session, std::move(ids),
             session->end_writes);
}

void OfflineMessages::StartMarks(Shard& shard, const std::shared_ptr<Session>& session,
                                 std::vector<std::uint64_t> ids, Ends ends) {
  User& user = shard.GetUser(session->jid.bare());
  ++user.storing;
  UserDelivery& state = StateOf(user);
  state.marking.insert(state.marking.end(), ids.begin(), ids.end());
  std::string bare = user.bare;
  auto done = [this, weak = std::weak_ptr(shards_.Shared(shard.number)), session, ids,
               ends = std::move(ends)](const StoreWriter::Answer&) {
    const std::shared_ptr<Shard> now = weak.lock();
    if (now && !now->released()) OnMarked(*now, session, ids, ends);
  };
  states_.WriterOf(shard).MarkGiven(std::move(bare), ids, std::move(done));
}

void OfflineMessages::OnMarked(Shard& shard, const std::shared_ptr<Session>& session,
                               const std::vector<std::uint64_t>& ids, const Ends& ends) {
  const std::string bare(session->jid.bare());
  User* user = shard.FindUser(bare);
  if (user == nullptr || !user->delivery) return;
  UserDelivery& state = *user->delivery;
  for (const std::uint64_t id : ids) {
    const auto it = std::find(state.marking.begin(), state.marking.end(), id);
    if (it != state.marking.end()) state.marking.erase(it);
  }
  if (state.receiver) state.marked.insert(state.marked.end(), ids.begin(), ids.end());
  // A record that is finished, and older than the horizon, is never applied again: then the mark has done
  // its work.
  ShardDelivery& of_shard = states_.Of(shard);
  const SteadyTime purge = clock_.Now() + settings_.duplicate_horizon * 2;
  const auto [last, is_first] = of_shard.last_marks.try_emplace(bare);
  last->second.until = purge;
  for (const std::uint64_t id : ids) last->second.newest = std::max(last->second.newest, id);
  if (is_first) of_shard.marks.emplace_back(purge, bare);
  if (!session->ended) {
    auto& given = *session->state.mutable_given_offline();
    given.erase(std::remove_if(given.begin(), given.end(),
                               [&](const session::v1::GivenOffline& entry) {
                                 return std::find(ids.begin(), ids.end(), entry.id()) != ids.end();
                               }),
                given.end());
    if (given.empty()) outbox_.Publish(*session);
  }
  if (ends) ends->Finish();
  FinishUse(shard, bare);
}

// ---- a change of owner ------------------------------------------------------

void OfflineMessages::OnAttached(const std::shared_ptr<Session>& session) {
  auto& given = *session->state.mutable_given_offline();
  // Numbers beyond what arrived are given to other packets now.
  given.erase(
      std::remove_if(given.begin(), given.end(),
                     [&](const session::v1::GivenOffline& entry) { return entry.seq() > session->last_seq; }),
      given.end());
  std::vector<std::uint64_t> acked;
  for (const session::v1::GivenOffline& entry : given) {
    if (entry.seq() <= session->acked_seq) acked.push_back(entry.id());
    // The gateway was given it before it became a row (TakeBack).
    for (UnackedPacket& packet : session->unacked)
      if (packet.seq == entry.seq() && packet.stored_id == 0 && packet.offset == OffsetOf(entry.id()))
        packet.stored_id = entry.id();
  }
  if (!acked.empty()) MarkGiven(*session, std::move(acked));
  Shard& shard = *session->user->shard;
  // Unless LookForWaiting, which may have passed, knows better.
  if (session->available() && session->priority() >= 0) HandOutRows(*session->user);
  if (shard.phase == Shard::Phase::kAcquiring) return;  // Recover comes
  // The shard was read without the session: whatever it says of earlier, something may have been stored.
  if (!CanReceive(*session)) SetGiven(*session, false);
  std::vector<WaitingStore::RowKey> keys;
  for (const UnackedPacket& packet : session->unacked)
    if (packet.delivery == nullptr && packet.stored_id != 0)
      keys.push_back({session->user->bare, packet.stored_id});
  if (!keys.empty()) tasks_.Spawn("offline.load", LoadTask(shards_.Shared(shard.number), std::move(keys)));
}

void OfflineMessages::OnLate(const std::shared_ptr<Session>& session) {
  tasks_.Spawn("offline.take_back", TakeBackTask(shards_.Shared(session->user->shard->number), session));
}

bool OfflineMessages::TakeBack(User& user, WaitingStore::OfflineMessage& row) {
  const std::int64_t offset = OffsetOf(row.id);
  // Finished before this owner read anything: who stored it knew that no session had it.
  if (offset < user.shard->committed) return false;
  for (const auto& session : user.sessions) {
    if (HasTaken(*session, row.id)) return true;
    switch (ClaimOf(*session, offset, row.stanza.to())) {
      case LateClaim::kNone:
        continue;
      case LateClaim::kAcknowledged:
        MarkGiven(*session, {row.id});
        return true;
      case LateClaim::kUnacknowledged:
        break;
    }
    UnackedPacket& packet = *FindEmptyPacket(*session, offset);
    packet.delivery = FromRow(user.bare, row);
    packet.delivery->open_targets = 1;
    packet.stored_id = row.id;
    packet.has_row = true;
    packet.primary = true;
    session->unacked_bytes += packet.delivery->bytes();
    auto& given = *session->state.add_given_offline();
    given.set_seq(packet.seq);
    given.set_id(row.id);
    outbox_.Publish(*session);
    return true;
  }
  return false;
}

Task<void> OfflineMessages::TakeBackTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const std::string bare(session->jid.bare());
  std::uint64_t after =
      static_cast<std::uint64_t>(std::max<std::int64_t>(session->state.start_offset(), -1) + 1);
  runtime::Backoff backoff(kRetries);
  while (!shard->released() && !session->ended) {
    auto rows = co_await store_.LoadOffline(bare, after, kPage);
    if (shard->released() || session->ended) co_return;
    if (!rows.ok()) {
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    for (WaitingStore::OfflineMessage& row : *rows) (void)TakeBack(*session->user, row);
    if (rows->empty() || OffsetOf(rows->back().id) >= session->late_offset) co_return;
    after = rows->back().id;
  }
}

Task<void> OfflineMessages::Recover(std::shared_ptr<Shard> shard) {
  std::vector<WaitingStore::RowKey> keys;
  for (const auto& [bare, user] : shard->users) {
    for (const auto& session : user->sessions) {
      OnAttached(session);
      for (const UnackedPacket& packet : session->unacked)
        if (packet.delivery == nullptr && packet.stored_id != 0) keys.push_back({bare, packet.stored_id});
    }
  }
  for (std::size_t from = 0; from < keys.size() && !shard->released(); from += kKeysAtOnce) {
    const auto begin = keys.begin() + static_cast<std::ptrdiff_t>(from);
    const auto end = keys.size() - from > kKeysAtOnce ? begin + kKeysAtOnce : keys.end();
    std::vector<WaitingStore::RowKey> some(begin, end);
    co_await LoadTask(shard, std::move(some));
  }
}

Task<void> OfflineMessages::LoadTask(std::shared_ptr<Shard> shard, std::vector<WaitingStore::RowKey> keys) {
  runtime::Backoff backoff(kRetries);
  while (!shard->released()) {
    auto rows = co_await store_.LoadRows(keys);
    if (shard->released()) co_return;
    if (!rows.ok()) {
      if (!IsTemporary(rows.status())) {
        telemetry::LogError("offline.load_failed", {{"error", Message(rows.status())}});
        co_return;
      }
      co_await backoff.Wait();
      continue;
    }
    // One that is not there has never been written: its record is read again.
    for (auto& [owner, row] : *rows) {
      User* user = shard->FindUser(owner);
      if (user == nullptr) continue;
      for (const auto& session : user->sessions) {
        for (UnackedPacket& packet : session->unacked) {
          if (packet.delivery != nullptr || packet.stored_id != row.id) continue;
          packet.delivery = FromRow(owner, row);
          packet.delivery->open_targets = 1;
          packet.primary = true;
          packet.has_row = true;
          session->unacked_bytes += packet.delivery->bytes();
        }
      }
    }
    co_return;
  }
}

Task<void> OfflineMessages::LookForWaiting(std::shared_ptr<Shard> shard) {
  std::vector<std::string> users;
  for (const auto& [bare, user] : shard->users) {
    const bool can_have = std::any_of(user->sessions.begin(), user->sessions.end(), [](const auto& session) {
      return session->available() && session->priority() >= 0;
    });
    if (!can_have) continue;
    user->offline_due = user->delivery && !user->delivery->waiting.empty();
    users.push_back(bare);
  }
  runtime::Backoff backoff(kRetries);
  for (std::size_t from = 0; from < users.size() && !shard->released();) {
    const auto begin = users.begin() + static_cast<std::ptrdiff_t>(from);
    std::vector<std::string> some(begin,
                                  users.size() - from > kKeysAtOnce ? begin + kKeysAtOnce : users.end());
    auto owners = co_await store_.OwnersWaiting(some);
    if (!owners.ok() && IsTemporary(owners.status())) {
      co_await backoff.Wait();
      continue;
    }
    if (!owners.ok()) telemetry::LogError("offline.look_failed", {{"error", Message(owners.status())}});
    from += kKeysAtOnce;
    if (shard->released()) co_return;
    for (const std::string& bare : owners.ok() ? *owners : some)
      if (User* user = shard->FindUser(bare)) user->offline_due = true;
  }
}

void OfflineMessages::HandOutWhatIsDue(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    if (user->offline_due) HandOutRows(*user);
}

// ---- time -------------------------------------------------------------------

void OfflineMessages::Sweep(Shard& shard) {
  if (!shard.delivery) return;
  ShardDelivery& state = *shard.delivery;
  const SteadyTime now = clock_.Now();
  const auto window_time = settings_.window_time;
  while (const auto bare = state.overdue.Pop(now)) {
    User* user = shard.FindUser(*bare);
    if (user == nullptr || !user->delivery) continue;
    const std::shared_ptr<UserDelivery> of_user = user->delivery;
    of_user->is_due = false;
    SteadyTime next = SteadyTime::max();
    // What no store keeps waits no longer.
    SendBehind(*user, now - window_time);
    user = shard.FindUser(*bare);
    if (user == nullptr || user->delivery != of_user) continue;
    for (auto& [offset, waiting] : of_user->waiting) {
      if (waiting.is_sent || waiting.is_written || waiting.session) {
        if (waiting.session) next = std::min(next, waiting.since + window_time);
        continue;
      }
      if (waiting.since + window_time <= now) {
        Write(*user, waiting);
      } else {
        next = std::min(next, waiting.since + window_time);
      }
    }
    if (next == SteadyTime::max()) continue;
    of_user->is_due = true;
    state.overdue.Push(next, *bare);
  }
  // The name of a row is the offset of its record plus 1.
  const auto committed = static_cast<std::uint64_t>(std::max<std::int64_t>(shard.last_commit, 0));
  std::vector<std::string> purged;
  while (!state.marks.empty() && state.marks.front().first <= now) {
    std::string bare = std::move(state.marks.front().second);
    state.marks.pop_front();
    const auto last = state.last_marks.find(bare);
    if (last->second.until > now) {
      state.marks.emplace_back(last->second.until, bare);
    } else if (last->second.newest > committed) {
      state.marks.emplace_back(now + settings_.duplicate_horizon, bare);
    } else {
      state.last_marks.erase(last);
    }
    purged.push_back(std::move(bare));
    if (purged.size() == kKeysAtOnce) break;
  }
  if (purged.empty()) return;
  const auto horizon = settings_.duplicate_horizon * 2;
  tasks_.Spawn("offline.purge",
               PurgeTask(std::move(purged), clock_.UnixMillisNow() - horizon.count(), committed));
}

Task<void> OfflineMessages::PurgeTask(std::vector<std::string> owners, std::int64_t before_ms,
                                      std::uint64_t up_to) {
  // A mark that stays behind is removed with the user's next ones.
  (void)co_await store_.PurgeGiven(owners, before_ms, up_to);
}

}  // namespace rookery::session_manager
