#pragma once

namespace rookery::routing {

inline constexpr int kTimeToLiveMs = 5'000;

/// Key: the service's instances. ARGV: `<id> <address>`, id, time to live in ms, the
/// incarnation's start in ms and random part (16 hex digits), "1" where the process has just
/// started. Times to live are by Redis's own clock: those of the machines do not matter.
///
/// Gives the start and the random part of the incarnation that has the name now. One that has
/// just started takes it in any case, with a later start if need be; any other one leaves it to
/// a newer one, and nothing is announced.
extern const char kAnnounceScript[];
/// Key, ARGV: the same. Does nothing where a newer one has the name. Leaves a tombstone `-<id>`, so that
/// those who read it know that the instance went, and is not missing because Redis was emptied.
extern const char kWithdrawScript[];
/// Key: the service's instances. Gives Redis's time in ms, then member, score, …
extern const char kReadScript[];
/// Key: the shards. ARGV: `<id> <address>`, then shard, epoch, …
extern const char kPublishScript[];

}  // namespace rookery::routing
