#include "domain/inbound/shard_loader.h"

#include <algorithm>

#include "domain/delivery/packet_recovery.h"
#include "domain/delivery/store_writer.h"
#include "domain/sessions/session_parker.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr BackoffOptions kRetries{std::chrono::milliseconds(250), std::chrono::milliseconds(5'000), 0.5};
constexpr std::size_t kFewestRows = 1;

void Restore(SessionParker& sessions, PacketRecovery& recovery, Shard& shard, WaitingStore::Page page) {
  // A session comes before its packets, here and in an earlier page.
  for (WaitingStore::ParkedSession& parked : page.sessions) sessions.Restore(shard, std::move(parked));
  for (std::size_t i = 0; i < page.packets.size();) {
    const WaitingStore::SessionKey key = page.packets[i].session;
    std::vector<WaitingStore::SessionPacket> packets;
    for (; i < page.packets.size() && page.packets[i].session == key; ++i)
      packets.push_back(std::move(page.packets[i].packet));
    recovery.Restore(shard, key, std::move(packets));
  }
}

}  // namespace

Task<absl::Status> LoadWaiting(WaitingStore& store, StoreWriter& writer, SessionParker& sessions,
                               PacketRecovery& packets, std::shared_ptr<Shard> shard) {
  WaitingStore::Place after;
  WaitingStore::PageLimit limit;
  runtime::Backoff backoff(kRetries);
  while (true) {
    absl::Status claimed = co_await writer.Claim();
    if (claimed.ok()) break;
    if (absl::IsFailedPrecondition(claimed)) {
      const absl::StatusOr<std::int64_t> newer = co_await store.ClaimedBy(shard->number);
      if (newer.ok()) {
        shard->stored_epoch = *newer;
        co_return claimed;
      }
      claimed = newer.status();
    }
    telemetry::LogWarn("shard.load_failed", {{"shard", shard->number}, {"error", Message(claimed)}});
    co_await backoff.Wait();
  }
  backoff.Reset();
  while (true) {
    auto page = co_await store.LoadPage(shard->number, after, limit);
    if (!page.ok()) {
      telemetry::LogWarn("shard.load_failed", {{"shard", shard->number}, {"error", Message(page.status())}});
      // The store may be too slow for so much at once.
      if (absl::IsDeadlineExceeded(page.status())) limit.rows = std::max(limit.rows / 2, kFewestRows);
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    if (!page->next) {
      packets.Finish(*shard);
      co_return absl::OkStatus();
    }
    after = *page->next;
    Restore(sessions, packets, *shard, *std::move(page));
    // Packets of sessions that nobody has brought go elsewhere, most of them into the store.
    co_await writer.AwaitRoom();
  }
}

}  // namespace rookery::session_manager
