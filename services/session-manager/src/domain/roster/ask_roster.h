#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "domain/keyed_lock.h"
#include "domain/state/shard.h"
#include "rookery/base/backoff_delays.h"
#include "rookery/base/clock.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_owner.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

/// Whether the roster service says for certain that it has not made a change. After any other error it may
/// have made it, or may yet make it.
inline bool IsRefusal(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status) || absl::IsNotFound(status);
}

template <typename Response>
struct RosterAnswer {
  /// The user's roster, for what follows from the answer.
  KeyedLock::Hold turn;
  /// The service's response, or why it refuses.
  absl::StatusOr<Response> response;
};

/// Asks for a change of the roster of a user of the shard until the answer is definite, for as long as that
/// takes: whoever stops before does not know whether contacts and clients are to be told of it. `call() ->
/// Task<absl::StatusOr<Response>>` gives the request with the same request_id each time, so that the change
/// is made once. `on_doubt()` comes after each answer that is not definite: what is known of the roster may
/// be out of date. Holds the user's roster during calls, not between them. For coroutines of the shard.
template <typename Response, typename Call, typename OnDoubt>
Task<RosterAnswer<Response>> AskRoster(const Shard& shard, KeyedLock& rosters, std::string bare, Call call,
                                       OnDoubt on_doubt) {
  for (runtime::Backoff backoff(kBackendRetries);;) {
    {
      KeyedLock::Hold turn = co_await rosters.Take(bare);
      absl::StatusOr<Response> response = co_await call();
      if (response.ok() || IsRefusal(response.status()))
        co_return RosterAnswer<Response>{std::move(turn), std::move(response)};
      telemetry::LogDebug("roster.asked_again",
                          {{"user", telemetry::HashedJid(bare)}, {"error", Message(response.status())}});
      on_doubt();
    }
    // Whoever has stood still may not be the owner any more, and the service may have forgotten what it has
    // answered the next one. ShardOwner notices that, but perhaps after us: so a pause that was too long is
    // made once more.
    for (bool is_certain = false; !is_certain;) {
      const SteadyTime since = SteadyNow();
      co_await backoff.Wait();
      is_certain =
          !shard.suspended && SteadyNow() - since < kBackendRetries.max + sharding::ShardOwner::kFreeze;
    }
  }
}

/// Forgets who may see the user, which is in doubt: it is asked for again when it is needed.
inline void ForgetContacts(Shard& shard, const std::string& bare) {
  if (User* const user = shard.FindUser(bare)) user->contacts.reset();
}

}  // namespace rookery::session_manager
