#include "domain/records/refused_records.h"

#include <utility>

#include "domain/metrics.h"
#include "domain/records/shards.h"
#include "domain/settings.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

bool RefusedRecords::SayAgain(Shard& from, events::Topic topic, std::uint32_t partition,
                              const absl::Status& why, std::function<void()> done) {
  NoteRefusal(why);
  std::optional<ReturnedRecord> record;
  // What somebody waits for is bounded by who waits: a shard's window, a session's stanzas.
  if (!absl::IsInvalidArgument(why) && (done || waiting_ < settings_.max_refused_records))
    record = ReadReturned(topic, why);
  if (!record) {
    NoteLoss();
    if (done) done();
    return false;
  }
  // By then the client may have sent more, and what bears the number of this would be taken for said.
  if (record->origin != nullptr && record->origin->has_client()) record->origin->clear_client();
  auto counted = std::make_unique<Counted>(waiting_);
  from.Spawn("record.say_again", Repeat(std::move(counted), shards_.Shared(from.number), topic, partition,
                                        *std::move(record), std::move(done)));
  return true;
}

Task<void> RefusedRecords::Repeat(std::unique_ptr<Counted>, std::shared_ptr<Shard> from, events::Topic topic,
                                  std::uint32_t partition, ReturnedRecord record,
                                  std::function<void()> done) {
  co_await runtime::Sleep(sharding::ShardOwner::kSayAgain.first);
  const bool is_news =
      record.brings == ReturnedRecord::Brings::kDelivery || record.brings == ReturnedRecord::Brings::kFanout;
  const auto next = [&]() -> const google::protobuf::MessageLite* {
    const bool is_outdated = is_news && news_->RemoveOutdated(*from, *record.stanza, record.recipients);
    return is_outdated ? nullptr : record.message.get();
  };
  (void)co_await owner_.AppendUntilTaken(from, {topic, partition, record.key}, next);
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
