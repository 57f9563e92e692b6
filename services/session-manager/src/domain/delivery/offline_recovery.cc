#include "domain/delivery/offline_recovery.h"

#include <algorithm>
#include <utility>

#include "domain/delivery/hand_outs.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/records/shards.h"
#include "domain/sessions/outbox.h"
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
  // Unless LookForWaiting, which may have passed, knows better.
  if (session->available() && session->priority() >= 0) hand_outs_.HandOutRows(*session->user);
  if (shard.phase == Shard::Phase::kAcquiring) return;  // Recover comes
  // The shard was read without the session: whatever it says of earlier, something may have been stored.
  if (!CanReceive(*session)) SetGiven(outbox_, *session, false);
  std::vector<WaitingStore::RowKey> keys;
  for (const UnackedPacket& packet : session->unacked)
    if (packet.delivery == nullptr && packet.stored_id != 0)
      keys.push_back({session->user->bare, packet.stored_id});
  if (!keys.empty()) shard.Spawn("offline.load", LoadTask(shards_.Shared(shard.number), std::move(keys)));
}

void OfflineRecovery::OnLate(const std::shared_ptr<Session>& session) {
  Shard& shard = *session->user->shard;
  shard.Spawn("offline.take_back", TakeBackTask(session));
}

Task<void> OfflineRecovery::TakeBackTask(std::shared_ptr<Session> session) {
  const std::string bare(session->jid.bare());
  std::uint64_t after =
      static_cast<std::uint64_t>(std::max<std::int64_t>(session->state.start_offset(), -1) + 1);
  runtime::Backoff backoff(kBackendRetries);
  while (!session->ended()) {
    auto rows = co_await store_.LoadOffline(bare, after, kPage);
    if (session->ended()) co_return;
    if (!rows.ok()) {
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    for (WaitingStore::OfflineMessage& row : *rows) (void)TakeBack(marks_, outbox_, *session->user, row);
    if (rows->empty() || OffsetOf(rows->back().id) >= session->late_offset) co_return;
    after = rows->back().id;
  }
}

Task<void> OfflineRecovery::Recover(std::shared_ptr<Shard> shard) {
  std::vector<WaitingStore::RowKey> keys;
  for (const auto& [bare, user] : shard->users) {
    for (const auto& session : user->sessions) {
      OnAttached(session);
      for (const UnackedPacket& packet : session->unacked)
        if (packet.delivery == nullptr && packet.stored_id != 0) keys.push_back({bare, packet.stored_id});
    }
  }
  co_await LoadTask(shard, std::move(keys));
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
    // The same may be too much once more; and of what cannot be read, the rest has to be found.
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
