#include "domain/offline_messages.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <limits>

#include "domain/deliverer.h"
#include "domain/late_sessions.h"
#include "domain/session_closer.h"
#include "domain/session_keeper.h"
#include "domain/stamps.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr std::chrono::milliseconds kFirstRetry{100};
constexpr std::chrono::milliseconds kLastRetry{2'000};

/// Messages are read so many at a time, given while less than a burst is unacknowledged, and
/// left for later when the client takes none for so long.
constexpr std::int64_t kPage = 32;
constexpr std::size_t kBurst = 256;
constexpr std::size_t kBurstBytes = 256 * 1024;
constexpr std::chrono::seconds kPatience{10};
/// A store that is away must not hold up the user's other messages for longer than this.
constexpr std::chrono::seconds kStorePatience{3};
constexpr int kLoadAttempts = 5;
constexpr std::chrono::seconds kGiveAgain{5};
constexpr std::size_t kKeysAtOnce = 500;
constexpr int kMaxPassedOver = 16;
constexpr std::int64_t kNoQuota = std::numeric_limits<std::int32_t>::max();

bool IsTemporary(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsAborted(status);
}

std::int64_t OffsetOf(std::uint64_t row_id) { return static_cast<std::int64_t>(row_id) - 1; }

bool HasRow(const Session& session, std::uint64_t id) {
  const auto& given = session.state.given_offline();
  return std::any_of(given.begin(), given.end(), [&](const auto& entry) { return entry.id() == id; }) ||
         std::any_of(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& packet) {
           return packet.stored_id == id || (packet.primary && packet.offset == OffsetOf(id));
         });
}

}  // namespace

bool IsPassedOver(const Session& session, std::int64_t offset) {
  const auto& ranges = session.state.passed_over();
  return std::any_of(ranges.begin(), ranges.end(), [&](const session::v1::PassedOver& range) {
    return range.first() <= offset && offset <= range.last();
  });
}

// ---- into the store ---------------------------------------------------------

void OfflineMessages::PassOver(User& user, std::int64_t offset) {
  // A later owner that reads the record again must not take it for given to a session just
  // because newer ones were; and the session, should it become available, has to ask the store.
  for (const auto& session : user.sessions) {
    auto& state = session->state;
    if (offset <= state.start_offset() || IsPassedOver(*session, offset)) continue;
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
    core_.sessions().PublishState(*session);
  }
}

void OfflineMessages::Store(User& user, std::shared_ptr<Delivery> message) {
  StartStore(user, std::move(message), core_.settings().max_offline_messages, nullptr);
}

void OfflineMessages::StoreEnded(User& user, Session& ended, std::shared_ptr<Delivery> message) {
  if (!ended.end_writes) ended.end_writes = std::make_shared<EndWrites>();
  ++ended.end_writes->open;
  StartStore(user, std::move(message), user.HasAvailable() ? kNoQuota : core_.settings().max_offline_messages,
             ended.end_writes);
}

void OfflineMessages::StartStore(User& user, std::shared_ptr<Delivery> message, std::int64_t quota,
                                 Writes writes) {
  PassOver(user, message->offset);
  ++user.storing;
  user.shard->window.Hold(message->offset);
  core_.tasks().Spawn("offline.store", StoreTask(core_.SharedShard(user.shard->number), user.bare,
                                                 std::move(message), quota, std::move(writes)));
}

void OfflineMessages::AfterWrites(const Session& session, std::function<void()> then) {
  if (session.end_writes && session.end_writes->open > 0) {
    session.end_writes->then.push_back(std::move(then));
  } else {
    then();
  }
}

Task<void> OfflineMessages::StoreTask(std::shared_ptr<Shard> shard, std::string bare,
                                      std::shared_ptr<Delivery> message, std::int64_t quota, Writes writes) {
  // Never within the call that stores: its caller still uses the user, who may be forgotten below.
  co_await asio::post(core_.executor(), asio::use_awaitable);
  std::chrono::milliseconds wait = kFirstRetry;
  while (!shard->released()) {
    WaitingStore::OfflineMessage row;
    row.id = static_cast<std::uint64_t>(message->offset) + 1;
    row.received_at_ms = message->received_at_ms;
    row.stanza = message->stanza;
    auto stored = co_await core_.ports().waiting.StoreOffline(bare, std::move(row), quota);
    if (shard->released()) co_return;
    if (!stored.ok() && IsTemporary(stored.status())) {
      co_await runtime::Sleep(wait);
      wait = std::min(wait * 2, kLastRetry);
      continue;
    }
    if (!stored.ok()) {
      telemetry::LogError("offline.store_failed", {{"error", Message(stored.status())}});
      core_.deliverer().Bounce(*shard, *message, xmpp::ErrorCondition::kInternalServerError);
    } else {
      switch (*stored) {
        case WaitingStore::Stored::kStored:
          core_.metrics().stored_offline.Increment();
          break;
        case WaitingStore::Stored::kAlreadyThere:
          break;
        case WaitingStore::Stored::kNoSuchUser:
          core_.deliverer().Bounce(*shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
          break;
        case WaitingStore::Stored::kQuotaReached:
          core_.deliverer().Bounce(*shard, *message, xmpp::ErrorCondition::kResourceConstraint,
                                   "the recipient's offline storage is full");
          break;
      }
    }
    break;
  }
  if (shard->released()) co_return;
  shard->window.Release(message->offset);
  FinishWrite(*shard, bare, writes);
  core_.closer().Check(*shard);
}

void OfflineMessages::FinishWrite(Shard& shard, const std::string& bare, const Writes& writes) {
  if (writes && --writes->open == 0)
    for (const std::function<void()>& then : std::exchange(writes->then, {})) then();
  User* user = core_.FindUser(shard, bare);
  if (user == nullptr) return;
  --user->storing;
  if (user->storing == 0 && user->on_stored) std::exchange(user->on_stored, nullptr)(true);
  core_.MaybeForget(*user);
}

// ---- out of the store -------------------------------------------------------

void OfflineMessages::SetGiven(Session& session, bool given) {
  if (session.ended || session.state.offline_given() == given) return;
  session.state.set_offline_given(given);
  core_.sessions().PublishState(session);
}

void OfflineMessages::GiveSoon(User& user) {
  std::shared_ptr<Session> best;
  for (const auto& session : user.sessions) {
    if (!session->available() || session->priority() < 0 || session->detached) continue;
    if (!best || session->priority() > best->priority()) best = session;
  }
  if (!best) return;  // what is due stays due
  user.offline_due = false;
  // Ahead of the records that wait: they came later.
  core_.TakeNextTurn(user, [this, shard = core_.SharedShard(user.shard->number), best]() -> Task<void> {
    return Give(shard, best);
  });
}

std::shared_ptr<Delivery> OfflineMessages::MakeDelivery(std::string_view bare,
                                                        WaitingStore::OfflineMessage& row) const {
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&row.stanza);
  AddDelay(delivery->stanza, xmpp::DomainOf(bare), row.received_at_ms);
  delivery->offset = OffsetOf(row.id);
  delivery->stored_id = row.id;
  delivery->received_at_ms = row.received_at_ms;
  return delivery;
}

std::size_t OfflineMessages::GiveSome(Session& session, std::vector<WaitingStore::OfflineMessage>& rows,
                                      std::size_t from) {
  std::size_t until = from;
  std::size_t bytes = session.unacked_bytes;
  do {
    bytes += rows[until].stanza.payload().size() + 200;
    ++until;
  } while (until < rows.size() && bytes <= kBurstBytes && session.unacked.size() + (until - from) <= kBurst);
  // First what the next owner needs to tell an acknowledged row from one that never arrived.
  std::uint64_t seq = session.last_seq;
  for (std::size_t i = from; i < until; ++i) {
    auto& given = *session.state.add_given_offline();
    given.set_seq(++seq);
    given.set_id(rows[i].id);
  }
  core_.sessions().PublishState(session);
  for (std::size_t i = from; i < until; ++i)
    core_.deliverer().Give(session, MakeDelivery(session.user->bare, rows[i]), /*primary=*/true);
  return until - from;
}

Task<void> OfflineMessages::Give(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  User* user = session->ended || shard->released() ? nullptr : session->user;
  if (user == nullptr) co_return;
  const std::string bare = user->bare;
  user->offline_due = false;
  if (user->storing > 0) {
    runtime::Promise<bool> stored(core_.executor());
    user->on_stored = [stored](bool done) mutable { stored.Set(done); };
    user->stored_limit = core_.clock().Now() + kStorePatience;
    const bool is_stored = co_await stored.Get();
    if (shard->released() || session->ended) co_return;
    if (!is_stored) {
      SetGiven(*session, false);
      user->offline_due = true;
      co_return;
    }
  }
  // Page by page, and no faster than the client takes them: a heap of messages must not look
  // like a slow reader.
  std::uint64_t after = 0;
  int failures = 0;
  std::chrono::milliseconds wait = kFirstRetry;
  while (failures < kLoadAttempts) {
    auto rows = co_await core_.ports().waiting.LoadOffline(bare, after, kPage);
    if (shard->released() || session->ended) co_return;
    if (!rows.ok()) {
      ++failures;
      co_await runtime::Sleep(wait);
      if (shard->released() || session->ended) co_return;
      wait = std::min(wait * 2, kLastRetry);
      continue;
    }
    if (rows->empty()) {
      SetGiven(*session, true);
      co_return;
    }
    after = rows->back().id;
    // What a session has stays with it, acknowledged (the mark is on its way) or not.
    std::erase_if(*rows, [&](WaitingStore::OfflineMessage& row) {
      return std::any_of(user->sessions.begin(), user->sessions.end(),
                         [&](const auto& holder) { return HasRow(*holder, row.id); }) ||
             TakeBack(*user, row);
    });
    if (rows->empty()) continue;
    session->state.set_offline_given(false);  // published with the first of them
    for (std::size_t next = 0; next < rows->size();) {
      const bool has_room = co_await AwaitRoom(shard, session);
      if (shard->released() || session->ended) co_return;
      if (!has_room) {
        core_.sessions().PublishState(*session);
        user->offline_due = true;
        user->offline_retry = core_.clock().Now() + kGiveAgain;
        co_return;
      }
      next += GiveSome(*session, *rows, next);
    }
  }
  // The store stays away: Sweep asks again.
  SetGiven(*session, false);
  user->offline_due = true;
  user->offline_retry = core_.clock().Now() + kGiveAgain;
}

Task<bool> OfflineMessages::AwaitRoom(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  SteadyTime limit = core_.clock().Now() + kPatience;
  std::uint64_t acked = session->acked_seq;
  while (session->unacked_bytes > kBurstBytes || session->unacked.size() > kBurst) {
    co_await runtime::Sleep(std::chrono::milliseconds(5));
    // A client that is away, or takes nothing, leaves the rest in the store.
    if (shard->released() || session->ended || session->detached) co_return false;
    if (session->acked_seq != acked) {
      acked = session->acked_seq;
      limit = core_.clock().Now() + kPatience;
    } else if (core_.clock().Now() > limit) {
      co_return false;
    }
  }
  co_return true;
}

// ---- marks ------------------------------------------------------------------

void OfflineMessages::MarkGiven(Session& session, std::vector<std::uint64_t> ids) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(session.user->shard->number);
  ++session.user->storing;
  core_.tasks().Spawn("offline.given",
                      MarkTask(shard, core_.FindSession(session.id), std::move(ids), nullptr));
}

void OfflineMessages::MarkEnded(const std::shared_ptr<Session>& session) {
  std::vector<std::uint64_t> ids;
  for (const auto& given : session->state.given_offline())
    if (given.seq() <= session->acked_seq) ids.push_back(given.id());
  if (ids.empty()) return;
  // Some may be marked already, or about to be: once more does no harm.
  if (!session->end_writes) session->end_writes = std::make_shared<EndWrites>();
  ++session->end_writes->open;
  Shard& shard = *core_.FindShard(core_.ShardNumberOf(session->jid.bare()));
  ++core_.GetUser(shard, session->jid.bare()).storing;
  core_.tasks().Spawn("offline.given", MarkTask(core_.SharedShard(shard.number), session, std::move(ids),
                                                session->end_writes));
}

Task<void> OfflineMessages::MarkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                     std::vector<std::uint64_t> ids, Writes writes) {
  const std::string bare(session->jid.bare());
  std::chrono::milliseconds wait = kFirstRetry;
  while (!shard->released()) {
    const absl::Status marked = co_await core_.ports().waiting.MarkOfflineGiven(bare, ids);
    if (shard->released()) co_return;
    if (marked.ok()) break;
    if (!IsTemporary(marked)) {
      telemetry::LogError("offline.mark_failed", {{"error", Message(marked)}});
      break;
    }
    co_await runtime::Sleep(wait);
    wait = std::min(wait * 2, kLastRetry);
  }
  if (shard->released()) co_return;
  // A record is never applied again after the horizon: then the mark has done its work.
  const SteadyTime purge = core_.clock().Now() + core_.settings().duplicate_horizon * 2;
  if (shard->last_marks.insert_or_assign(bare, purge).second) shard->marks.emplace_back(purge, bare);
  if (!session->ended) {
    auto& given = *session->state.mutable_given_offline();
    given.erase(std::remove_if(given.begin(), given.end(),
                               [&](const session::v1::GivenOffline& entry) {
                                 return std::find(ids.begin(), ids.end(), entry.id()) != ids.end();
                               }),
                given.end());
    if (given.empty()) core_.sessions().PublishState(*session);
  }
  FinishWrite(*shard, bare, writes);
}

// ---- a change of owner ------------------------------------------------------

void OfflineMessages::OnAttached(const std::shared_ptr<Session>& session) {
  session->last_primary = session->last_offset;  // we cannot know better
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
  if (session->available() && session->priority() >= 0) session->user->offline_due = true;
  if (shard.phase == Shard::Phase::kAcquiring) return;  // Recover comes
  std::vector<WaitingStore::RowKey> keys;
  for (const UnackedPacket& packet : session->unacked)
    if (packet.delivery == nullptr && packet.stored_id != 0)
      keys.push_back({session->user->bare, packet.stored_id});
  if (!keys.empty())
    core_.tasks().Spawn("offline.load", LoadTask(core_.SharedShard(shard.number), std::move(keys)));
}

void OfflineMessages::OnLate(const std::shared_ptr<Session>& session) {
  core_.tasks().Spawn("offline.take_back",
                      TakeBackTask(core_.SharedShard(session->user->shard->number), session));
}

bool OfflineMessages::TakeBack(User& user, WaitingStore::OfflineMessage& row) {
  const std::int64_t offset = OffsetOf(row.id);
  for (const auto& session : user.sessions) {
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
    packet.delivery = MakeDelivery(user.bare, row);
    packet.delivery->open_targets = 1;
    packet.stored_id = row.id;
    packet.primary = true;
    session->unacked_bytes += packet.delivery->stanza.payload().size() + 200;
    auto& given = *session->state.add_given_offline();
    given.set_seq(packet.seq);
    given.set_id(row.id);
    core_.sessions().PublishState(*session);
    return true;
  }
  return false;
}

Task<void> OfflineMessages::TakeBackTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const std::string bare(session->jid.bare());
  std::uint64_t after =
      static_cast<std::uint64_t>(std::max<std::int64_t>(session->state.start_offset(), -1) + 1);
  runtime::Backoff backoff({kFirstRetry, kLastRetry, 0.5});
  while (!shard->released() && !session->ended) {
    auto rows = co_await core_.ports().waiting.LoadOffline(bare, after, kPage);
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
  std::chrono::milliseconds wait = kFirstRetry;
  while (!shard->released()) {
    auto rows = co_await core_.ports().waiting.LoadRows(keys);
    if (shard->released()) co_return;
    if (!rows.ok()) {
      if (!IsTemporary(rows.status())) {
        telemetry::LogError("offline.load_failed", {{"error", Message(rows.status())}});
        co_return;
      }
      co_await runtime::Sleep(wait);
      wait = std::min(wait * 2, kLastRetry);
      continue;
    }
    for (auto& [owner, row] : *rows) {
      User* user = core_.FindUser(*shard, owner);
      if (user == nullptr) continue;
      for (const auto& session : user->sessions) {
        for (UnackedPacket& packet : session->unacked) {
          if (packet.delivery != nullptr || packet.stored_id != row.id) continue;
          packet.delivery = MakeDelivery(owner, row);
          packet.delivery->open_targets = 1;
          packet.primary = true;
          session->unacked_bytes += packet.delivery->stanza.payload().size() + 200;
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
    user->offline_due = false;
    users.push_back(bare);
  }
  std::chrono::milliseconds wait = kFirstRetry;
  for (std::size_t from = 0; from < users.size() && !shard->released();) {
    const auto begin = users.begin() + static_cast<std::ptrdiff_t>(from);
    std::vector<std::string> some(begin,
                                  users.size() - from > kKeysAtOnce ? begin + kKeysAtOnce : users.end());
    auto owners = co_await core_.ports().waiting.OwnersWaiting(some);
    if (!owners.ok() && IsTemporary(owners.status())) {
      co_await runtime::Sleep(wait);
      wait = std::min(wait * 2, kLastRetry);
      continue;
    }
    if (!owners.ok()) telemetry::LogError("offline.look_failed", {{"error", Message(owners.status())}});
    from += kKeysAtOnce;
    if (shard->released()) co_return;
    for (const std::string& bare : owners.ok() ? *owners : some)
      if (User* user = core_.FindUser(*shard, bare)) user->offline_due = true;
  }
}

void OfflineMessages::GiveWhatIsDue(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    if (user->offline_due) GiveSoon(*user);
}

// ---- time -------------------------------------------------------------------

void OfflineMessages::Sweep(Shard& shard) {
  const SteadyTime now = core_.clock().Now();
  if (shard.live()) {
    for (const auto& [bare, user] : shard.users) {
      if (user->on_stored && now > user->stored_limit) std::exchange(user->on_stored, nullptr)(false);
      if (user->offline_due && !user->busy && user->storing == 0 && now >= user->offline_retry)
        GiveSoon(*user);
    }
  }
  const auto horizon = core_.settings().duplicate_horizon * 2;
  while (!shard.marks.empty() && shard.marks.front().first <= now) {
    const std::string bare = std::move(shard.marks.front().second);
    shard.marks.pop_front();
    core_.tasks().Spawn("offline.purge", PurgeTask(bare, core_.clock().UnixMillisNow() - horizon.count()));
    const auto last = shard.last_marks.find(bare);
    if (last->second > now) {
      shard.marks.emplace_back(last->second, bare);
    } else {
      shard.last_marks.erase(last);
    }
  }
}

Task<void> OfflineMessages::PurgeTask(std::string bare, std::int64_t before_ms) {
  // A mark that stays behind is removed with the user's next ones.
  (void)co_await core_.ports().waiting.PurgeOfflineGiven(std::move(bare), before_ms);
}

}  // namespace rookery::session_manager
