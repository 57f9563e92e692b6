#pragma once

#include <cstdint>
#include <string_view>

#include "domain/core.h"
#include "rookery/events/v1/message_event.pb.h"

namespace rookery::session_manager {

/// Applies the records of our shards, each once, in their order for each user.
class RecordProcessor {
 public:
  explicit RecordProcessor(Core& core) : core_(core) {}

  /// A record of the topic `users` that has not been applied yet.
  void OnRecord(Shard& shard, std::shared_ptr<PendingRecord> record);
  /// When nothing that it must wait for is unfinished (RecordOrder).
  void Apply(User& user, PendingRecord& pending);

 private:
  /// Whether no feature refuses the stanza; else its sender has been told what there is to tell.
  bool IsWelcome(User& user, PendingRecord& pending);
  void ApplyFanout(Shard& shard, PendingRecord& pending);
  void ApplyMessage(User& user, PendingRecord& pending);
  void ApplyPresence(User& user, PendingRecord& pending);
  void ApplyIq(User& user, PendingRecord& pending);
  void ApplySentCopy(User& user, PendingRecord& pending);
  /// The message belongs in the user's history: tells the topic `messages`.
  void PublishEvent(const User& user, const PendingRecord& pending, const xmpp::Stanza& message,
                    events::v1::MessageDirection direction);
  std::shared_ptr<Delivery> MakeDelivery(PendingRecord& pending, xmpp::Stanza& stanza);

  Core& core_;
};

}  // namespace rookery::session_manager
