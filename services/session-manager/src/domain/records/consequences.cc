#include "domain/records/consequences.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "domain/feature_hooks.h"
#include "domain/records/refused_records.h"
#include "domain/sessions/confirmations.h"
#include "rookery/events/log.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/lent_stanza.h"

namespace rookery::session_manager {

namespace {

/// Of the recipients of one record, so that it is never too large for the log.
constexpr std::size_t kFanoutBytes = 256 * 1024;

/// Of what follows from a record, the numbers of errors for what the log has refused: above those of the
/// rest.
constexpr std::uint32_t kRefusalParts = 1u << 30;

xmpp::ErrorCondition ConditionOf(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) ? xmpp::ErrorCondition::kPolicyViolation
                                          : xmpp::ErrorCondition::kInternalServerError;
}

std::string_view TextOf(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) ? "the stanza is too large" : "the stanza could not be stored";
}

/// The refused record, if it brings what a client has sent by way of the log of its own shard (`Outbound`)
/// and has to be told of. Said again it would come behind what the client has sent since.
std::optional<events::v1::UserRecord> AsSentByClient(const absl::Status& refusal) {
  events::v1::UserRecord record;
  const std::optional<std::string> bytes = events::RefusedRecord(refusal);
  if (!bytes || !record.ParseFromString(*bytes) || !record.has_delivery()) return std::nullopt;
  const xmpp::Stanza& stanza = record.delivery().stanza();
  const bool is_message = stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() != "error";
  const bool is_request =
      stanza.kind() == common::v1::STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set");
  if (!is_message && !is_request) return std::nullopt;
  return record;
}

}  // namespace

void Consequences::FillOrigin(Shard& from, Cause& cause, events::v1::UserRecord& record) const {
  events::v1::Origin& origin = *record.mutable_origin();
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
  record.set_trace_id(cause.trace_id);
  if (record.received_at_ms() == 0) record.set_received_at_ms(clock_.UnixMillisNow());
}

void Consequences::AppendRecord(Shard& from, Cause& cause, std::uint32_t partition, std::string_view key,
                                events::v1::UserRecord& record, std::function<void(std::int64_t)> then) {
  // A turn that outlived its shard: the next owner does its work.
  if (from.released()) return;
  if (!cause.session && cause.offset >= 0 && cause.offset < from.window.cursor()) {
    // Whoever reads it would take it for said before: rather twice than never.
    metrics_.causes_finished.Increment();
    telemetry::LogError("record.cause_finished", {{"shard", from.number}, {"offset", cause.offset}});
    cause.offset = -1;
  }
  const bool is_in_order = !cause.session || cause.session->inbound.NoteRecord(cause.count);
  FillOrigin(from, cause, record);
  if (!is_in_order) {
    // The same, by the session's count (README.md, O3).
    metrics_.records_out_of_order.Increment();
    telemetry::LogError("record.out_of_order", {{"shard", from.number}, {"count", cause.count}});
    record.mutable_origin()->clear_client();
  }
  const auto append = [&](auto done) {
    owner_.Append(from, events::Topic::kUsers, partition, key, record, std::move(done));
  };
  if (cause.session) {
    cause.session->inbound.Open(cause.count);
    append([this, session = cause.session, count = cause.count, partition, then = std::move(then)](
               Shard&, const absl::StatusOr<std::int64_t>& offset) {
      // Given up with the shard: the next owner is sent the stanza again.
      if (absl::IsAborted(offset.status())) return;
      if (!offset.ok() && SayAgainForClient(session, count, partition, offset.status())) return;
      if (!offset.ok()) Refuse(session, offset.status());
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
    append([this, partition, finish, offset = cause.offset](Shard& shard,
                                                            const absl::StatusOr<std::int64_t>& appended) {
      if (shard.released() || absl::IsAborted(appended.status())) return;
      if (appended.ok()) {
        finish(shard);
      } else if (const auto refused = AsSentByClient(appended.status())) {
        refused_.NoteRefusal(appended.status());
        Cause error;
        error.offset = offset;
        error.trace_id = refused->trace_id();
        error.parts = kRefusalParts | refused->origin().log().part();
        AppendDelivery(shard, error,
                       xmpp::MakeError(refused->delivery().stanza(), ConditionOf(appended.status()),
                                       TextOf(appended.status())));
        finish(shard);
      } else {
        refused_.SayAgain(shard, events::Topic::kUsers, partition, appended.status(),
                          [kept = shards_.Shared(shard.number), finish] { finish(*kept); });
      }
    });
  } else {
    append([this, partition, then = std::move(then)](Shard& shard,
                                                     const absl::StatusOr<std::int64_t>& appended) {
      if (shard.released() || absl::IsAborted(appended.status())) return;
      const bool is_to_come =
          !appended.ok() && refused_.SayAgain(shard, events::Topic::kUsers, partition, appended.status(), {});
      if (then && !is_to_come) then(appended.value_or(-1));
    });
  }
}

bool Consequences::SayAgainForClient(const std::shared_ptr<Session>& session, std::uint64_t count,
                                     std::uint32_t partition, const absl::Status& status) {
  events::v1::UserRecord record;
  const std::optional<std::string> bytes = events::RefusedRecord(status);
  if (absl::IsInvalidArgument(status) || !bytes || !record.ParseFromString(*bytes)) return false;
  // Whom the presence that we hold must reach, and what the archive is to have, the client cannot tell.
  if (!record.has_fanout() && !record.has_sent_copy()) return false;
  Shard* const shard = shards_.Find(addresses_.ShardOf(session->jid.bare()));
  if (shard == nullptr) return true;  // the next owner is sent the stanza again
  std::function<void()> said;
  if (record.has_fanout() && !session->ended())
    said = refused_.news().OnRefused(session, record.fanout().stanza());
  refused_.SayAgain(*shard, events::Topic::kUsers, partition, status,
                    [this, session, count, said = std::move(said)] {
                      if (said) said();
                      confirmations_.Finish(session, count);
                    });
  return true;
}

void Consequences::Refuse(const std::shared_ptr<Session>& session, const absl::Status& status) {
  events::v1::UserRecord record;
  const std::optional<std::string> bytes = events::RefusedRecord(status);
  const bool is_known = bytes && record.ParseFromString(*bytes);
  refused_.NoteRefusal(status);
  if (session->ended() || !is_known) return;
  const xmpp::Stanza* stanza = nullptr;
  if (record.has_delivery()) stanza = &record.delivery().stanza();
  if (record.has_fanout()) stanza = &record.fanout().stanza();
  if (record.has_outbound()) stanza = &record.outbound().stanza();
  if (stanza == nullptr) {
    refused_.NoteLoss();
    return;
  }
  refusals_->OnRefused(session, *stanza, ConditionOf(status), TextOf(status));
}

void Consequences::AppendDelivery(Shard& from, Cause& cause, const xmpp::Stanza& stanza) {
  events::v1::UserRecord record;
  const std::string_view key = xmpp::BareOf(stanza.to());
  const xmpp::LentStanza lent(*record.mutable_delivery(), stanza);
  AppendRecord(from, cause, addresses_.ShardOf(key), key, record);
}

void Consequences::AppendFanout(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                                const std::vector<std::string>& recipients) {
  std::map<std::uint32_t, std::vector<const std::string*>> by_shard;
  for (const std::string& recipient : recipients)
    by_shard[addresses_.ShardOf(xmpp::BareOf(recipient))].push_back(&recipient);
  // The same numbers in each partition: what follows from the same cause a second time must have the
  // same ones, also where the recipients in other partitions have changed.
  const std::uint32_t first = cause.parts;
  std::uint32_t last = first;
  for (auto& [partition, some] : by_shard) {
    cause.parts = first;
    for (std::size_t next = 0; next < some.size();) {
      events::v1::UserRecord record;
      const xmpp::LentStanza lent(*record.mutable_fanout(), stanza);
      for (std::size_t bytes = 0; next < some.size() && bytes < kFanoutBytes; ++next) {
        bytes += some[next]->size();
        record.mutable_fanout()->add_recipients(*some[next]);
      }
      AppendRecord(from, cause, partition, {}, record);
    }
    last = std::max(last, cause.parts);
  }
  cause.parts = last;
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
