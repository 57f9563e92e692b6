#include "domain/delivery/session_rows.h"

#include <utility>

#include "domain/addresses.h"
#include "domain/delivery/delivery_states.h"
#include "domain/state/shards.h"
#include "rookery/runtime/event.h"

namespace rookery::session_manager {

void SessionRows::Remove(Session& session, std::optional<std::uint64_t> up_to_seq) {
  const std::shared_ptr<EndWrites> ends = session.EndWritesOf();
  const WaitingStore::SessionKey key{std::string(session.jid.bare()), session.id.str()};
  if (ends->open == 0) {
    StartRemoval(key, up_to_seq, ends);
    return;
  }
  ends->remove = [this, key, up_to_seq, weak = std::weak_ptr(ends)] {
    if (const std::shared_ptr<EndWrites> open = weak.lock()) StartRemoval(key, up_to_seq, open);
  };
}

void SessionRows::StartRemoval(const WaitingStore::SessionKey& key, std::optional<std::uint64_t> up_to_seq,
                               const std::shared_ptr<EndWrites>& ends) {
  Shard* shard = shards_.Find(addresses_.ShardOf(key.owner));
  if (shard == nullptr) return;
  ++ends->open;
  auto done = [ends](const StoreWriter::Answer&) { ends->Finish(); };
  if (up_to_seq) {
    states_.WriterOf(*shard).RemovePackets(key, *up_to_seq, std::move(done));
  } else {
    states_.WriterOf(*shard).RemoveSession(key, std::move(done));
  }
}

void AfterEndWrites(const Session& session, std::function<void()> then) {
  const std::shared_ptr<EndWrites>& writes = session.rare().end_writes;
  if (writes && writes->open > 0) {
    writes->then.push_back(std::move(then));
  } else {
    then();
  }
}

Task<void> AwaitEndWrites(asio::any_io_executor executor, std::shared_ptr<Session> session) {
  const auto are_done = std::make_shared<runtime::Event>(std::move(executor));
  AfterEndWrites(*session, [are_done] { are_done->Set(); });
  co_await are_done->Wait();
}

}  // namespace rookery::session_manager
