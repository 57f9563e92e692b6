#include "domain/delivery/delivery_states.h"

#include "rookery/base/backoff_delays.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

ShardDelivery& DeliveryStates::Of(Shard& shard) {
  if (!shard.delivery) {
    shard.delivery = std::make_shared<ShardDelivery>();
    StoreWriter::Limits limits;
    limits.waiting_rows = static_cast<std::size_t>(settings_.max_store_waiting);
    limits.waiting_bytes = static_cast<std::size_t>(settings_.max_store_waiting_bytes);
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
