#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/state/session.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Outbox;
class Addresses;
class DeliveryStates;
class SessionTable;
class Shards;
class WaitingStanzas;
struct Settings;
struct Shard;

/// Which rows of the offline store need to be handed out no more, since a client has their messages
/// (README.md, W6). I/O thread only.
class OfflineMarks {
 public:
  OfflineMarks(const Settings& settings, const Clock& clock, runtime::TaskGroup& tasks,
               const Addresses& addresses, const Shards& shards, const SessionTable& table,
               WaitingStore& store, Outbox& outbox, DeliveryStates& states, WaitingStanzas& waiting)
      : settings_(settings),
        clock_(clock),
        tasks_(tasks),
        addresses_(addresses),
        shards_(shards),
        table_(table),
        store_(store),
        outbox_(outbox),
        states_(states),
        waiting_(waiting) {}

  /// The client of the session has these rows.
  void MarkGiven(Session& session, std::vector<std::uint64_t> ids);
  /// The session has ended: marks what its client has had.
  void MarkEnded(const std::shared_ptr<Session>& session);
  /// The row is of a message that was refused: nobody is to have it. `then`: the store knows.
  void MarkRefused(Shard& shard, std::string_view bare, std::uint64_t id, std::function<void()> then);
  /// Deletes marks that have done their work. Costs what is due.
  void Purge(Shard& shard);

 private:
  /// `session`, which may be null: of which state they are taken out.
  void StartMarks(Shard& shard, std::string_view bare, std::shared_ptr<Session> session,
                  std::vector<std::uint64_t> ids, std::function<void()> then);
  /// `is_marked`: the store has not refused it.
  void OnMarked(Shard& shard, const std::string& bare, Session* session,
                const std::vector<std::uint64_t>& ids, bool is_marked);
  Task<void> PurgeTask(std::vector<std::string> owners, std::chrono::milliseconds age, std::uint64_t up_to);

  const Settings& settings_;
  const Clock& clock_;
  runtime::TaskGroup& tasks_;
  const Addresses& addresses_;
  const Shards& shards_;
  const SessionTable& table_;
  WaitingStore& store_;
  Outbox& outbox_;
  DeliveryStates& states_;
  WaitingStanzas& waiting_;
};

}  // namespace rookery::session_manager
