#include "domain/records/consequences.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "domain/feature_hooks.h"
#include "domain/records/refused_records.h"
#include "domain/records/returned_record.h"
#include "domain/sessions/confirmations.h"
#include "rookery/events/partition.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/lent_stanza.h"

namespace rookery::session_manager {

namespace {

/// Of what follows from a record, the numbers of errors for what the log has refused: above those of the
/// rest.
constexpr std::uint32_t kRefusalParts = 1u << 30;
/// And those of what a fan-out says to rooms, below these.
constexpr std::uint32_t kRoomParts = 1u << 29;

/// By what is said to whom: the next owner may know of fewer rooms that are to hear it, or of more.
std::uint32_t RoomPartOf(const xmpp::Stanza& stanza, std::string_view room) {
  return kRoomParts |
         (events::Murmur2(std::string(stanza.from()).append("\n").append(room)) & (kRoomParts - 1));
}

xmpp::ErrorCondition ConditionOf(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) ? xmpp::ErrorCondition::kPolicyViolation
                                          : xmpp::ErrorCondition::kInternalServerError;
}

std::string_view TextOf(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) ? "the stanza is too large" : "the stanza could not be stored";
}

/// Whether the refused record brings what a client has sent by way of the log of its own shard (`Outbound`)
/// and has to be told of. Said again it would come behind what the client has sent since.
bool IsSentByClient(const ReturnedRecord& refused) {
  if (refused.brings != ReturnedRecord::Brings::kDelivery) return false;
  const xmpp::Stanza& stanza = *refused.stanza;
  const bool is_message = stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() != "error";
  const bool is_request =
      stanza.kind() == common::v1::STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set");
  return is_message || is_request;
}

}  // namespace

void Consequences::FillOrigin(Shard& from, Cause& cause, events::v1::Origin& origin) const {
  if (cause.session) {
    owner_.FillOrigin(from, origin);
    auto& client = *origin.mutable_client();
    client.set_session_id(cause.session->id.str());
    client.set_count(cause.count);
    client.set_part(++cause.parts);
  } else if (cause.offset >= 0) {
    owner_.FillOrigin(from, cause.offset, ++cause.parts, origin);
  } else {
    owner_.FillOrigin(from, origin);
  }
}

void Consequences::AppendRecord(Shard& from, Cause& cause, std::uint32_t partition, std::string_view key,
                                events::v1::UserRecord& record, std::function<void(std::int64_t)> then) {
  // Whom the presence that we hold must reach, and what the archive is to have, a client cannot tell.
  const bool is_ours = record.has_fanout() || record.has_sent_copy();
  Append(from, cause, {events::Topic::kUsers, partition, is_ours}, key, record, std::move(then));
}

template <typename Record>
void Consequences::Append(Shard& from, Cause& cause, const Place& place, std::string_view key, Record& record,
                          std::function<void(std::int64_t)> then) {
  record.set_trace_id(cause.trace_id);
  if (record.received_at_ms() == 0) record.set_received_at_ms(clock_.UnixMillisNow());
  Append(from, cause, {place, key, record, *record.mutable_origin()}, std::move(then));
}

void Consequences::Append(Shard& from, Cause& cause, const Outgoing& outgoing,
                          std::function<void(std::int64_t)> then) {
  // A turn that outlived its shard: the next owner does its work.
  if (from.released()) return;
  if (!cause.session && cause.offset >= 0 && cause.offset < from.window.cursor()) {
    // Whoever reads it would take it for said before: rather twice than never.
    metrics_.causes_finished.Increment();
    telemetry::LogError("record.cause_finished", {{"shard", from.number}, {"offset", cause.offset}});
    cause.offset = -1;
  }
  const bool is_in_order = !cause.session || cause.session->inbound.NoteRecord(cause.count);
  FillOrigin(from, cause, outgoing.origin);
  if (!is_in_order) {
    // The same, by the session's count (README.md, O3).
    metrics_.records_out_of_order.Increment();
    telemetry::LogError("record.out_of_order", {{"shard", from.number}, {"count", cause.count}});
    outgoing.origin.clear_client();
  }
  const Place place = outgoing.place;
  const auto append = [&](auto done) {
    owner_.Append(from, place.topic, place.partition, outgoing.key, outgoing.record, std::move(done));
  };
  if (cause.session) {
    cause.session->inbound.Open(cause.count);
    append([this, session = cause.session, count = cause.count, place, then = std::move(then)](
               Shard&, const absl::StatusOr<std::int64_t>& offset) {
      // Given up with the shard: the next owner is sent the stanza again.
      if (absl::IsAborted(offset.status())) return;
      if (!offset.ok() && SayAgainForClient(session, count, place, offset.status())) return;
      if (!offset.ok()) Refuse(session, place, offset.status());
      confirmations_.Finish(session, count);
      if (then) then(offset.value_or(-1));
    });
  } else if (cause.offset >= 0 || cause.end) {
    from.window.Hold(cause.offset);
    if (cause.end) ++cause.end->open;
    const auto finish = [offset = cause.offset, end = cause.end](Shard& shard) {
      shard.window.Release(offset);
      if (end) end->Finish();
    };
    append([this, place, finish, offset = cause.offset](Shard& shard,
                                                        const absl::StatusOr<std::int64_t>& appended) {
      if (shard.released() || absl::IsAborted(appended.status())) return;
      if (appended.ok()) {
        finish(shard);
        return;
      }
      const auto refused = ReadReturned(place.topic, appended.status());
      if (refused && IsSentByClient(*refused)) {
        refused_.NoteRefusal(appended.status());
        Cause error;
        error.offset = offset;
        error.trace_id = refused->trace_id;
        error.parts = kRefusalParts | refused->origin->log().part();
        AppendDelivery(
            shard, error,
            xmpp::MakeError(*refused->stanza, ConditionOf(appended.status()), TextOf(appended.status())));
        finish(shard);
      } else {
        refused_.SayAgain(shard, place.topic, place.partition, appended.status(),
                          [kept = shards_.Shared(shard.number), finish] { finish(*kept); });
      }
    });
  } else {
    append([this, place, then = std::move(then)](Shard& shard, const absl::StatusOr<std::int64_t>& appended) {
      if (shard.released() || absl::IsAborted(appended.status())) return;
      const bool is_to_come =
          !appended.ok() && refused_.SayAgain(shard, place.topic, place.partition, appended.status(), {});
      if (then && !is_to_come) then(appended.value_or(-1));
    });
  }
}

bool Consequences::SayAgainForClient(const std::shared_ptr<Session>& session, std::uint64_t count,
                                     const Place& place, const absl::Status& status) {
  if (!place.is_ours || absl::IsInvalidArgument(status)) return false;
  const auto refused = ReadReturned(place.topic, status);
  if (!refused) return false;
  Shard* const shard = shards_.Find(addresses_.ShardOf(session->jid.bare()));
  if (shard == nullptr) return true;  // the next owner is sent the stanza again
  std::function<void()> said;
  if (refused->brings == ReturnedRecord::Brings::kFanout && !session->ended())
    said = refused_.news().OnRefused(session, *refused->stanza);
  refused_.SayAgain(*shard, place.topic, place.partition, status,
                    [this, session, count, said = std::move(said)] {
                      if (said) said();
                      confirmations_.Finish(session, count);
                    });
  return true;
}

void Consequences::Refuse(const std::shared_ptr<Session>& session, const Place& place,
                          const absl::Status& status) {
  const auto refused = ReadReturned(place.topic, status);
  refused_.NoteRefusal(status);
  if (session->ended() || !refused) return;
  const bool is_sent = refused->stanza != nullptr && refused->brings != ReturnedRecord::Brings::kSentCopy;
  if (!is_sent) {
    refused_.NoteLoss();
    return;
  }
  refusals_->OnRefused(session, *refused->stanza, ConditionOf(status), TextOf(status));
}

template <typename Record>
void Consequences::AppendStanza(Shard& from, Cause& cause, const Place& place, const xmpp::Stanza& stanza) {
  Record record;
  const xmpp::LentStanza lent(*record.mutable_delivery(), stanza);
  Append(from, cause, place, xmpp::BareOf(stanza.to()), record, {});
}

void Consequences::AppendDelivery(Shard& from, Cause& cause, const xmpp::Stanza& stanza) {
  const std::optional<events::Home> home = addresses_.HomeOf(stanza.to());
  if (!home) return;
  const Place place{home->topic, home->partition, /*is_ours=*/false};
  if (home->topic == events::Topic::kUsers) {
    AppendStanza<events::v1::UserRecord>(from, cause, place, stanza);
  } else if (home->topic == events::Topic::kRooms) {
    AppendStanza<events::v1::RoomRecord>(from, cause, place, stanza);
  }
}

void Consequences::AppendFanout(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                                const std::vector<std::string>& recipients) {
  std::vector<sharding::Recipient> users, rooms;
  users.reserve(recipients.size());
  for (const std::string& recipient : recipients) {
    const std::optional<events::Home> home = addresses_.HomeOf(recipient);
    if (!home) continue;
    if (home->topic == events::Topic::kUsers) users.push_back({home->partition, recipient});
    if (home->topic == events::Topic::kRooms) rooms.push_back({home->partition, recipient});
  }
  const std::uint32_t part = cause.parts;
  const std::uint32_t last = sharding::SplitFanout(users, part, [&](const sharding::FanoutRecord& some) {
    events::v1::UserRecord record;
    const xmpp::LentStanza lent(*record.mutable_fanout(), stanza);
    record.mutable_fanout()->mutable_recipients()->Reserve(static_cast<int>(some.recipients.size()));
    for (const sharding::Recipient& recipient : some.recipients)
      record.mutable_fanout()->add_recipients(recipient.address.data(), recipient.address.size());
    cause.parts = some.part - 1;
    AppendRecord(from, cause, some.partition, {}, record);
  });
  cause.parts = last;
  if (!rooms.empty()) AppendToRooms(from, cause, part, stanza, rooms);
}

void Consequences::AppendToRooms(Shard& from, Cause& cause, std::uint32_t part, const xmpp::Stanza& stanza,
                                 std::vector<sharding::Recipient>& rooms) {
  // Each has its own address in it.
  xmpp::Stanza one = stanza;
  const std::uint32_t last = cause.parts;
  // What follows from a client's stanza has to rise.
  const bool is_counted = cause.session != nullptr;
  std::sort(rooms.begin(), rooms.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  for (const sharding::Recipient& room : rooms) {
    one.set_to(room.address.data(), room.address.size());
    cause.parts = is_counted ? part++ : RoomPartOf(one, room.address) - 1;
    AppendStanza<events::v1::RoomRecord>(from, cause,
                                         {events::Topic::kRooms, room.partition, /*is_ours=*/true}, one);
  }
  cause.parts = std::max(last, part);
}

void Consequences::AppendBroadcast(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                                   std::vector<std::string> recipients) {
  if (const User* const user = from.FindUser(xmpp::BareOf(stanza.from())))
    features_.FilterRecipients(*user, recipients);
  AppendFanout(from, cause, stanza, recipients);
}

void Consequences::AppendEvent(Shard& from, events::Topic topic, std::string_view key,
                               const google::protobuf::MessageLite& event, std::int64_t holds_offset) {
  if (from.released()) return;
  const std::uint32_t partition = addresses_.topology().PartitionOf(topic, key);
  if (holds_offset >= 0) from.window.Hold(holds_offset);
  const auto finish = [holds_offset](Shard& shard) {
    if (holds_offset >= 0) shard.window.Release(holds_offset);
  };
  owner_.Append(from, topic, partition, key, event,
                [this, topic, partition, finish](Shard& shard, const absl::StatusOr<std::int64_t>& appended) {
                  if (shard.released() || absl::IsAborted(appended.status())) return;
                  if (appended.ok()) {
                    finish(shard);
                  } else {
                    refused_.SayAgain(shard, topic, partition, appended.status(),
                                      [kept = shards_.Shared(shard.number), finish] { finish(*kept); });
                  }
                });
}

}  // namespace rookery::session_manager
