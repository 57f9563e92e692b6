#pragma once

#include <functional>
#include <memory>

#include "rookery/base/clock.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

struct Session;
struct Shard;
class Addresses;
class Shards;

/// The end of a session, as its gateway hears it. With the session the gateway forgets what
/// its client has had, which only it could tell the next owner of the shard: so it is told
/// when that owner needs it no more. Every record that was addressed to the session is then
/// acknowledged, stored or bounced, and the cursor committed beyond it. Its connection does not wait for
/// that.
class SessionCloser {
 public:
  SessionCloser(const Clock& clock, const Addresses& addresses, sharding::ShardOwner& owner,
                const Shards& shards)
      : clock_(clock), addresses_(addresses), owner_(owner), shards_(shards) {}

  /// Calls `tell` when the gateway (empty: none has it) may forget the session, which has ended: at once, if
  /// nothing was addressed to it lately. `close`: a connection waits to be closed; called first when `tell`
  /// takes more than 1 s. `holds`: this record is not finished before `tell`, which waits for none behind it;
  /// -1: none is.
  void Close(const std::shared_ptr<Session>& session, std::string gateway, std::function<void()> tell,
             std::function<void()> close, std::int64_t holds = -1);
  /// Records have been finished: commits if somebody waits for that.
  void Check(Shard& shard);
  /// The cursor has been committed.
  void OnCommitted(Shard& shard);
  void Sweep(Shard& shard);

 private:
  const Clock& clock_;
  const Addresses& addresses_;
  sharding::ShardOwner& owner_;
  const Shards& shards_;
};

}  // namespace rookery::session_manager
