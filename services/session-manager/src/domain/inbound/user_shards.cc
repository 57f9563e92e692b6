#include "domain/inbound/user_shards.h"

#include <algorithm>

#include "domain/delivery/delivery_states.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/offline_recovery.h"
#include "domain/delivery/packet_recovery.h"
#include "domain/delivery/packet_rows.h"
#include "domain/delivery/session_closer.h"
#include "domain/delivery/store_writer.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/features/feature_hooks.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/inbound/gateway_actions.h"
#include "domain/inbound/record_processor.h"
#include "domain/inbound/shard_loader.h"
#include "domain/inbound/waiting_actions.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/outbound/outbox.h"
#include "domain/sessions/due_sessions.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_parker.h"
#include "domain/settings.h"
#include "domain/state/shards.h"
#include "ports/membership.h"
#include "ports/waiting_store.h"
#include "rookery/base/deadline.h"
#include "rookery/base/status.h"
#include "rookery/runtime/event.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

/// The registry's list of gateways changes without a word to us: it is looked at this often.
constexpr std::chrono::milliseconds kLookForGateways{50};

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

void UserShards::OnRefused(sharding::Shard& shard, sharding::Record& record) {
  records_.OnNotApplied(AsUsers(shard), static_cast<PendingRecord&>(record));
}

// ---- a new owner ----------------------------------------------------------------

void UserShards::OnFenced(sharding::Shard& shard) {
  for (const auto& [instance, gateway] : gateways_.all()) AddShardOwned(*gateway, AsUsers(shard));
}

Task<absl::Status> UserShards::Load(std::shared_ptr<sharding::Shard> loading) {
  const std::shared_ptr<Shard> shard = AsUsers(std::move(loading));
  co_await AwaitGateways(shard);
  if (waiting_actions_.HasAttachments(*shard)) co_await directory_.LookForLeft(shard);
  const absl::Status loaded =
      co_await LoadWaiting(store_, states_.WriterOf(*shard), parker_, packet_recovery_, shard);
  if (!loaded.ok()) co_return loaded;
  co_await features_.Load(shard);
  co_await recovery_.Recover(shard);
  co_await recovery_.LookForWaiting(shard);
  co_return absl::OkStatus();
}

Task<void> UserShards::AwaitGateways(std::shared_ptr<Shard> shard) {
  SteadyTime limit = clock_.Now() + settings_.attach_timeout;
  while (clock_.Now() < limit) {
    if (gateways_.HaveAllAttached(*shard)) co_return;
    // Whoever is online would be taken for absent, and told what its client has had once more later.
    if (!is_able()) limit = clock_.Now() + settings_.attach_timeout;
    (void)co_await gateways_.changed().Wait(Deadline::After(kLookForGateways));
  }
  telemetry::LogWarn("shard.gateways_missing", {{"shard", shard->number}});
}

void UserShards::OnReading(sharding::Shard& reading, bool was_cut) {
  Shard& shard = AsUsers(reading);
  if (was_cut) {
    // Offsets that sessions remember are of a log that is gone: what comes now was given to nobody.
    const std::int64_t before = shard.committed - 1;
    for (const auto& [bare, user] : shard.users) {
      for (const auto& session : user->sessions) {
        session->last_offset = std::min(session->last_offset, before);
        session->last_primary = std::min(session->last_primary, before);
        session->state.set_start_offset(std::min(session->state.start_offset(), before));
        session->state.clear_passed_over();
        session->state.clear_held_records();
        session->state.clear_passed_over_since();
        session->state.clear_late_offset();
        session->late_offset = -1;
        // Nobody says again the presence that was lost.
        if (session->available()) session->state.set_presence_missed(true);
        outbox_.Publish(*session);
      }
    }
  }
  hand_outs_.HandOutWhatIsDue(shard);
}

bool UserShards::is_settled(sharding::Shard& shard) const { return features_.AreSettled(AsUsers(shard)); }

Task<void> UserShards::Settle(std::shared_ptr<sharding::Shard> shard) {
  // Sessions are resumed only when it is known what an earlier owner has given them.
  co_await features_.Settle(AsUsers(std::move(shard)));
}

void UserShards::GoLive(sharding::Shard& live) {
  Shard& shard = AsUsers(live);
  // The log has told of owners that the registry did not know when the sessions were brought.
  for (const auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      if (!WasMissed(*session)) continue;
      if (session->available()) session->state.set_presence_missed(true);
      if (session->state.directed_size() > 0) session->state.set_rooms_missed(true);
      NoteRosterMissed(*session);
      outbox_.Publish(*session);
    }
  }
  hand_outs_.GoLive(shard);
  OnLive(shard);
}

void UserShards::OnLive(Shard& shard) {
  due_.OnShardLive(shard);
  features_.Tell(&LifeHook::OnShardLive, shard);
  actions_.DoWaiting(shard);
}

void UserShards::OnCertain(sharding::Shard& shard) {
  DeliveryStates::ContinueWriting(AsUsers(shard));
  if (shard.live()) OnLive(AsUsers(shard));
}

void UserShards::OnCommitted(sharding::Shard& shard) { closer_.OnCommitted(AsUsers(shard)); }

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
  DeliveryStates::AbandonWrites(AsUsers(shard));
  live_.Forget(AsUsers(shard));
  features_.Tell(&LifeHook::OnShardForgotten, AsUsers(shard));
  actions_.Forget(AsUsers(shard));
  AsUsers(shard).unknown_resumes.clear();
}

bool UserShards::is_full(sharding::Shard& shard) const { return states_.WriterOf(AsUsers(shard)).is_full(); }

bool UserShards::is_able() const {
  // While Redis is away, gateways may be there that have no way to find us.
  return !gateways_.all().empty() || (membership_.KnowsAllGateways() && membership_.Gateways().empty());
}

// ---- time -----------------------------------------------------------------------

void UserShards::Sweep() {
  for (const std::shared_ptr<Shard>& shard : shards_.All()) {
    if (shard->phase == sharding::Shard::Phase::kAcquiring || shard->suspended) continue;
    packet_rows_.StoreOld(*shard);
    if (shard->live()) due_.Sweep(*shard);
    waiting_.StoreOverdue(*shard);
    marks_.Purge(*shard);
    closer_.Sweep(*shard);
  }
  features_.Tell(&LifeHook::OnSweep);
}

}  // namespace rookery::session_manager
