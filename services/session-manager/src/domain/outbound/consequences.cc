#include "domain/outbound/consequences.h"

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "domain/features/feature_hooks.h"
#include "domain/outbound/confirmations.h"
#include "domain/settings.h"
#include "rookery/events/partition.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/lent_stanza.h"

namespace rookery::session_manager {

namespace {

xmpp::ErrorCondition ConditionOf(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) ? xmpp::ErrorCondition::kPolicyViolation
                                          : xmpp::ErrorCondition::kInternalServerError;
}

std::string_view TextOf(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) ? "the stanza is too large" : "the stanza could not be stored";
}

/// The stanza of a record, if it brings one, and how.
struct Brought {
  enum class By : std::uint8_t { kNothing, kDelivery, kFanout, kSentCopy, kOutbound };
  By by = By::kNothing;
  const xmpp::Stanza* stanza = nullptr;
  /// Set for a fan-out.
  google::protobuf::RepeatedPtrField<std::string>* recipients = nullptr;
};

Brought In(events::v1::UserRecord& record) {
  if (record.has_delivery()) return {Brought::By::kDelivery, &record.delivery().stanza()};
  if (record.has_sent_copy()) return {Brought::By::kSentCopy, &record.sent_copy().stanza()};
  if (record.has_outbound()) return {Brought::By::kOutbound, &record.outbound().stanza()};
  if (!record.has_fanout()) return {};
  return {Brought::By::kFanout, &record.fanout().stanza(), record.mutable_fanout()->mutable_recipients()};
}

Brought In(events::v1::RoomRecord& record) {
  if (!record.has_delivery()) return {};
  return {Brought::By::kDelivery, &record.delivery().stanza()};
}

/// Whether it is what a client has sent by way of the log of its own shard (`Outbound`) and has to be told
/// of. Said again it would come behind what the client has sent since.
bool IsSentByClient(const Brought& brought) {
  if (brought.by != Brought::By::kDelivery) return false;
  const xmpp::Stanza& stanza = *brought.stanza;
  const bool is_message = stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() != "error";
  const bool is_request =
      stanza.kind() == common::v1::STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set");
  return is_message || is_request;
}

}  // namespace

struct Consequences::FollowUp {
  Consequences& self;
  Cause cause;
  bool is_ours;
  std::function<void(std::int64_t)> then;

  void operator()(Shard&, std::int64_t offset) const {
    if (cause.session) self.confirmations_.Finish(cause.session, cause.count);
    if (cause.end) cause.end->Finish();
    if (then) then(offset);
  }

  template <typename Record>
  sharding::AfterRefusal OnRefused(Shard& from, const absl::Status& why, Record& record) {
    const Brought brought = In(record);
    if (cause.session) {
      if (!is_ours || absl::IsInvalidArgument(why)) return Refuse(brought, why);
      if (brought.by == Brought::By::kFanout && !cause.session->ended()) NotePresence(*brought.stanza);
    } else if (cause.offset >= 0 || cause.end) {
      if (IsSentByClient(brought)) return AnswerWithError(from, why, record, *brought.stanza);
    } else if (self.follow_ups_.waiting() >= self.settings_.max_refused_records) {
      // Only records that nobody waits for are given up: the others are bounded by who waits (a shard's
      // window, a session's stanzas).
      return sharding::AfterRefusal::kLost;
    }
    return sharding::AfterRefusal::kSayAgain;
  }

  template <typename Record>
  bool IsWanted(Shard& from, Record& record) const {
    const Brought brought = In(record);
    const bool is_news = brought.by == Brought::By::kDelivery || brought.by == Brought::By::kFanout;
    return !is_news || !self.news_->RemoveOutdated(from, *brought.stanza, brought.recipients);
  }

 private:
  /// The client is told.
  sharding::AfterRefusal Refuse(const Brought& brought, const absl::Status& why) const {
    if (cause.session->ended()) return sharding::AfterRefusal::kHandled;
    if (brought.stanza == nullptr || brought.by == Brought::By::kSentCopy)
      return sharding::AfterRefusal::kLost;
    self.refusals_->OnRefused(cause.session, *brought.stanza, ConditionOf(why), TextOf(why));
    return sharding::AfterRefusal::kHandled;
  }
  /// Where its presence is said again, the session waits for that.
  void NotePresence(const xmpp::Stanza& presence) {
    std::function<void()> said = self.news_->OnRefused(cause.session, presence);
    if (!said) return;
    then = [said = std::move(said), before = std::move(then)](std::int64_t offset) {
      said();
      if (before) before(offset);
    };
  }
  template <typename Record>
  sharding::AfterRefusal AnswerWithError(Shard& from, const absl::Status& why, const Record& record,
                                         const xmpp::Stanza& stanza) const {
    Cause error;
    error.offset = cause.offset;
    error.trace_id = record.trace_id();
    error.parts = part_numbers::BeforeRefusal(record.origin().log().part());
    self.AppendDelivery(from, error, xmpp::MakeError(stanza, ConditionOf(why), TextOf(why)));
    return sharding::AfterRefusal::kHandled;
  }
};

void Consequences::AppendRecord(Shard& from, Cause& cause, std::uint32_t partition, std::string_view key,
                                events::v1::UserRecord& record, std::function<void(std::int64_t)> then) {
  // A client cannot tell whom the presence that we hold must reach, nor what the archive is to have.
  const bool is_ours = record.has_fanout() || record.has_sent_copy();
  Append(from, cause, {events::Topic::kUsers, partition, is_ours}, key, record, std::move(then));
}

template <typename Record>
void Consequences::Append(Shard& from, Cause& cause, const Place& place, std::string_view key, Record& record,
                          std::function<void(std::int64_t)> then) {
  // A turn that outlived its shard: the next owner does its work.
  if (from.released()) return;
  record.set_trace_id(cause.trace_id);
  if (record.received_at_ms() == 0) record.set_received_at_ms(clock_.UnixMillisNow());
  const sharding::FollowUpWriter::Cause opened = Open(from, cause, *record.mutable_origin());
  follow_ups_.Append(from, opened, {place.topic, place.partition, key}, record,
                     FollowUp{*this, cause, place.is_ours, std::move(then)});
}

sharding::FollowUpWriter::Cause Consequences::Open(Shard& from, Cause& cause, events::v1::Origin& origin) {
  if (cause.session) {
    ++cause.parts;
    auto& client = *origin.mutable_client();
    client.set_session_id(cause.session->id.str());
    client.set_count(cause.count);
    client.set_part(cause.parts);
    client.set_confirmed_count(cause.session->inbound.seen_confirmed());
    if (!cause.session->inbound.NoteRecord(cause.count)) {
      metrics_.records_out_of_order.Increment();
      telemetry::LogError("record.out_of_order", {{"shard", from.number}, {"count", cause.count}});
    }
    cause.session->inbound.Open(cause.count);
    return {};
  }
  if (cause.offset >= 0 && cause.offset < from.window.cursor()) {
    // Finished, says the shard's cursor: it has no number left for what follows.
    metrics_.causes_finished.Increment();
    telemetry::LogError("record.cause_finished", {{"shard", from.number}, {"offset", cause.offset}});
    cause.offset = -1;
  }
  if (cause.end) ++cause.end->open;
  if (cause.offset < 0) return {};
  return {cause.offset, ++cause.parts};
}

template <typename Record>
void Consequences::AppendStanza(Shard& from, Cause& cause, const Place& place, const xmpp::Stanza& stanza,
                                std::function<void(std::int64_t)> then) {
  Record record;
  const xmpp::LentStanza lent(*record.mutable_delivery(), stanza);
  if constexpr (std::is_same_v<Record, events::v1::RoomRecord>)
    record.set_account_generation(cause.account_generation);
  Append(from, cause, place, xmpp::BareOf(stanza.to()), record, std::move(then));
}

void Consequences::AppendDelivery(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                                  std::function<void(std::int64_t)> then) {
  const std::optional<events::Home> home = addresses_.HomeOf(stanza.to());
  if (!home) return;
  const Place place{home->topic, home->partition, /*is_ours=*/false};
  if (home->topic == events::Topic::kUsers) {
    AppendStanza<events::v1::UserRecord>(from, cause, place, stanza, std::move(then));
  } else if (home->topic == events::Topic::kRooms) {
    AppendStanza<events::v1::RoomRecord>(from, cause, place, stanza, std::move(then));
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
  const std::uint32_t last = sharding::SplitFanout(
      users, part, stanza, [&](const sharding::FanoutRecord& some, events::v1::UserRecord& record) {
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
  // The numbers of what follows from a client's stanza have to rise.
  const bool is_counted = cause.session != nullptr;
  std::sort(rooms.begin(), rooms.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  for (const sharding::Recipient& room : rooms) {
    one.set_to(room.address.data(), room.address.size());
    cause.parts = is_counted ? part++ : PartFor(one, room.address) - 1;
    AppendStanza<events::v1::RoomRecord>(from, cause,
                                         {events::Topic::kRooms, room.partition, /*is_ours=*/true}, one);
  }
  cause.parts = std::max(last, part);
}

std::uint32_t Consequences::PartFor(const xmpp::Stanza& stanza, std::string_view address) {
  return part_numbers::OfAddress(events::Murmur2(std::string(stanza.from()).append("\n").append(address)));
}

void Consequences::AppendBroadcast(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                                   std::vector<std::string> recipients) {
  if (const User* const user = from.FindUser(xmpp::BareOf(stanza.from())))
    features_.FilterRecipients(*user, recipients);
  AppendFanout(from, cause, stanza, recipients);
}

}  // namespace rookery::session_manager
