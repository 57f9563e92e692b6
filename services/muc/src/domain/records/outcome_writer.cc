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

bool IsPresence(const xmpp::Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_PRESENCE &&
         (stanza.type().empty() || stanza.type() == "unavailable");
}

}  // namespace

/// Does what is due when the log has a record, or refuses it. Nobody is told old news of an occupant after
/// new ones: the log reports the records of a partition in their order, so that one that was refused is known
/// when a newer one is taken.
struct OutcomeWriter::FollowUp {
  std::shared_ptr<Appends> appends;
  std::int64_t offset;
  std::shared_ptr<const Presence> presence;
  std::uint32_t partition;
  std::shared_ptr<RefusedPresence> refused = nullptr;

  void operator()(RoomShard& shard, std::int64_t appended) {
    if (refused) Forget(shard);
    if (presence && appended >= 0 && !shard.refused_presences.empty()) NoteNews(shard);
    if (appends && --appends->open == 0) appends->all_done.Notify();
  }

  sharding::AfterRefusal OnRefused(RoomShard& shard, const absl::Status& why,
                                   events::v1::UserRecord& record) {
    if (presence && !absl::IsInvalidArgument(why)) {
      refused = std::make_shared<RefusedPresence>();
      refused->offset = offset;
      refused->partition = partition;
      if (record.has_delivery()) refused->recipients.insert(record.delivery().stanza().to());
      for (const std::string& recipient : record.fanout().recipients()) refused->recipients.insert(recipient);
      shard.refused_presences.emplace(presence->occupant, refused);
    }
    return sharding::AfterRefusal::kSayAgain;
  }

  // What goes to the archive, and what the shard says to itself, is said again as it is.
  template <typename Record>
  sharding::AfterRefusal OnRefused(RoomShard&, const absl::Status&, Record&) {
    return sharding::AfterRefusal::kSayAgain;
  }
  template <typename Record>
  bool IsWanted(RoomShard&, Record&) const {
    return true;
  }

  bool IsWanted(RoomShard&, events::v1::UserRecord& record) const {
    if (!refused) return true;
    if (record.has_delivery()) return !refused->recipients.empty();
    auto& recipients = *record.mutable_fanout()->mutable_recipients();
    recipients.erase(std::remove_if(recipients.begin(), recipients.end(),
                                    [&](const std::string& recipient) {
                                      return !refused->recipients.contains(recipient);
                                    }),
                     recipients.end());
    return !recipients.empty();
  }

 private:
  void Forget(RoomShard& shard) {
    const auto [first, last] = shard.refused_presences.equal_range(presence->occupant);
    const auto own = std::find_if(first, last, [&](const auto& entry) { return entry.second == refused; });
    if (own != last) shard.refused_presences.erase(own);
  }
  void NoteNews(RoomShard& shard) const {
    const auto [first, last] = shard.refused_presences.equal_range(presence->occupant);
    for (auto older = first; older != last; ++older) {
      if (older->second->offset >= offset || older->second->partition != partition) continue;
      auto& untold = older->second->recipients;
      if (presence->recipients == nullptr) {
        untold.erase(presence->recipient);
      } else {
        for (const std::string& recipient : *presence->recipients)
          if (presence->except.empty() || xmpp::BareOf(recipient) != presence->except)
            untold.erase(recipient);
      }
    }
  }
};

std::shared_ptr<const OutcomeWriter::Presence> OutcomeWriter::PresenceIn(const Outcome::Said& said) {
  const xmpp::Stanza& stanza = said.stanza;
  if (!IsPresence(stanza) || xmpp::ResourceOf(stanza.from()).empty()) return nullptr;
  auto presence = std::make_shared<Presence>();
  presence->occupant = stanza.from();
  presence->recipients = said.recipients;
  presence->except = said.except;
  if (!said.recipients) presence->recipient = stanza.to();
  return presence;
}

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
    const std::shared_ptr<const Presence> presence = PresenceIn(said);
    if (!said.recipients) {
      metrics_.deliveries.Increment();
      WriteTo(shard, slot.appends, cause, ++part, said.stanza, presence);
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
                                          {events::Topic::kUsers, fanout.partition, {}}, record, presence);
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
  WriteTo(shard, nullptr, cause, /*part=*/1, answer, /*presence=*/nullptr);
}

void OutcomeWriter::WriteTo(RoomShard& shard, std::shared_ptr<Appends> appends, const Cause& cause,
                            std::uint32_t part, const xmpp::Stanza& stanza,
                            std::shared_ptr<const Presence> presence) {
  events::v1::UserRecord record;
  const xmpp::LentStanza lent(*record.mutable_delivery(), stanza);
  Append(shard, std::move(appends), cause, part, PlaceOf(events::Topic::kUsers, xmpp::BareOf(stanza.to())),
         record, std::move(presence));
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
                           Record& record, std::shared_ptr<const Presence> presence) {
  record.set_trace_id(cause.trace_id);
  if (record.received_at_ms() == 0) record.set_received_at_ms(cause.received_at_ms);
  if (appends) ++appends->open;
  writer_.Append(shard, {cause.offset, part}, place, record,
                 FollowUp{std::move(appends), cause.offset, std::move(presence), place.partition});
}

}  // namespace rookery::muc
