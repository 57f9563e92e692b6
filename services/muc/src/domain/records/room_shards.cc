#include "domain/records/room_shards.h"

#include <algorithm>
#include <utility>

#include "domain/metrics.h"
#include "domain/occupants/unfinished.h"
#include "domain/service/service_desk.h"
#include "domain/stanzas/entering.h"
#include "domain/stanzas/room_stanzas.h"
#include "ports/room_store.h"
#include "rookery/base/status.h"
#include "rookery/events/homes.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

RoomShard& AsRooms(sharding::Shard& shard) { return static_cast<RoomShard&>(shard); }
std::shared_ptr<RoomShard> AsRooms(std::shared_ptr<sharding::Shard> shard) {
  return std::static_pointer_cast<RoomShard>(std::move(shard));
}

const xmpp::Stanza& StanzaOf(const RoomRecord& record) { return record.body.delivery().stanza(); }

/// Its sender is told when it is not applied. What tells the room that somebody is gone is applied, however
/// late, and so is what an occupant shows, unless very much waits: to most clients an error says that they
/// are not in.
bool IsRefusable(const xmpp::Stanza& stanza, bool is_crowded) {
  switch (stanza.kind()) {
    case common::v1::STANZA_KIND_MESSAGE:
      return stanza.type() != "error";
    case common::v1::STANZA_KIND_PRESENCE:
      return stanza.type().empty() && (is_crowded || MaySayMuc(stanza));
    case common::v1::STANZA_KIND_IQ:
      return stanza.type() == "get" || stanza.type() == "set";
    default:
      return false;
  }
}

/// Whoever lists rooms is to find what somebody has just configured.
bool IsConfiguration(const xmpp::Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "set" &&
         stanza.payload_namespace() == xmpp::ns::kMucOwner;
}

bool IsPingOfOccupant(const xmpp::Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "get" &&
         stanza.payload_namespace() == xmpp::ns::kPing && !xmpp::ResourceOf(stanza.to()).empty();
}

/// The room, or the service, that the record is for. Empty: neither.
std::string_view AddressOf(const RoomRecord& record) {
  if (record.body.has_prompt()) return record.body.prompt().room();
  return record.body.has_delivery() ? xmpp::BareOf(StanzaOf(record).to()) : std::string_view();
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

/// What is around it has room, too, in the 1,000,000 bytes of a record (the default of
/// kafka.max-record-bytes).
constexpr std::size_t kMaxAnswerBytes = 768'000;

/// An answer that would not get into the log is an error.
void Bound(xmpp::Stanza& answer, const xmpp::Stanza& request) {
  const bool is_answer = answer.kind() == common::v1::STANZA_KIND_IQ && answer.type() == "result" &&
                         answer.to() == request.from();
  if (is_answer && answer.payload().size() > kMaxAnswerBytes)
    answer = xmpp::MakeError(request, xmpp::ErrorCondition::kResourceConstraint, "the answer is too large");
}

constexpr std::chrono::milliseconds kCalm{20};

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
      checkpointer_(executor, owner, store, clock, metrics),
      prompts_(writer_),
      memory_(executor, settings, clock, metrics),
      loader_(store, memory_, clock, metrics, *this) {}

RoomShards::~RoomShards() = default;

std::shared_ptr<sharding::Shard> RoomShards::MakeShard(std::uint32_t number,
                                                       std::chrono::milliseconds horizon) {
  return std::make_shared<RoomShard>(number, horizon, executor_);
}

// ---- a new owner ----------------------------------------------------------------

Task<absl::Status> RoomShards::Load(std::shared_ptr<sharding::Shard> shard) {
  // Before anything is read of the store: nobody changes it any more but us.
  const absl::Status claimed = co_await store_.Claim(shard->number, shard->epoch);
  if (!absl::IsFailedPrecondition(claimed)) co_return claimed;
  const absl::StatusOr<std::int64_t> newer = co_await store_.ClaimedBy(shard->number);
  if (!newer.ok()) co_return newer.status();
  shard->stored_epoch = *newer;
  co_return claimed;
}

bool RoomShards::is_settled(sharding::Shard& settling) const {
  const RoomShard& shard = AsRooms(settling);
  return shard.to_load.empty() && shard.to_apply.empty() &&
         std::all_of(shard.rooms.begin(), shard.rooms.end(),
                     [](const auto& entry) { return entry.second->room || entry.second->waiting.empty(); });
}

Task<void> RoomShards::Settle(std::shared_ptr<sharding::Shard> settling) {
  const std::shared_ptr<RoomShard> shard = AsRooms(std::move(settling));
  const SteadyTime limit = clock_.Now() + RoomLoader::kPatience;
  PumpAll(*shard);
  // A room that cannot be loaded by then waits alone.
  while (!(shard->to_load.empty() && shard->to_apply.empty()) && clock_.Now() < limit)
    co_await shard->moved.Wait(Deadline::After(limit - clock_.Now()));
}

void RoomShards::GoLive(sharding::Shard& live) {
  RoomShard& shard = AsRooms(live);
  shard.keeps_too_much = false;
  shard.destroyed.insert(-1);
  PumpAll(shard);
}

// ---- records --------------------------------------------------------------------

std::shared_ptr<RoomSlot> RoomShards::SlotOf(RoomShard& shard, std::string_view room) {
  const auto it = shard.rooms.find(room);
  if (it != shard.rooms.end()) return it->second;
  auto slot = std::make_shared<RoomSlot>(std::string(room));
  slot->appends = std::make_shared<Appends>(executor_);
  shard.rooms.emplace(slot->room_jid, slot);
  memory_.Watch(shard, slot);
  return slot;
}

void RoomShards::Apply(sharding::Shard& reading, std::shared_ptr<sharding::Record> sharding_record) {
  RoomShard& shard = AsRooms(reading);
  auto record = std::static_pointer_cast<RoomRecord>(std::move(sharding_record));
  if (record->body.has_verdict()) return OnVerdict(shard, record);
  const std::string_view bare = AddressOf(*record);
  if (bare.empty() || topology_.PartitionOf(events::Topic::kRooms, bare) != shard.number) {
    owner_.NoteMisplaced(shard, record->offset);
    return shard.window.Release(record->offset);
  }
  if (!IsRoom(bare)) {
    shard.Spawn("request.answer",
                Answer(std::static_pointer_cast<RoomShard>(shard.shared_from_this()), std::move(record)));
    return;
  }
  const std::shared_ptr<RoomSlot> slot = SlotOf(shard, bare);
  slot->waiting.push_back({std::move(record)});
  NoteKept(shard);
  Pump(shard, slot);
}

void RoomShards::OnVerdict(RoomShard& shard, const std::shared_ptr<RoomRecord>& record) {
  const events::v1::RoomVerdict& verdict = record->body.verdict();
  shard.window.Release(record->offset);
  const auto found = shard.rooms.find(verdict.room());
  if (found == shard.rooms.end()) return;
  const std::shared_ptr<RoomSlot> slot = found->second;
  const auto about = std::lower_bound(
      slot->waiting.begin(), slot->waiting.end(), verdict.offset(),
      [](const WaitingRecord& waiting, std::int64_t offset) { return waiting.record->offset < offset; });
  // Else it is about a record that is finished.
  if (about == slot->waiting.end() || about->record->offset != verdict.offset() || about->verdict) return;
  about->verdict = verdict;
  if (slot->room || verdict.condition().empty() || !IsTime(shard)) return Pump(shard, slot);
  // It needs no room, and what comes behind it has not to wait for it.
  const std::shared_ptr<RoomRecord> refused = about->record;
  slot->waiting.erase(about);
  Refuse(shard, *slot, *refused, verdict);
  shard.window.Release(refused->offset);
}

void RoomShards::OnLoaded(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  memory_.Measure(*slot);
  ApplyLater(shard, slot);
}

void RoomShards::OnUnavailable(RoomShard& shard, RoomSlot& slot, bool is_crowded) {
  for (WaitingRecord& waiting : slot.waiting) {
    const RoomRecord& record = *waiting.record;
    if (waiting.is_asked || waiting.verdict || !IsRefusable(StanzaOf(record), is_crowded)) continue;
    // An earlier owner may have applied it and told everybody: it cannot be taken back.
    if (record.offset < shard.fence_offset) continue;
    metrics_.stanzas_without_room.Increment();
    events::v1::RoomVerdict verdict = VerdictOn(record);
    // To a client that asks whether it is still in, most errors say that it is not (XEP-0410 section 3.2).
    const xmpp::ErrorCondition condition = IsPingOfOccupant(StanzaOf(record))
                                               ? xmpp::ErrorCondition::kRemoteServerTimeout
                                               : xmpp::ErrorCondition::kResourceConstraint;
    muc::Refuse(verdict, condition, "the room cannot be loaded at present");
    waiting.is_asked = true;
    writer_.WriteVerdict(shard, CauseOf(record), verdict);
  }
}

// ---- waiting records ------------------------------------------------------------

bool RoomShards::IsTime(const RoomShard& shard) const {
  if (shard.suspended) return false;
  // R2.
  return shard.phase == sharding::Shard::Phase::kLive || shard.settling || shard.keeps_too_much;
}

void RoomShards::NoteKept(RoomShard& shard) {
  if (shard.phase != sharding::Shard::Phase::kRecovering) return;
  const std::size_t records = shard.window.size(), bytes = shard.window.bytes();
  if (shard.keeps_too_much) {
    shard.keeps_too_much = records > kMaxKept / 2 || bytes > kMaxKeptBytes / 2;
  } else if (records > kMaxKept || bytes > kMaxKeptBytes) {
    shard.keeps_too_much = true;
    PumpAll(shard);
  }
}

void RoomShards::Pump(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  if (!IsTime(shard)) return;
  slot->used_at = clock_.Now();
  if (!slot->room) return loader_.Want(shard, slot);
  if (slot->waiting.size() > 1) return ApplyLater(shard, slot);
  std::size_t budget = 1;
  (void)ApplyWaiting(shard, slot, budget);
}

void RoomShards::PumpAll(RoomShard& shard) {
  if (!IsTime(shard)) return;
  for (const auto& [jid, slot] : shard.rooms) {
    if (slot->waiting.empty()) continue;
    if (slot->room) {
      ApplyLater(shard, slot);
    } else {
      loader_.Want(shard, slot);
    }
  }
}

void RoomShards::ApplyLater(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  if (slot->waiting.empty() || std::exchange(slot->is_to_apply, true)) return;
  shard.to_apply.push_back(slot);
  if (std::exchange(shard.is_applying, true)) return;
  shard.SpawnVital("records.apply",
                   ApplyInTurns(std::static_pointer_cast<RoomShard>(shard.shared_from_this())));
}

Task<void> RoomShards::ApplyInTurns(std::shared_ptr<RoomShard> shard) {
  // Others have their turns too, and what follows goes no faster than the log takes it.
  for (;;) {
    co_await runtime::Yield();
    // Neither of the two conditions notifies anybody.
    while (!IsTime(*shard) || owner_.is_congested()) co_await runtime::Sleep(kCalm);
    for (std::size_t budget = kAppliedPerTurn;
         budget > 0 && !shard->to_apply.empty() && !owner_.is_congested();) {
      const std::shared_ptr<RoomSlot> slot = std::move(shard->to_apply.front());
      shard->to_apply.pop_front();
      slot->is_to_apply = false;
      if (!ApplyWaiting(*shard, slot, budget)) continue;
      slot->is_to_apply = true;
      shard->to_apply.push_back(slot);
    }
    if (shard->to_apply.empty()) break;
  }
  shard->is_applying = false;
  shard->moved.Notify();
}

bool RoomShards::ApplyWaiting(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot, std::size_t& budget) {
  slot->used_at = clock_.Now();
  // What follows from one record may be told to thousands.
  for (bool is_first = true; !slot->waiting.empty(); slot->waiting.pop_front(), is_first = false) {
    if (budget == 0 || (!is_first && owner_.is_congested())) return true;
    --budget;
    try {
      if (!ApplyFirst(shard, slot)) return false;
    } catch (const std::exception& failure) {
      owner_.NoteFailed(shard, slot->waiting.front().record->offset, failure);
      return false;
    }
  }
  return false;
}

bool RoomShards::ApplyFirst(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) {
  WaitingRecord& first = slot->waiting.front();
  RoomRecord& record = *first.record;
  if (record.offset <= slot->stored_up_to) {
    // A prompt that followed from it need not be in the log.
    prompts_.Look(shard, slot, CauseOf(record));
    shard.window.Release(record.offset);
    return true;
  }
  if (!first.verdict) {
    if (!first.is_asked && settings_.max_rooms_per_user > 0 &&
        WouldCreate(settings_, *slot->room, StanzaOf(record))) {
      first.is_asked = true;
      shard.Spawn("verdict.find", FindVerdict(std::static_pointer_cast<RoomShard>(shard.shared_from_this()),
                                              slot, first.record));
    }
    if (first.is_asked) return false;
  } else if (!first.verdict->condition().empty()) {
    Refuse(shard, *slot, record, *first.verdict);
    shard.window.Release(record.offset);
    return true;
  }
  const bool existed = slot->room->exists();
  ApplyTo(shard, *slot, record);
  if (!existed && slot->room->exists() && !first.verdict && settings_.max_rooms_per_user > 0) {
    metrics_.rooms_without_verdict.Increment();
    telemetry::LogError("room.made_without_verdict",
                        {{"trace_id", telemetry::TraceId(record.body.trace_id())},
                         {"shard", shard.number},
                         {"offset", record.offset}});
  }
  prompts_.Look(shard, slot, CauseOf(record));
  if (slot->room->has_changed()) checkpointer_.OnChanged(shard, slot);
  return true;
}

void RoomShards::Refuse(RoomShard& shard, RoomSlot& slot, const RoomRecord& record,
                        const events::v1::RoomVerdict& verdict) {
  outcome_.clear();
  xmpp::Element error = xmpp::MakeErrorElement(
      xmpp::ParseErrorCondition(verdict.condition()).value_or(xmpp::ErrorCondition::kInternalServerError),
      verdict.text());
  error.SetAttr("by", xmpp::BareOf(StanzaOf(record).to()));
  outcome_.Send(xmpp::MakeError(StanzaOf(record), error));
  writer_.Write(shard, slot, CauseOf(record), outcome_);
}

void RoomShards::ApplyTo(RoomShard& shard, RoomSlot& slot, RoomRecord& record) {
  Room& room = *slot.room;
  const bool existed = room.exists();
  outcome_.clear();
  Turn turn{.settings = settings_,
            .room = room,
            .stanza = StanzaOf(record),
            .now_ms = record.body.received_at_ms(),
            .offset = record.offset,
            .outcome = outcome_,
            .account_generation = record.body.account_generation(),
            .is_from_client = record.body.origin().has_client()};
  if (record.body.has_prompt()) {
    OnPrompt(turn, slot, record.body.prompt());
  } else {
    ApplyStanza(turn);
    for (Outcome::Said& said : outcome_.said)
      if (!said.recipients) Bound(said.stanza, turn.stanza);
  }
  if (!existed && room.exists())
    room.ChangeState().set_creator(std::string(xmpp::BareOf(turn.stanza.from())));
  if (room.has_changed()) memory_.Measure(slot);
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
  // A search must not find a room that has just ended either.
  if (existed != room.exists() || IsConfiguration(turn.stanza)) slot.is_urgent = true;
}

void RoomShards::OnPrompt(Turn& turn, RoomSlot& slot, const events::v1::RoomPrompt& prompt) {
  slot.is_prompted = false;
  // It was said twice, or to an earlier room of the name.
  if (!turn.room.exists() || turn.room.state().prompts() != prompt.number()) return;
  turn.room.ChangeState().set_prompts(prompt.number() + 1);
  GoOn(turn);
}

Task<void> RoomShards::FindVerdict(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                                   std::shared_ptr<RoomRecord> record) {
  events::v1::RoomVerdict verdict = VerdictOn(*record);
  const auto may_make = co_await store_.Reserve(
      slot->room_jid, std::string(xmpp::BareOf(StanzaOf(*record).from())), settings_.max_rooms_per_user);
  if (!may_make.ok()) {
    muc::Refuse(verdict, xmpp::ErrorCondition::kResourceConstraint, "rooms cannot be created at present");
  } else if (!*may_make) {
    muc::Refuse(verdict, xmpp::ErrorCondition::kNotAllowed, "you have made too many rooms");
  }
  writer_.WriteVerdict(*shard, CauseOf(*record), verdict);
}

Task<void> RoomShards::Answer(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomRecord> record) {
  std::optional<xmpp::Stanza> answer = co_await desk_.Respond(StanzaOf(*record));
  if (answer) Bound(*answer, StanzaOf(*record));
  if (answer) writer_.WriteAnswer(*shard, CauseOf(*record), *answer);
  shard->window.Release(record->offset);
}

// ---- the end --------------------------------------------------------------------

Task<void> RoomShards::HandOver(std::shared_ptr<sharding::Shard> shard, SteadyTime limit) {
  co_await checkpointer_.SaveAll(AsRooms(std::move(shard)), limit);
}

Task<absl::StatusOr<std::optional<RoomShards::KeptCursor>>> RoomShards::FindCursor(std::uint32_t number) {
  return sharding::FindCursorIn(store_, number);
}

Task<absl::Status> RoomShards::KeepCursor(std::uint32_t number, std::int64_t epoch, std::int64_t cursor) {
  return store_.KeepCursor(number, epoch, cursor);
}

void RoomShards::Forget(sharding::Shard& forgotten) { memory_.ForgetAll(AsRooms(forgotten)); }

// ---- time -----------------------------------------------------------------------

void RoomShards::Tick() {
  std::size_t rooms = 0, unsaved = 0;
  for (const auto& [number, shared] : owner_.shards()) {
    RoomShard& shard = AsRooms(*shared);
    if (shard.phase == sharding::Shard::Phase::kAcquiring || shard.suspended) continue;
    checkpointer_.SaveDue(shard, /*all=*/false);
    if (shard.live()) {
      loader_.Look(shard);
      checkpointer_.ForgetDestroyed(shard);
      memory_.ForgetQuiet(shard);
    }
    rooms += shard.rooms.size();
    unsaved += shard.to_save.size() + shard.saving + shard.awaiting_log;
  }
  memory_.ForgetLeastUsed(owner_);
  metrics_.rooms.Set(static_cast<double>(rooms));
  metrics_.occupants.Set(static_cast<double>(memory_.occupants()));
  metrics_.room_bytes.Set(static_cast<double>(memory_.bytes()));
  metrics_.unsaved_rooms.Set(static_cast<double>(unsaved));
}

}  // namespace rookery::muc
