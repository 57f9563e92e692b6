#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "domain/delivery/delivery_state.h"
#include "domain/recent_map.h"
#include "domain/state/delivery.h"
#include "domain/state/user.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Outbox;
class Bounces;
class DeliveryStates;
class Packets;
class Roster;
class SessionCloser;
class SessionTable;
class Shards;
class Users;
struct SessionManagerMetrics;
struct Settings;

/// Stanzas that wait in memory for a session of their user, and on their way into the offline store
/// (README.md, P1 and W1 to W8): each keeps its record until a session or the store has it.
///
/// Half of a user's quota is for those in the user's roster alone, so that no number of strangers fills it.
/// The roster is asked when the other half is full. I/O thread only.
class WaitingStanzas {
 public:
  /// Told that the store has a message which nobody was there for.
  class Listener {
   public:
    virtual void OnStored(User& user) = 0;

   protected:
    ~Listener() = default;
  };

  WaitingStanzas(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
                 SessionManagerMetrics& metrics, const Shards& shards, const SessionTable& table,
                 Users& users, Roster& roster, SessionCloser& closer, Outbox& outbox, DeliveryStates& states,
                 Bounces& bounces, Packets& packets)
      : executor_(std::move(executor)),
        settings_(settings),
        clock_(clock),
        metrics_(metrics),
        shards_(shards),
        table_(table),
        users_(users),
        roster_(roster),
        closer_(closer),
        outbox_(outbox),
        states_(states),
        bounces_(bounces),
        packets_(packets) {}
  /// Before the first message.
  void SetListener(Listener& listener) { listener_ = &listener; }
  bool is_wired() const { return listener_ != nullptr; }

  /// Returns the state of the user's part of delivery, made when it is needed first. Whoever makes it need
  /// that counts in User::storing, and calls FinishUse.
  UserDelivery& Of(User& user);
  void FinishUse(Shard& shard, const std::string& bare);

  /// Keeps the message for the user's next session; bounces it when that cannot be. `recovering`: an
  /// earlier owner may have done so.
  void Store(User& user, std::shared_ptr<Delivery> message, bool recovering);
  /// Keeps what a session that has ended leaves for the user's next session. However much that is, nobody has
  /// sent it to somebody absent, so the quota applies only while the user is away. `is_last_trace`: the log
  /// has the message no more.
  void StoreEnded(User& user, Session& ended, std::shared_ptr<Delivery> message, bool is_last_trace);
  /// Keeps a message for the session that is just handed what came before.
  void WaitBehind(User& user, std::shared_ptr<Delivery> message, bool recovering);
  /// Keeps a stanza that no store takes for that session, for `shards.window-time` at most. False: it need
  /// not wait.
  bool WaitBehind(Session& session, const std::shared_ptr<Delivery>& stanza, bool primary);
  /// Whether the stanza of this record waits for the session, and for no other.
  static bool IsWaiting(const User& user, const Session& session, std::int64_t offset);
  /// The records before `limit` of which stanzas wait for the session alone.
  static std::vector<std::int64_t> OffsetsWaiting(const User& user, const Session& session,
                                                  std::int64_t limit);
  /// The session has ended: calls `route` for each stanza that was addressed to it and waits for it alone.
  using Route = std::function<void(const Delivery& stanza)>;
  void DropBehind(User& user, const Session& session, const Route& route);

  /// Sends what waits for one session alone, since before `limit`.
  void SendBehind(User& user, SteadyTime limit);
  /// Nobody is there any more: stores what was not sent.
  void WriteUnsent(User& user);
  /// It waits no more.
  void Leave(User& user, std::map<std::int64_t, WaitingStanza>::iterator waiting);
  /// Stores what no session has taken in time. Costs what is due.
  void StoreOverdue(Shard& shard);

  /// An earlier owner has refused the message of this record: it waits for nobody, nor will it (S8).
  void Refuse(Shard& shard, std::string_view bare, std::int64_t offset);
  /// Whether one has, as far as it was read.
  static bool IsRefused(const Shard& shard, std::int64_t offset);

 private:
  WaitingStanza& Keep(User& user, std::shared_ptr<Delivery> message, std::optional<WaitingStore::Quota> quota,
                      bool is_last_trace, const Session* given = nullptr);
  void StoreOrAwait(User& user, WaitingStanza& waiting);
  /// StoreOverdue looks at it when it has waited for `shards.window-time`.
  void Arm(User& user, SteadyTime since);
  void Write(User& user, WaitingStanza& waiting);
  /// Whether the writer has no room for it, so that it is refused (S7).
  bool MustRefuse(const User& user, const WaitingStanza& waiting) const;
  void BounceByRecord(User& user, WaitingStanza& waiting);
  void OnOnRecord(Shard& shard, const std::string& bare, std::int64_t offset, bool is_on_record);
  void GiveToWriter(User& user, WaitingStanza& waiting, std::optional<WaitingStore::Quota> quota);
  /// Looks for the message's sender in its recipient's roster, and tries again for a contact.
  Task<void> AskForSender(std::shared_ptr<Shard> shard, std::string bare, std::string sender,
                          std::int64_t offset);
  void OnWritten(Shard& shard, const std::string& bare, std::int64_t offset,
                 const StoreWriter::Answer& answer);

  asio::any_io_executor executor_;
  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Shards& shards_;
  const SessionTable& table_;
  Users& users_;
  Roster& roster_;
  SessionCloser& closer_;
  Outbox& outbox_;
  DeliveryStates& states_;
  Bounces& bounces_;
  Packets& packets_;
  Listener* listener_ = nullptr;
  /// Recipient and sender, with a NUL between them: whether the roster of the one has the other.
  RecentMap<std::string, bool> senders_{10'000};
};

}  // namespace rookery::session_manager
