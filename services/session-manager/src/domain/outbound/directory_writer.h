#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "domain/state/session.h"
#include "ports/session_directory.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Addresses;
class SessionTable;
class Shards;
struct SessionManagerMetrics;
struct Shard;

/// Keeps the session directory up to date: gathers what happens to the sessions of each shard and
/// writes it every so often, everything again where the directory was lost or belongs to an earlier
/// owner. While the directory is away nothing is gathered. What an earlier owner has listed is read
/// first, and stays listed until it is known who brings these sessions.
class DirectoryWriter {
 public:
  DirectoryWriter(const Clock& clock, SessionManagerMetrics& metrics, const Addresses& addresses,
                  const Shards& shards, const SessionTable& table, SessionDirectory& store);

  /// The session has started, has another gateway than before, or none, or has become available or
  /// unavailable.
  void Changed(const Session& session);
  /// The session has ended.
  void Ended(const Session& session);
  /// A session of that address, which nobody has, is over.
  void Forget(const Shard& shard, const SessionId& id, std::string_view full_jid);
  /// Returns what an earlier owner has listed and nobody has brought `patience` after this was first called,
  /// each session once. To be asked again and again: the directory may be away at first.
  std::vector<SessionDirectory::Entry> TakeUnclaimed(const Shard& shard, SteadyTime::duration patience);
  /// Reads what an earlier owner has listed, if that has not been read. The directory may be away.
  Task<void> LookForLeft(std::shared_ptr<Shard> shard);
  /// Whether an earlier owner has listed the session to the last, resumed no more often than that, and
  /// it has not ended since.
  bool IsLeft(const Shard& shard, const SessionId& id, std::uint64_t resumptions);
  /// After how many resumptions an earlier owner has listed the session last; 0: after none, or not at all.
  std::uint64_t ResumptionsOfLeft(const Shard& shard, const SessionId& id);
  /// Available sessions of the user that an earlier owner has listed and nobody has brought yet.
  std::vector<SessionDirectory::Entry> LeftOf(const Shard& shard, std::string_view bare);
  /// Every 100 ms or so.
  void Flush();

 private:
  struct ShardState {
    std::int64_t epoch = -1;
    /// Everything is to be written: nothing is gathered.
    bool all = true;
    bool in_flight = false;
    /// A newer owner has written.
    bool refused = false;
    bool has_read = false;
    /// Listed by an earlier owner, by session; those that have been brought since are among them.
    /// Without an address: it is over.
    std::vector<SessionDirectory::Entry> left;
    /// When somebody wanted to know who has not been brought.
    std::optional<SteadyTime> asked;
    SteadyTime next_look;
    /// An exception has ended a write: the next one comes later.
    SteadyTime not_before = SteadyTime::min();
    absl::flat_hash_set<SessionId> changed;
    std::vector<std::string> gone;
  };
  /// Null where the shard has no epoch yet.
  ShardState* StateOf(const Shard& shard);
  static void WriteAll(ShardState& state);
  /// Null: it is not listed there.
  static SessionDirectory::Entry* FindLeft(ShardState& state, const SessionId& id);
  static void NoteGone(ShardState& state, std::string full_jid);
  /// False: it could not be read.
  Task<bool> ReadWhatIsLeft(std::uint32_t shard);
  void NoteAway(const absl::Status& error);
  /// Writes what has changed. Where an exception ends that, everything is written again a second later.
  Task<void> FlushShard(std::shared_ptr<Shard> shard);
  Task<void> WriteChanges(std::shared_ptr<Shard> shard);

  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Shards& shards_;
  const SessionTable& table_;
  SessionDirectory& store_;
  std::vector<ShardState> states_;
  SteadyTime pause_until_ = SteadyTime::min();
};

}  // namespace rookery::session_manager
