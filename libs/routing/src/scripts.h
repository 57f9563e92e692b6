#pragma once

namespace rookery::routing {

inline constexpr int kTimeToLiveMs = 5'000;

/// Key: the service's instances. ARGV: `<id> <address>`, id, time to live in ms.
/// Times are Redis's own, so that the clocks of the machines do not matter.
extern const char kAnnounceScript[];
/// Key, ARGV: the same. Leaves a tombstone `-<id>`, so that those who read it know that
/// the instance went, and is not missing because Redis was emptied.
extern const char kWithdrawScript[];
/// Key: the service's instances. Gives Redis's time in ms, then member, score, …
extern const char kReadScript[];
/// Key: the shards. ARGV: `<id> <address>`, then shard, epoch, …
extern const char kPublishScript[];

}  // namespace rookery::routing
