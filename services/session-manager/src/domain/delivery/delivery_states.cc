#include "domain/delivery/delivery_states.h"

#include <algorithm>

#include "rookery/base/backoff_delays.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

namespace {
/// So many recipients, or senders, it takes at least to fill a shard's writer.
constexpr std::size_t kRecipients = 8;
constexpr std::size_t kSenders = 16;
}  // namespace

ShardDelivery& DeliveryStates::Of(Shard& shard) {
  if (!shard.delivery) {
    shard.delivery = std::make_shared<ShardDelivery>();
    StoreWriter::Limits limits;
    limits.waiting_rows = static_cast<std::size_t>(settings_.max_store_waiting);
    limits.waiting_bytes = static_cast<std::size_t>(settings_.max_store_waiting_bytes);
    // Messages that the store would refuse need not wait for it.
    limits.shares.of_recipient = {
        std::min(limits.waiting_rows / kRecipients, static_cast<std::size_t>(settings_.max_offline_messages)),
        std::min(limits.waiting_bytes / kRecipients, static_cast<std::size_t>(settings_.max_offline_bytes))};
    limits.shares.of_sender = {limits.waiting_rows / kSenders, limits.waiting_bytes / kSenders};
    limits.shares.of_sessions = {std::max<std::size_t>(limits.waiting_rows / kSenders, 1),
                                 std::max<std::size_t>(limits.waiting_bytes / kSenders, 1)};
    shard.delivery->writer = std::make_shared<StoreWriter>(
        executor_, store_, metrics_, limits, kBackendRetries, shard, [this] { owner_.NoteTime(); },
        [this, &shard] { owner_.Doubt(shard.shared_from_this()); });
  }
  return *shard.delivery;
}

void DeliveryStates::ContinueWriting(Shard& shard) {
  if (shard.delivery) shard.delivery->writer->Continue();
}

void DeliveryStates::AbandonWrites(Shard& shard) {
  if (shard.delivery) shard.delivery->writer->Abandon();
}

}  // namespace rookery::session_manager
