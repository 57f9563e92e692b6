#include "domain/inbound/user_shards.h"

#include "domain/delivery/delivery_steps.h"
#include "domain/features/feature_hooks.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/inbound/gateway_actions.h"
#include "domain/inbound/record_processor.h"
#include "domain/inbound/shard_loader.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/due_sessions.h"
#include "domain/sessions/live_sessions.h"
#include "domain/state/shards.h"
#include "ports/waiting_store.h"

namespace rookery::session_manager {

namespace {

Shard& AsUsers(sharding::Shard& shard) { return static_cast<Shard&>(shard); }
std::shared_ptr<Shard> AsUsers(std::shared_ptr<sharding::Shard> shard) {
  return std::static_pointer_cast<Shard>(std::move(shard));
}

}  // namespace

std::shared_ptr<sharding::Shard> UserShards::MakeShard(std::uint32_t number,
                                                       std::chrono::milliseconds horizon) {
  return std::make_shared<Shard>(number, horizon);
}

// ---- records ------------------------------------------------------------------

std::unique_ptr<google::protobuf::MessageLite> UserShards::MakeFence(const events::v1::Fence& fence) {
  auto record = std::make_unique<events::v1::UserRecord>();
  *record->mutable_fence() = fence;
  return record;
}

sharding::ShardService::Parsed UserShards::Parse(std::string_view value) {
  auto pending = std::make_shared<PendingRecord>();
  events::v1::UserRecord& record = pending->record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) return {};
  Parsed parsed;
  // One that came behind a later fence counts for nobody (README.md, O4). It must not be remembered either:
  // the stanza, when it is sent again, has the same count and may go through the log, too.
  if (!ClientStanzaProcessor::CameTooLate(shards_, record)) parsed.origin = &record.origin();
  if (record.has_fence()) parsed.fence = &record.fence();
  parsed.record = std::move(pending);
  return parsed;
}

void UserShards::Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) {
  records_.OnRecord(AsUsers(shard), std::static_pointer_cast<PendingRecord>(std::move(record)));
}

void UserShards::OnFinishedRecord(sharding::Shard& shard, sharding::Record& record) {
  records_.OnFinishedRecord(AsUsers(shard), static_cast<PendingRecord&>(record));
}

void UserShards::OnGivenUp(sharding::Shard& shard, sharding::Record& record) {
  records_.OnGivenUp(AsUsers(shard), static_cast<PendingRecord&>(record));
}

void UserShards::OnNotApplied(sharding::Shard& shard, sharding::Record& record) {
  records_.OnNotApplied(AsUsers(shard), static_cast<PendingRecord&>(record));
}

// ---- a new owner ----------------------------------------------------------------

void UserShards::OnFenced(sharding::Shard& shard) {
  for (const auto& [instance, gateway] : gateways_.all()) AddShardOwned(*gateway, AsUsers(shard));
}

Task<absl::Status> UserShards::Load(std::shared_ptr<sharding::Shard> shard) {
  return loader_.Load(AsUsers(std::move(shard)));
}

void UserShards::OnReading(sharding::Shard& shard, bool was_cut) {
  delivery_.OnReading(AsUsers(shard), was_cut);
}

bool UserShards::is_settled(sharding::Shard& shard) const { return features_.AreSettled(AsUsers(shard)); }

Task<void> UserShards::Settle(std::shared_ptr<sharding::Shard> shard) {
  // Sessions are resumed only when it is known what an earlier owner has given them.
  co_await features_.Settle(AsUsers(std::move(shard)));
}

void UserShards::GoLive(sharding::Shard& shard) {
  delivery_.GoLive(AsUsers(shard));
  OnLive(AsUsers(shard));
}

void UserShards::OnLive(Shard& shard) {
  due_.OnShardLive(shard);
  features_.Tell(&LifeHook::OnShardLive, shard);
  actions_.DoWaiting(shard);
}

void UserShards::OnCertain(sharding::Shard& shard) {
  delivery_.OnCertain(AsUsers(shard));
  if (shard.live()) OnLive(AsUsers(shard));
}

void UserShards::OnCommitted(sharding::Shard& shard) { delivery_.OnCommitted(AsUsers(shard)); }

// ---- the end --------------------------------------------------------------------

Task<void> UserShards::HandOver(std::shared_ptr<sharding::Shard> leaving, SteadyTime limit) {
  // Records in the window stay in the log: the next owner reads them from the cursor.
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - clock_.Now());
  co_await live_.AwaitParked(AsUsers(std::move(leaving)), left);
}

Task<absl::StatusOr<std::optional<UserShards::KeptCursor>>> UserShards::FindCursor(std::uint32_t number) {
  return sharding::FindCursorIn(store_, number);
}

Task<absl::Status> UserShards::KeepCursor(std::uint32_t number, std::int64_t epoch, std::int64_t cursor) {
  return store_.KeepCursor({number, epoch}, cursor);
}

void UserShards::Forget(sharding::Shard& shard) {
  delivery_.Forget(AsUsers(shard));
  live_.Forget(AsUsers(shard));
  features_.Tell(&LifeHook::OnShardForgotten, AsUsers(shard));
  actions_.Forget(AsUsers(shard));
  AsUsers(shard).unknown_resumes.clear();
}

bool UserShards::is_full(sharding::Shard& shard) const { return delivery_.IsFull(AsUsers(shard)); }

bool UserShards::is_able() const { return gateways_.AreInReach(); }

// ---- time -----------------------------------------------------------------------

void UserShards::Sweep() {
  for (const std::shared_ptr<Shard>& shard : shards_.All()) {
    if (shard->phase == sharding::Shard::Phase::kAcquiring || shard->suspended) continue;
    delivery_.StoreOldPackets(*shard);
    if (shard->live()) due_.Sweep(*shard);
    delivery_.Sweep(*shard);
  }
  features_.Tell(&LifeHook::OnSweep);
}

}  // namespace rookery::session_manager
