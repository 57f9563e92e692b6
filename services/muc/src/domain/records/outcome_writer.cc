#include "domain/records/outcome_writer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "domain/metrics.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/sharding/fanout.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/lent_stanza.h"

namespace rookery::muc {

namespace {

/// Parts of what goes to the archive are numbered from here, so that they do not depend on how many
/// recipients there were.
constexpr std::uint32_t kArchiveParts = 1U << 24;

}  // namespace

sharding::FollowUpWriter::Place OutcomeWriter::PlaceOf(events::Topic topic, std::string_view key) const {
  return {topic, topology_.PartitionOf(topic, key), key};
}

void OutcomeWriter::Group(RoomSlot& slot, const std::shared_ptr<const Recipients>& recipients) const {
  if (slot.grouped == recipients) return;
  slot.grouped = recipients;
  slot.groups.clear();
  slot.groups.reserve(recipients->size());
  for (const std::string& recipient : *recipients)
    slot.groups.push_back({topology_.PartitionOf(events::Topic::kUsers, xmpp::BareOf(recipient)), recipient});
}

void OutcomeWriter::Write(RoomShard& shard, RoomSlot& slot, const Cause& cause, const Outcome& outcome) {
  std::uint32_t part = 0;
  for (const Outcome::Said& said : outcome.said) {
    metrics_.said.Increment();
    if (!said.recipients) {
      metrics_.deliveries.Increment();
      WriteTo(shard, slot.appends, cause, ++part, said.stanza);
      continue;
    }
    metrics_.deliveries.Increment(static_cast<double>(said.recipients->size()));
    Group(slot, said.recipients);
    part = sharding::SplitFanout(slot.groups, part, said.stanza,
                                 [&](const sharding::FanoutRecord& fanout, events::v1::UserRecord& record) {
                                   auto& to = *record.mutable_fanout()->mutable_recipients();
                                   const auto left_out = [&](const std::string& recipient) {
                                     return !said.IsFor(recipient);
                                   };
                                   to.erase(std::remove_if(to.begin(), to.end(), left_out), to.end());
                                   if (to.empty()) return;
                                   Append(shard, slot.appends, cause, fanout.part,
                                          {events::Topic::kUsers, fanout.partition, {}}, record);
                                 });
  }
  std::uint32_t archive_part = kArchiveParts;
  for (const v1::PastMessage& message : outcome.archived) {
    metrics_.archived.Increment();
    events::v1::MessageEvent event;
    event.set_owner(slot.room_jid);
    event.set_archive_id(message.archive_id());
    event.set_direction(events::v1::MESSAGE_DIRECTION_RECEIVED);
    const xmpp::LentStanza lent(event, message.stanza());
    event.set_received_at_ms(message.received_at_ms());
    Append(shard, slot.appends, cause, ++archive_part, PlaceOf(events::Topic::kMessages, slot.room_jid),
           event);
  }
}

void OutcomeWriter::WriteAnswer(RoomShard& shard, const Cause& cause, const xmpp::Stanza& answer) {
  WriteTo(shard, nullptr, cause, /*part=*/1, answer);
}

void OutcomeWriter::WriteTo(RoomShard& shard, std::shared_ptr<Appends> appends, const Cause& cause,
                            std::uint32_t part, const xmpp::Stanza& stanza) {
  events::v1::UserRecord record;
  const xmpp::LentStanza lent(*record.mutable_delivery(), stanza);
  Append(shard, std::move(appends), cause, part, PlaceOf(events::Topic::kUsers, xmpp::BareOf(stanza.to())),
         record);
}

void OutcomeWriter::WritePrompt(RoomShard& shard, const Cause& cause, const events::v1::RoomPrompt& prompt) {
  events::v1::RoomRecord record;
  *record.mutable_prompt() = prompt;
  // A decision of this owner, too. One that is read twice is known by its number.
  Append(shard, nullptr, cause, /*part=*/std::nullopt, {events::Topic::kRooms, shard.number, prompt.room()},
         record);
}

void OutcomeWriter::WriteVerdict(RoomShard& shard, const Cause& cause,
                                 const events::v1::RoomVerdict& verdict) {
  events::v1::RoomRecord record;
  *record.mutable_verdict() = verdict;
  // A decision of this owner: behind a newer one's fence it is refused by everybody who reads it, also where
  // the record is applied again later. A repetition changes nothing, since the first one that is read holds.
  Append(shard, nullptr, cause, /*part=*/std::nullopt, {events::Topic::kRooms, shard.number, verdict.room()},
         record);
}

template <typename Record>
void OutcomeWriter::Append(RoomShard& shard, std::shared_ptr<Appends> appends, const Cause& cause,
                           std::optional<std::uint32_t> part, const sharding::FollowUpWriter::Place& place,
                           Record& record) {
  record.set_trace_id(cause.trace_id);
  if (record.received_at_ms() == 0) record.set_received_at_ms(cause.received_at_ms);
  if (appends) ++appends->open;
  writer_.Append(shard, {cause.offset, part}, place, record,
                 [appends = std::move(appends)](RoomShard&, std::int64_t) {
                   if (appends && --appends->open == 0) appends->all_done.Notify();
                 });
}

}  // namespace rookery::muc
