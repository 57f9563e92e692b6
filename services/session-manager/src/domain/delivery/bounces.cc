#include "domain/delivery/bounces.h"

#include <utility>

#include "domain/metrics.h"
#include "domain/outbound/consequences.h"
#include "domain/state/part_numbers.h"

namespace rookery::session_manager {

void Bounces::Bounce(Shard& shard, const Delivery& delivery, xmpp::ErrorCondition condition,
                     std::string_view text) {
  Cause cause;
  cause.offset = delivery.offset;
  Append(shard, std::move(cause), delivery, condition, text);
}

void Bounces::BounceEnded(Shard& shard, const std::shared_ptr<EndWrites>& end, const Delivery& delivery,
                          xmpp::ErrorCondition condition, std::string_view text) {
  Cause cause;
  cause.end = end;
  cause.offset = end->record;
  // Whichever owner says it gives it this number.
  cause.parts = part_numbers::BeforeError(end->record - delivery.offset);
  Append(shard, std::move(cause), delivery, condition, text);
}

void Bounces::BounceByRecord(Shard& shard, std::string_view user, const Delivery& delivery,
                             xmpp::ErrorCondition condition, std::string_view text,
                             std::function<void(bool)> then) {
  Cause decision;
  decision.trace_id = delivery.trace_id;
  events::v1::UserRecord record;
  auto& refused = *record.mutable_message_refused();
  refused.set_offset(delivery.offset);
  *refused.mutable_error() = xmpp::MakeError(delivery.stanza, condition, text);
  consequences_.AppendRecord(shard, decision, shard.number, user, record,
                             [then = std::move(then)](std::int64_t offset) { then(offset >= 0); });
}

bool Bounces::CanTell(const Delivery& delivery) {
  const xmpp::Stanza& stanza = delivery.stanza;
  if (stanza.type() == "error" || stanza.type() == "result" || stanza.from().empty()) return false;
  // Carbon copies and headlines never come back to anybody.
  return !xmpp::Has(stanza, common::v1::STANZA_TRAIT_CARBON);
}

void Bounces::Append(Shard& shard, Cause cause, const Delivery& delivery, xmpp::ErrorCondition condition,
                     std::string_view text) {
  if (!CanTell(delivery)) return;
  metrics_.bounced.Increment();
  cause.trace_id = delivery.trace_id;
  consequences_.AppendDelivery(shard, cause, xmpp::MakeError(delivery.stanza, condition, text));
}

}  // namespace rookery::session_manager
