#include "domain/records/refused_records.h"

#include <utility>

#include "domain/metrics.h"
#include "domain/records/shards.h"
#include "domain/settings.h"
#include "rookery/base/status.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

namespace {

std::unique_ptr<google::protobuf::MessageLite> MakeRecord(events::Topic topic) {
  if (topic == events::Topic::kMessages) return std::make_unique<events::v1::MessageEvent>();
  if (topic == events::Topic::kPresence) return std::make_unique<events::v1::PresenceEvent>();
  return std::make_unique<events::v1::UserRecord>();
}

/// As it was when it was said first (protos/README.md).
std::string KeyOf(events::Topic topic, const google::protobuf::MessageLite& record) {
  if (topic == events::Topic::kMessages) return static_cast<const events::v1::MessageEvent&>(record).owner();
  if (topic == events::Topic::kPresence)
    return std::string(xmpp::BareOf(static_cast<const events::v1::PresenceEvent&>(record).jid()));
  const auto& of_user = static_cast<const events::v1::UserRecord&>(record);
  if (of_user.has_delivery()) return std::string(xmpp::BareOf(of_user.delivery().stanza().to()));
  if (of_user.has_sent_copy()) return std::string(xmpp::BareOf(of_user.sent_copy().stanza().from()));
  if (of_user.has_account_removed()) return of_user.account_removed().jid();
  if (of_user.has_credentials_changed()) return of_user.credentials_changed().jid();
  return {};
}

}  // namespace

bool RefusedRecords::SayAgain(Shard& from, events::Topic topic, std::uint32_t partition,
                              const absl::Status& why, std::function<void()> done) {
  NoteRefusal(why);
  std::optional<std::string> bytes;
  // What somebody waits for is bounded by who waits: a shard's window, a session's stanzas.
  if (!absl::IsInvalidArgument(why) && (done || waiting_ < settings_.max_refused_records))
    bytes = events::RefusedRecord(why);
  Record record = MakeRecord(topic);
  if (!bytes || !record->ParseFromString(*bytes)) {
    NoteLoss();
    if (done) done();
    return false;
  }
  if (topic == events::Topic::kUsers) {
    // By then the client may have sent more, and what bears the number of this would be taken for said.
    auto& origin = *static_cast<events::v1::UserRecord&>(*record).mutable_origin();
    if (origin.has_client()) origin.clear_client();
  }
  auto counted = std::make_unique<Counted>(waiting_);
  from.Spawn("record.say_again", Repeat(std::move(counted), shards_.Shared(from.number), topic, partition,
                                        std::move(record), std::move(done)));
  return true;
}

Task<void> RefusedRecords::Repeat(std::unique_ptr<Counted>, std::shared_ptr<Shard> from, events::Topic topic,
                                  std::uint32_t partition, Record record, std::function<void()> done) {
  co_await runtime::Sleep(sharding::ShardOwner::kSayAgain.first);
  const auto next = [&]() -> const google::protobuf::MessageLite* {
    const bool is_outdated = topic == events::Topic::kUsers &&
                             news_->RemoveOutdated(*from, static_cast<events::v1::UserRecord&>(*record));
    return is_outdated ? nullptr : record.get();
  };
  (void)co_await owner_.AppendUntilTaken(from, {topic, partition, KeyOf(topic, *record)}, next);
  if (done) done();
}

void RefusedRecords::NoteRefusal(const absl::Status& status) {
  metrics_.records_refused.Increment();
  telemetry::LogError("record.refused", {{"error", Message(status)}});
}

void RefusedRecords::NoteLoss() {
  metrics_.records_lost.Increment();
  telemetry::LogError("record.lost", {});
}

}  // namespace rookery::session_manager
