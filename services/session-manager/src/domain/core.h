#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "domain/feature_hooks.h"
#include "domain/keyed_lock.h"
#include "domain/metrics.h"
#include "domain/records/shard.h"
#include "domain/sessions/session.h"
#include "domain/sessions/user.h"
#include "domain/settings.h"
#include "ports/account_store.h"
#include "ports/membership.h"
#include "ports/roster.h"
#include "ports/service_disco.h"
#include "ports/session_directory.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"
#include "rookery/events/homes.h"
#include "rookery/events/log.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class Deliverer;
class OfflineMessages;
class SessionCloser;
class PresenceTracker;
class SubscriptionHandler;
class SessionKeeper;
class RecordOrder;
class RecordProcessor;
class ClientStanzaProcessor;
class RefusedRecords;
class SettingsKeeper;
class UserShards;
class DirectoryWriter;
class CapsTracker;
class IqRouter;

/// What the domain reaches the world through.
struct Ports {
  events::Log& log;
  Membership& membership;
  AccountStore& accounts;
  KeyMaker& keys;
  WaitingStore& waiting;
  Roster& roster;
  ServiceDisco& service_disco;
  SessionDirectory& directory;
  /// May be empty.
  sharding::ShardOwner::PublishedEpoch published_epoch;
};

using events::Topic;

/// What follows from one cause carries its origin: a client's stanza, a record of the
/// log, or the owner's own decision. Copied by value into what finishes later.
struct Cause {
  /// Set for a client's stanza: its session and number.
  std::shared_ptr<Session> session;
  std::uint64_t count = 0;
  /// Set (>= 0) for a record of our shard, which is not finished.
  std::int64_t offset = -1;
  /// Set for what follows from the end of a session: open until the log has it.
  std::shared_ptr<EndWrites> end;
  std::uint64_t trace_id = 0;
  /// Numbers the records that follow.
  std::uint32_t parts = 0;
};

/// The state of a session-manager and the parts that work on it. One I/O thread, no locks.
/// Owns shards; shards own users; users own sessions.
class Core {
 public:
  Core(asio::any_io_executor executor, const Settings& settings, Ports ports, const Clock& clock,
       telemetry::Metrics& metrics);
  ~Core();

  // The parts.
  Deliverer& deliverer() { return *deliverer_; }
  OfflineMessages& offline() { return *offline_; }
  SessionCloser& closer() { return *closer_; }
  PresenceTracker& presence() { return *presence_; }
  SubscriptionHandler& subscriptions() { return *subscriptions_; }
  SessionKeeper& sessions() { return *session_keeper_; }
  RecordProcessor& records() { return *records_; }
  RecordOrder& order() { return *order_; }
  /// One call for a user's roster at a time, so that what follows from them has their order.
  KeyedLock& rosters() { return rosters_; }
  ClientStanzaProcessor& client_stanzas() { return *client_stanzas_; }
  sharding::ShardOwner& shards() { return *owner_; }
  UserShards& user_shards() { return *user_shards_; }
  DirectoryWriter& directory() { return *directory_; }
  CapsTracker& caps() { return *caps_; }
  SettingsKeeper& settings_keeper() { return *settings_keeper_; }
  /// What features have to say (modules/chain.cc).
  FeatureHooks& features() { return features_; }
  IqRouter& iqs() { return *iqs_; }
  RefusedRecords& refused() { return *refused_; }

  const Settings& settings() const { return settings_; }
  const Ports& ports() const { return ports_; }
  const Clock& clock() const { return clock_; }
  SessionManagerMetrics& metrics() { return metrics_; }
  runtime::TaskGroup& tasks() { return tasks_; }
  const asio::any_io_executor& executor() const { return executor_; }
  SteadyTime started_at() const { return started_at_; }

  const events::Homes& homes() const { return homes_; }
  std::uint32_t shard_count() const { return homes_.topology().partitions(Topic::kUsers); }
  std::uint32_t ShardNumberOf(std::string_view bare) const { return homes_.ShardOfAccount(bare); }
  /// Null unless the shard is ours.
  Shard* FindShard(std::uint32_t number);
  std::shared_ptr<Shard> SharedShard(std::uint32_t number);
  std::vector<std::shared_ptr<Shard>> all_shards();

  /// The user's entry, made when missing. The shard must be ours.
  User& GetUser(Shard& shard, std::string_view bare);
  User* FindUser(Shard& shard, std::string_view bare);
  /// Drops the entry if nothing needs it.
  void MaybeForget(User& user);

  absl::flat_hash_map<SessionId, std::shared_ptr<Session>>& sessions_by_id() { return sessions_by_id_; }
  std::shared_ptr<Session> FindSession(const SessionId& id);

  bool IsLocalDomain(std::string_view domain) const { return homes_.IsAccountDomain(domain); }
  /// `muc` for conference.localhost: a service of ours on a domain of ours.
  std::optional<std::string_view> LocalService(std::string_view domain) const;

  /// Every 500 ms: what time brings.
  void Sweep();

  // ---- records that follow from a cause ----
  /// Appends a stanza to the shard of `stanza.to`'s user. Keeps the cause open until it
  /// is in the log: a client's stanza is confirmed, a record finished, only then.
  void AppendDelivery(Shard& from, Cause& cause, xmpp::Stanza stanza);
  /// Appends one stanza to many: one record for each shard that has recipients.
  void AppendFanout(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                    const std::vector<std::string>& recipients);
  /// `then`, for a client's stanza: told the record's offset, or -1 when the log refused it.
  void AppendRecord(Shard& from, Cause& cause, std::uint32_t partition, std::string_view key,
                    events::v1::UserRecord record, std::function<void(std::int64_t)> then = {});
  /// The log has refused a record: what a client sent is answered with an error, what we say ourselves is
  /// said again.
  void NoteRefusal(const absl::Status& status);
  /// And it will never have it.
  void NoteLoss();
  void AppendEvent(Shard& from, Topic topic, std::string_view key, const google::protobuf::MessageLite& event,
                   std::int64_t holds_offset);

 private:
  void FillOrigin(const Shard& from, Cause& cause, events::v1::UserRecord& record) const;
  /// The log does not take what follows from a client's stanza.
  void OnRefused(const std::shared_ptr<Session>& session, std::uint32_t partition,
                 const absl::Status& status);

  asio::any_io_executor executor_;
  const Settings& settings_;
  Ports ports_;
  const Clock& clock_;
  SessionManagerMetrics metrics_;
  SteadyTime started_at_;

  const events::Homes homes_;
  KeyedLock rosters_;
  FeatureHooks features_;
  absl::flat_hash_map<SessionId, std::shared_ptr<Session>> sessions_by_id_;

  std::unique_ptr<Deliverer> deliverer_;
  std::unique_ptr<OfflineMessages> offline_;
  std::unique_ptr<SessionCloser> closer_;
  std::unique_ptr<PresenceTracker> presence_;
  std::unique_ptr<SubscriptionHandler> subscriptions_;
  std::unique_ptr<SessionKeeper> session_keeper_;
  std::unique_ptr<RecordProcessor> records_;
  std::unique_ptr<RecordOrder> order_;
  std::unique_ptr<ClientStanzaProcessor> client_stanzas_;
  std::unique_ptr<CapsTracker> caps_;
  std::unique_ptr<IqRouter> iqs_;
  std::unique_ptr<UserShards> user_shards_;
  std::unique_ptr<sharding::ShardOwner> owner_;
  std::unique_ptr<DirectoryWriter> directory_;
  std::unique_ptr<SettingsKeeper> settings_keeper_;
  std::unique_ptr<RefusedRecords> refused_;
  // Last: its coroutines use everything above.
  runtime::TaskGroup tasks_;
};

}  // namespace rookery::session_manager
