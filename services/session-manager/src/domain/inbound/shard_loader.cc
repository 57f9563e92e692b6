#include "domain/inbound/shard_loader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "domain/delivery/delivery_states.h"
#include "domain/delivery/offline_recovery.h"
#include "domain/delivery/packet_recovery.h"
#include "domain/delivery/store_writer.h"
#include "domain/features/feature_hooks.h"
#include "domain/inbound/waiting_actions.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/sessions/session_parker.h"
#include "domain/settings.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr std::size_t kFewestRows = 1;

}  // namespace

Task<absl::Status> ShardLoader::Load(std::shared_ptr<Shard> shard) {
  // Without its gateway whoever is online is taken for absent, and told once more later what the client has
  // had.
  const bool have_all_attached = co_await gateways_.AwaitAllAttached(shard, settings_.attach_timeout);
  if (!have_all_attached) telemetry::LogWarn("shard.gateways_missing", {{"shard", shard->number}});
  if (waiting_.HasAttachments(*shard)) co_await directory_.LookForLeft(shard);
  ROOKERY_CO_RETURN_IF_ERROR(co_await LoadWaiting(shard));
  co_await features_.Load(shard);
  co_await offline_.Recover(shard);
  co_await offline_.LookForWaiting(shard);
  // Nothing is waited for between this and OnReading: who comes later has its rows loaded at once.
  co_await offline_.LoadRowsDue(shard);
  co_return absl::OkStatus();
}

Task<absl::Status> ShardLoader::LoadWaiting(std::shared_ptr<Shard> shard) {
  StoreWriter& writer = states_.WriterOf(*shard);
  WaitingStore::Place after;
  WaitingStore::PageLimit limit;
  runtime::Backoff backoff(kBackendRetries);
  while (true) {
    absl::Status claimed = co_await writer.Claim();
    if (claimed.ok()) break;
    if (absl::IsFailedPrecondition(claimed)) {
      const absl::StatusOr<std::int64_t> newer = co_await store_.ClaimedBy(shard->number);
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
    auto page = co_await store_.LoadPage(shard->number, after, limit);
    if (!page.ok()) {
      telemetry::LogWarn("shard.load_failed", {{"shard", shard->number}, {"error", Message(page.status())}});
      // The store may be too slow for so much at once.
      if (absl::IsDeadlineExceeded(page.status())) limit.rows = std::max(limit.rows / 2, kFewestRows);
      co_await backoff.Wait();
      continue;
    }
    backoff.Reset();
    if (!page->next) {
      packets_.Finish(*shard);
      co_return absl::OkStatus();
    }
    after = *page->next;
    Restore(*shard, *std::move(page));
    // Packets of sessions that nobody has brought go elsewhere, most of them into the store.
    co_await writer.AwaitRoom();
  }
}

void ShardLoader::Restore(Shard& shard, WaitingStore::Page page) {
  // A session comes before its packets, here and in an earlier page.
  for (WaitingStore::ParkedSession& parked : page.sessions) parker_.Restore(shard, std::move(parked));
  for (std::size_t i = 0; i < page.packets.size();) {
    const WaitingStore::SessionKey key = page.packets[i].session;
    std::vector<WaitingStore::SessionPacket> packets;
    for (; i < page.packets.size() && page.packets[i].session == key; ++i)
      packets.push_back(std::move(page.packets[i].packet));
    packets_.Restore(shard, key, std::move(packets));
  }
}

}  // namespace rookery::session_manager
