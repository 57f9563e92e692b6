#include "domain/delivery/offline_recovery.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/outbound/outbox.h"
#include "domain/state/shards.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr WaitingStore::PageLimit kPage{64, 512 * 1024};
constexpr std::size_t kKeysAtOnce = 500;
constexpr std::size_t kBytesAtOnce = 2 * 1024 * 1024;
constexpr std::size_t kFewestBytes = 64 * 1024;

}  // namespace

void OfflineRecovery::OnAttached(const std::shared_ptr<Session>& session) {
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
  if (!acked.empty()) marks_.MarkGiven(*session, std::move(acked));
  Shard& shard = *session->user->shard;
  if (session->state.has_late_offset() && !std::exchange(session->is_to_take_back, true)) {
    ShardDelivery& state = states_.Of(shard);
    state.late.push_back(session);
    if (!std::exchange(state.is_taking_back, true))
      shard.Spawn("offline.take_back", TakeBackAll(shards_.Shared(shard.number)));
  }
  // Unless LookForWaiting, which may have passed, knows better.
  if (session->available() && session->priority() >= 0) hand_outs_.HandOutRows(*session->user);
  std::vector<WaitingStore::RowKey> keys;
  for (const UnackedPacket& packet : session->unacked)
    if (packet.delivery == nullptr && packet.stored_id != 0)
      keys.push_back({session->user->bare, packet.stored_id});
  if (shard.phase == Shard::Phase::kAcquiring) {
    auto& due = states_.Of(shard).rows_due;  // LoadRowsDue comes
    std::move(keys.begin(), keys.end(), std::back_inserter(due));
    return;
  }
  // The shard was read without the session: whatever it says of earlier, something may have been stored.
  if (!CanReceive(*session)) SetGiven(outbox_, *session, false);
  if (!keys.empty()) shard.Spawn("offline.load", LoadTask(shards_.Shared(shard.number), std::move(keys)));
}

Task<void> OfflineRecovery::TakeBackAll(std::shared_ptr<Shard> shard) {
  auto& late = shard->delivery->late;
  runtime::Backoff backoff(kBackendRetries);
  while (!late.empty()) {
    std::vector<std::string> users;
    for (std::size_t i = 0; i < std::min(late.size(), kKeysAtOnce); ++i)
      users.emplace_back(late[i]->jid.bare());
    auto owners = co_await store_.OwnersWaiting(users);
    if (!owners.ok()) {
      co_await backoff.Wait();
      continue;
    }
    const absl::flat_hash_set<std::string> waiting(owners->begin(), owners->end());
    bool is_all = true;
    for (const std::string& user : users) {
      std::shared_ptr<Session> session = std::move(late.front());
      late.pop_front();
      const bool is_done = !waiting.contains(user) || co_await TakeBackFrom(session);
      if (session->ended()) continue;
      // Messages that are just being marked, or were read without the session and are on their way into the
      // store, count too.
      if (is_done && session->user->storing == 0) {
        EndLate(*session);
      } else {
        late.push_back(std::move(session));
        is_all = false;
      }
    }
    if (is_all) {
      backoff.Reset();
    } else {
      co_await backoff.Wait();
    }
  }
  shard->delivery->is_taking_back = false;
}

Task<bool> OfflineRecovery::TakeBackFrom(std::shared_ptr<Session> session) {
  const std::string bare(session->jid.bare());
  std::uint64_t after =
      static_cast<std::uint64_t>(std::max<std::int64_t>(session->state.start_offset(), -1) + 1);
  while (!session->ended()) {
    auto rows = co_await store_.LoadOffline(bare, after, kPage);
    if (session->ended() || !rows.ok()) break;
    for (WaitingStore::OfflineMessage& row : *rows) (void)TakeBack(marks_, outbox_, *session->user, row);
    if (rows->empty() || OffsetOf(rows->back().id) >= session->late_offset) co_return true;
    after = rows->back().id;
  }
  co_return false;
}

void OfflineRecovery::EndLate(Session& session) {
  session.is_to_take_back = false;
  if (!session.state.has_late_offset()) return;
  session.state.clear_late_offset();
  outbox_.Publish(session);
}

Task<void> OfflineRecovery::Recover(std::shared_ptr<Shard> shard) {
  states_.Of(*shard).rows_due.clear();
  for (const auto& [bare, user] : shard->users)
    for (const auto& session : user->sessions) OnAttached(session);
  co_await LoadRowsDue(shard);
}

Task<void> OfflineRecovery::LoadRowsDue(std::shared_ptr<Shard> shard) {
  std::vector<WaitingStore::RowKey>& due = states_.Of(*shard).rows_due;
  while (!due.empty()) {
    auto keys = std::exchange(due, {});
    co_await LoadTask(shard, std::move(keys));
  }
}

Task<void> OfflineRecovery::LoadTask(std::shared_ptr<Shard> shard, std::vector<WaitingStore::RowKey> keys) {
  runtime::Backoff backoff(kBackendRetries);
  std::size_t at_once = kKeysAtOnce, bytes = kBytesAtOnce;
  for (std::size_t from = 0; from < keys.size();) {
    const auto begin = keys.begin() + static_cast<std::ptrdiff_t>(from);
    const std::vector<WaitingStore::RowKey> some(
        begin, begin + static_cast<std::ptrdiff_t>(std::min(at_once, keys.size() - from)));
    auto found = co_await store_.LoadRows(some, bytes);
    if (found.ok()) {
      backoff.Reset();
      from += found->answered;
      at_once = std::min(at_once * 2, kKeysAtOnce);
      bytes = std::min(bytes * 2, kBytesAtOnce);
      for (auto& [owner, row] : found->rows) Fill(*shard, owner, row);
      continue;
    }
    telemetry::LogWarn("offline.load_failed", {{"keys", some.size()}, {"error", Message(found.status())}});
    // So many may be too much the next time, too; and if one row cannot be read, the others have to be found.
    at_once = std::max<std::size_t>(some.size() / 2, 1);
    bytes = std::max(bytes / 2, kFewestBytes);
    if (IsTemporary(found.status())) {
      co_await backoff.Wait();
    } else if (some.size() == 1) {
      telemetry::LogError("offline.unreadable",
                          {{"owner", telemetry::HashedJid(some[0].owner)}, {"id", some[0].id}});
      ++from;
    }
  }
}

void OfflineRecovery::Fill(const Shard& shard, const std::string& owner, WaitingStore::OfflineMessage& row) {
  // One that is not there has never been written: its record is read again.
  User* user = shard.FindUser(owner);
  if (user == nullptr) return;
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

Task<void> OfflineRecovery::LookForWaiting(std::shared_ptr<Shard> shard) {
  std::vector<std::string> users;
  for (const auto& [bare, user] : shard->users) {
    const bool can_have = std::any_of(user->sessions.begin(), user->sessions.end(), [](const auto& session) {
      return session->available() && session->priority() >= 0;
    });
    if (!can_have) continue;
    user->offline_due = user->delivery && !user->delivery->waiting.empty();
    users.push_back(bare);
  }
  runtime::Backoff backoff(kBackendRetries);
  for (std::size_t from = 0; from < users.size();) {
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
    for (const std::string& bare : owners.ok() ? *owners : some)
      if (User* user = shard->FindUser(bare)) user->offline_due = true;
  }
}

}  // namespace rookery::session_manager
