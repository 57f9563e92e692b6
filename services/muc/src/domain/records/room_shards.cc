#include "domain/records/room_shards.h"

#include <algorithm>
#include <utility>

#include "domain/metrics.h"
#include "domain/service/service_desk.h"
#include "domain/turn.h"
#include "ports/room_store.h"
#include "rookery/events/homes.h"
#include "rookery/telemetry/log.h"

namespace rookery::muc {

namespace {

RoomShard& AsRooms(sharding::Shard& shard) { return static_cast<RoomShard&>(shard); }
std::shared_ptr<RoomShard> AsRooms(std::shared_ptr<sharding::Shard> shard) {
  return std::static_pointer_cast<RoomShard>(std::move(shard));
}

const xmpp::Stanza& StanzaOf(const RoomRecord& record) { return record.body.delivery().stanza(); }

/// Its sender is told when it is not applied. What tells the room that somebody is gone is applied, however
/// late.
bool IsRefusable(const xmpp::Stanza& stanza) {
  switch (stanza.kind()) {
    case common::v1::STANZA_KIND_MESSAGE:
      return stanza.type() != "error";
    case common::v1::STANZA_KIND_PRESENCE:
      return stanza.type().empty();
    case common::v1::STANZA_KIND_IQ:
      return stanza.type() == "get" || stanza.type() == "set";
    default:
      return false;
  }
}

bool IsRoom(std::string_view bare) { return bare.find('@') != std::string_view::npos; }

OutcomeWriter::Cause CauseOf(const RoomRecord& record) {
  return {record.offset, record.body.received_at_ms(), record.body.trace_id()};
}

events::v1::RoomVerdict VerdictOn(const RoomRecord& record) {
  events::v1::RoomVerdict verdict;
  verdict.set_room(std::string(xmpp::BareOf(StanzaOf(record).to())));
  verdict.set_offset(record.offset);
  return verdict;
}

void Refuse(events::v1::RoomVerdict& verdict, xmpp::ErrorCondition condition, std::string_view text) {
  verdict.set_condition(std::string(xmpp::Name(condition)));
  verdict.set_text(std::string(text));
}

}  // namespace

RoomShards::RoomShards(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
                       sharding::ShardOwner& owner, const events::Topology& topology, RoomStore& store,
                       ServiceDesk& desk, MucMetrics& metrics)
    : executor_(executor),
      settings_(settings),
      clock_(clock),
      owner_(owner),
      topology_(topology),
      store_(store),
      desk_(desk),
      metrics_(metrics),
      writer_(owner, topology, metrics),
      checkpointer_(executor, store, clock, metrics),
      loader_(store, clock, metrics, *this) {}

RoomShards::~RoomShards() = default;

std::shared_ptr<sharding::Shard> RoomShards::MakeShard(std::uint32_t number,
                                                       std::chrono::milliseconds horizon) {
  return std::make_shared<RoomShard>(number, horizon);
}

// ---- a new owner ----------------------------------------------------------------

Task<absl::Status> RoomShards::Load(std::shared_ptr<sharding::Shard> shard) {
  // Before anything is read of the store: nobody changes it any more but us.
  co_return co_await store_.Claim(shard->number, shard->epoch);
}

void RoomShards::OnReading(sharding::Shard& shard, bool was_cut) { AsRooms(shard).was_cut = was_cut; }

bool RoomShards::is_settled(sharding::Shard& shard) const {
  const auto& rooms = AsRooms(shard).rooms;
  return std::all_of(rooms.begin(), rooms.end(),
                     [](const auto& entry) { return entry.second->room != nullptr; });
}

Task<void> RoomShards::Settle(std::shared_ptr<sharding::Shard> settling) {
  const std::shared_ptr<RoomShard> shard = AsRooms(std::move(settling));
  for (const auto& [jid, slot] : shard->rooms)
    if (!slot->room) loader_.Want(shard, slot);
  while (!is_settled(*shard)) co_await runtime::Sleep(std::chrono::milliseconds(5));
}

// ---- records --------------------------------------------------------------------

std::shared_ptr<RoomSlot> RoomShards::SlotOf(RoomShard& shard, std::string_view room) {
  const auto it = shard.rooms.find(room);
  if (it != shard.rooms.end()) return it->second;
  auto slot = std::make_shared<RoomSlot>(std::string(room));
  slot->appends = std::make_shared<Appends>(executor_);
  shard.rooms.emplace(slot->room_jid, slot);
  slot->used_at = clock_.Now();
  shard.watched.push({slot->used_at + kQuietWithoutRoom, slot});
  return slot;
}

void RoomShards::Apply(sharding::Shard& reading, std::shared_ptr<sharding::Record> sharding_record) {
  RoomShard& shard = AsRooms(reading);
  auto record = std::static_pointer_cast<RoomRecord>(std::move(sharding_record));
  if (record->body.has_verdict()) return OnVerdict(shard, record);
  const std::string_view bare = record->body.has_delivery() ? xmpp::BareOf(StanzaOf(*record).to()) : "";
  if (bare.empty() || topology_.PartitionOf(events::Topic::kRooms, bare) != shard.number) {
    metrics_.misplaced.Increment();
    telemetry::LogError("record.misplaced", {{"shard", shard.number}, {"offset", record->offset}});
    return shard.window.Release(record->offset);
  }
  if (!IsRoom(bare)) {
    shard.Spawn("request.answer",
                AnswerRequest(std::static_pointer_cast<RoomShard>(shard.shared_from_this()), record));
    return;
  }
  const std::shared_ptr<RoomSlot> slot = SlotOf(shard, bare);
  slot->waiting.push_back(std::move(record));
  Pump(shard, slot);
}

void RoomShards::OnVerdict(RoomShard& shard, const std::shared_ptr<RoomRecord>& record) {
  const events::v1::RoomVerdict& verdict = record->body.verdict();
  const auto found = shard.rooms.find(verdict.room());
  if (found != shard.rooms.end()) {
    const std::shared_ptr<RoomSlot> slot = found->second;
    const auto about = std::find_if(slot->waiting.begin(), slot->waiting.end(),
                                    [&](const auto& waiting) { return waiting->offset == verdict.offset(); });
    // Else it is about a record that is finished.
    if (about != slot->waiting.end()) {
      slot->verdicts.emplace(verdict.offset(), verdict);
      if (slot->asked_about == verdict.offset()) slot->asked_about = -1;
      if (!slot->room && !verdict.condition().empty() && shard.phase != sharding::Shard::Phase::kRecovering) {
        // It needs no room, and what comes behind it has not to wait for it.
        const std::shared_ptr<RoomRecord> refused = *about;
        slot->waiting.erase(about);
        Refuse(shard, *slot, *refused, verdict);
        slot->verdicts.erase(verdict.offset());
        shard.window.Release(refused->offset);
      } else {
        Pump(shard, slot);
      }
    }
  }
  shard.window.Release(record->offset);
}

void RoomShards::OnLoaded(RoomShard& shard, RoomSlot& slot) {
  occupants_ += slot.room->session_count();
  Pump(shard, SlotOf(shard, slot.room_jid));
}

void RoomShards::OnUnavailable(RoomShard& shard, RoomSlot& slot) {
  if (shard.phase != sharding::Shard::Phase::kLive) return;
  for (const std::shared_ptr<RoomRecord>& record : slot.waiting) {
    if (!IsRefusable(StanzaOf(*record)) || record->offset <= slot.asked_about ||
        slot.verdicts.contains(record->offset))
      continue;
    metrics_.stanzas_without_room.Increment();
    events::v1::RoomVerdict verdict = VerdictOn(*record);
    muc::Refuse(verdict, xmpp::ErrorCondition::kResourceConstraint, "the room cannot be loaded at present");
    slot.asked_about = record->offset;
    writer_.WriteVerdict(shard, CauseOf(*record), verdict);
  }
}

void RoomShards::Pump(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  // R2.
  if (shard.phase == sharding::Shard::Phase::kRecovering && !shard.settling) return;
  slot->used_at = clock_.Now();
  if (!slot->room) return loader_.Want(std::static_pointer_cast<RoomShard>(shard.shared_from_this()), slot);
  while (!slot->waiting.empty() && ApplyFirst(shard, slot)) slot->waiting.pop_front();
}

bool RoomShards::ApplyFirst(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  RoomRecord& record = *slot->waiting.front();
  if (record.offset <= slot->stored_up_to) {
    shard.window.Release(record.offset);
    slot->verdicts.erase(record.offset);
    return true;
  }
  const auto verdict = slot->verdicts.find(record.offset);
  if (verdict == slot->verdicts.end()) {
    if (slot->asked_about == record.offset) return false;
    if (settings_.max_rooms_per_user > 0 && WouldCreate(*slot->room, StanzaOf(record))) {
      slot->asked_about = record.offset;
      shard.Spawn("verdict.find", FindVerdict(std::static_pointer_cast<RoomShard>(shard.shared_from_this()),
                                              slot, slot->waiting.front()));
      return false;
    }
  } else if (!verdict->second.condition().empty()) {
    Refuse(shard, *slot, record, verdict->second);
    slot->verdicts.erase(verdict);
    shard.window.Release(record.offset);
    return true;
  } else {
    slot->verdicts.erase(verdict);
  }
  ApplyTo(shard, *slot, record);
  if (slot->room->has_changed()) checkpointer_.OnChanged(shard, slot);
  return true;
}

void RoomShards::Refuse(RoomShard& shard, RoomSlot& slot, const RoomRecord& record,
                        const events::v1::RoomVerdict& verdict) {
  outcome_.clear();
  outcome_.Send(xmpp::MakeError(
      StanzaOf(record),
      xmpp::ParseErrorCondition(verdict.condition()).value_or(xmpp::ErrorCondition::kInternalServerError),
      verdict.text()));
  writer_.Write(shard, slot, CauseOf(record), outcome_);
}

void RoomShards::ApplyTo(RoomShard& shard, RoomSlot& slot, RoomRecord& record) {
  Room& room = *slot.room;
  const bool existed = room.exists();
  occupants_ -= room.session_count();
  outcome_.clear();
  Turn turn{.settings = settings_,
            .room = room,
            .stanza = StanzaOf(record),
            .now_ms = record.body.received_at_ms(),
            .offset = record.offset,
            .outcome = outcome_};
  ApplyStanza(turn);
  occupants_ += room.session_count();
  metrics_.stanzas.Increment();
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("record.applied", {{"trace_id", telemetry::TraceId(record.body.trace_id())},
                                           {"shard", shard.number},
                                           {"offset", record.offset},
                                           {"said", outcome_.said.size()}});
  writer_.Write(shard, slot, CauseOf(record), outcome_);
  if (!room.has_changed()) return shard.window.Release(record.offset);
  slot.applied = record.offset;
  slot.unsaved.push_back(record.offset);
  // Whoever lists rooms is to find, or not to find, what somebody has just made or ended.
  const bool is_configured = turn.stanza.kind() == common::v1::STANZA_KIND_IQ;
  if (existed != room.exists() || is_configured) slot.is_urgent = true;
}

Task<void> RoomShards::FindVerdict(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                                   std::shared_ptr<RoomRecord> record) {
  events::v1::RoomVerdict verdict = VerdictOn(*record);
  const std::string_view creator = xmpp::BareOf(StanzaOf(*record).from());
  const auto owned =
      co_await store_.CountOwned(std::string(xmpp::DomainOf(slot->room_jid)), std::string(creator));
  if (!owned.ok()) {
    muc::Refuse(verdict, xmpp::ErrorCondition::kResourceConstraint, "rooms cannot be created at present");
  } else if (*owned >= settings_.max_rooms_per_user) {
    muc::Refuse(verdict, xmpp::ErrorCondition::kNotAllowed, "you own too many rooms");
  }
  writer_.WriteVerdict(*shard, CauseOf(*record), verdict);
}

Task<void> RoomShards::AnswerRequest(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomRecord> record) {
  const xmpp::Stanza& stanza = StanzaOf(*record);
  if (stanza.kind() == common::v1::STANZA_KIND_IQ && IsRefusable(stanza)) {
    const xmpp::Stanza answer = co_await desk_.Answer(stanza);
    writer_.WriteAnswer(*shard, CauseOf(*record), answer);
  } else if (const std::optional<xmpp::Stanza> refusal = ServiceDesk::RefusalOf(stanza)) {
    writer_.WriteAnswer(*shard, CauseOf(*record), *refusal);
  }
  shard->window.Release(record->offset);
}

// ---- the end --------------------------------------------------------------------

Task<void> RoomShards::HandOver(std::shared_ptr<sharding::Shard> shard, SteadyTime limit) {
  co_await checkpointer_.SaveAll(AsRooms(std::move(shard)), limit);
}

void RoomShards::Forget(sharding::Shard& forgotten) {
  RoomShard& shard = AsRooms(forgotten);
  for (const auto& [jid, slot] : shard.rooms)
    if (slot->room) occupants_ -= slot->room->session_count();
  shard.rooms.clear();
  shard.to_load.clear();
  shard.to_save = {};
  shard.watched = {};
}

// ---- time -----------------------------------------------------------------------

void RoomShards::ForgetQuiet(RoomShard& shard) {
  const SteadyTime now = clock_.Now();
  while (!shard.watched.empty() && shard.watched.top().at <= now) {
    const std::shared_ptr<RoomSlot> slot = shard.watched.top().slot;
    shard.watched.pop();
    const bool is_idle = slot->room && slot->waiting.empty() && !slot->is_saving && slot->unsaved.empty() &&
                         !slot->room->has_changed() && slot->appends->open == 0;
    const SteadyTime quiet_at =
        slot->used_at + (slot->room && slot->room->exists() ? kQuiet : kQuietWithoutRoom);
    if (!is_idle || quiet_at > now) {
      shard.watched.push({std::max(quiet_at, now + kQuietWithoutRoom), slot});
      continue;
    }
    metrics_.rooms_unloaded.Increment();
    occupants_ -= slot->room->session_count();
    shard.rooms.erase(slot->room_jid);
  }
}

void RoomShards::Tick() {
  std::size_t rooms = 0, unsaved = 0;
  for (const auto& [number, shared] : owner_.shards()) {
    RoomShard& shard = AsRooms(*shared);
    if (shard.phase != sharding::Shard::Phase::kLive || shard.suspended) continue;
    checkpointer_.SaveDue(shard, /*all=*/false);
    ForgetQuiet(shard);
    rooms += shard.rooms.size();
    unsaved += shard.to_save.size() + shard.saving;
  }
  metrics_.rooms.Set(static_cast<double>(rooms));
  metrics_.occupants.Set(static_cast<double>(occupants_));
  metrics_.unsaved_rooms.Set(static_cast<double>(unsaved));
}

}  // namespace rookery::muc
