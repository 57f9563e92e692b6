#include "domain/records/outcome_writer.h"

#include <string>
#include <utility>

#include "domain/metrics.h"
#include "rookery/events/homes.h"
#include "rookery/events/log.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/lent_stanza.h"

namespace rookery::muc {

namespace {

/// Parts of what goes to the archive are numbered from here, so that they do not depend on how many
/// recipients there were.
constexpr std::uint32_t kArchiveParts = 1U << 24;

std::unique_ptr<google::protobuf::MessageLite> MakeRecord(events::Topic topic) {
  switch (topic) {
    case events::Topic::kUsers:
      return std::make_unique<events::v1::UserRecord>();
    case events::Topic::kRooms:
      return std::make_unique<events::v1::RoomRecord>();
    default:
      return std::make_unique<events::v1::MessageEvent>();
  }
}

/// The key under which it was appended.
std::string KeyOf(events::Topic topic, const google::protobuf::MessageLite& record) {
  switch (topic) {
    case events::Topic::kUsers: {
      const auto& of_user = static_cast<const events::v1::UserRecord&>(record);
      return of_user.has_delivery() ? std::string(xmpp::BareOf(of_user.delivery().stanza().to())) : "";
    }
    case events::Topic::kRooms:
      return static_cast<const events::v1::RoomRecord&>(record).verdict().room();
    default:
      return static_cast<const events::v1::MessageEvent&>(record).owner();
  }
}

}  // namespace

void OutcomeWriter::Fill(RoomShard& shard, const Cause& cause, std::uint32_t part,
                         events::v1::UserRecord& record) const {
  owner_.FillOrigin(shard, cause.offset, part, *record.mutable_origin());
  record.set_trace_id(cause.trace_id);
  record.set_received_at_ms(cause.received_at_ms);
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
      events::v1::UserRecord record;
      Fill(shard, cause, ++part, record);
      const xmpp::LentStanza lent(*record.mutable_delivery(), said.stanza);
      const std::string_view key = xmpp::BareOf(said.stanza.to());
      Append(shard, slot.appends, cause.offset, events::Topic::kUsers,
             topology_.PartitionOf(events::Topic::kUsers, key), key, record);
      continue;
    }
    metrics_.deliveries.Increment(static_cast<double>(said.recipients->size()));
    Group(slot, said.recipients);
    part = sharding::SplitFanout(slot.groups, part, [&](const sharding::FanoutRecord& fanout) {
      events::v1::UserRecord record;
      Fill(shard, cause, fanout.part, record);
      const xmpp::LentStanza lent(*record.mutable_fanout(), said.stanza);
      auto& recipients = *record.mutable_fanout()->mutable_recipients();
      recipients.Reserve(static_cast<int>(fanout.recipients.size()));
      for (const sharding::Recipient& recipient : fanout.recipients)
        if (said.IsFor(recipient.address)) recipients.Add(std::string(recipient.address));
      if (recipients.empty()) return;
      Append(shard, slot.appends, cause.offset, events::Topic::kUsers, fanout.partition, {}, record);
    });
  }
  std::uint32_t archive_part = kArchiveParts;
  for (const v1::PastMessage& message : outcome.archived) {
    metrics_.archived.Increment();
    events::v1::MessageEvent event;
    owner_.FillOrigin(shard, cause.offset, ++archive_part, *event.mutable_origin());
    event.set_owner(slot.room_jid);
    event.set_archive_id(message.archive_id());
    event.set_direction(events::v1::MESSAGE_DIRECTION_RECEIVED);
    const xmpp::LentStanza lent(event, message.stanza());
    event.set_received_at_ms(message.received_at_ms());
    event.set_trace_id(cause.trace_id);
    Append(shard, slot.appends, cause.offset, events::Topic::kMessages,
           topology_.PartitionOf(events::Topic::kMessages, slot.room_jid), slot.room_jid, event);
  }
}

void OutcomeWriter::WriteAnswer(RoomShard& shard, const Cause& cause, const xmpp::Stanza& answer) {
  events::v1::UserRecord record;
  Fill(shard, cause, 1, record);
  const xmpp::LentStanza lent(*record.mutable_delivery(), answer);
  const std::string_view key = xmpp::BareOf(answer.to());
  Append(shard, nullptr, cause.offset, events::Topic::kUsers,
         topology_.PartitionOf(events::Topic::kUsers, key), key, record);
}

void OutcomeWriter::WriteVerdict(RoomShard& shard, const Cause& cause,
                                 const events::v1::RoomVerdict& verdict) {
  events::v1::RoomRecord record;
  // A decision of this owner: behind a newer one's fence it is refused by everybody who reads it, also where
  // the record is applied again later. A repetition changes nothing, since the first one that is read holds.
  owner_.FillOrigin(shard, *record.mutable_origin());
  record.set_trace_id(cause.trace_id);
  record.set_received_at_ms(cause.received_at_ms);
  *record.mutable_verdict() = verdict;
  Append(shard, nullptr, cause.offset, events::Topic::kRooms, shard.number, verdict.room(), record);
}

void OutcomeWriter::Append(RoomShard& shard, std::shared_ptr<Appends> appends, std::int64_t offset,
                           events::Topic topic, std::uint32_t partition, std::string_view key,
                           const google::protobuf::MessageLite& record) {
  shard.window.Hold(offset);
  if (appends) ++appends->open;
  owner_.Append(shard, topic, partition, key, record,
                [this, appends = std::move(appends), offset, topic, partition](
                    RoomShard& from, const absl::StatusOr<std::int64_t>& appended) {
                  // Given up with the shard: its next owner says it.
                  if (from.released() || absl::IsAborted(appended.status())) return;
                  if (appended.ok()) return Finish(from, appends.get(), offset);
                  metrics_.records_refused.Increment();
                  std::optional<std::string> bytes = events::RefusedRecord(appended.status());
                  telemetry::LogError("record.refused", {{"topic", events::Name(topic)},
                                                         {"partition", partition},
                                                         {"error", appended.status().message()}});
                  if (absl::IsInvalidArgument(appended.status()) || !bytes) {
                    metrics_.records_lost.Increment();
                    return Finish(from, appends.get(), offset);
                  }
                  from.Spawn("record.say_again", SayAgain(from.shared_from_this(), appends, offset, topic,
                                                          partition, *std::move(bytes)));
                });
}

Task<void> OutcomeWriter::SayAgain(std::shared_ptr<sharding::Shard> shard, std::shared_ptr<Appends> appends,
                                   std::int64_t offset, events::Topic topic, std::uint32_t partition,
                                   std::string bytes) {
  const std::unique_ptr<google::protobuf::MessageLite> record = MakeRecord(topic);
  if (!record->ParseFromString(bytes)) co_return;
  sharding::ShardOwner::Place place{topic, partition, KeyOf(topic, *record)};
  (void)co_await owner_.AppendUntilTaken(shard, std::move(place), [&] { return record.get(); });
  Finish(*shard, appends.get(), offset);
}

void OutcomeWriter::Finish(sharding::Shard& shard, Appends* appends, std::int64_t offset) {
  shard.window.Release(offset);
  if (appends != nullptr && --appends->open == 0) appends->all_done.Notify();
}

}  // namespace rookery::muc
