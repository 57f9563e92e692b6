#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "adapters/link_pool.h"
#include "adapters/requests.h"
#include "adapters/session_links_metrics.h"
#include "domain/client_session.h"
#include "domain/lifetime.h"
#include "domain/reading_gate.h"
#include "domain/shard_table.h"
#include "domain/shard_watch.h"
#include "domain/standstill.h"
#include "ports/cluster.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/runtime/timer.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

struct SessionLinksOptions {
  /// How long an action waits for an owner of its shard and for the answer.
  std::chrono::milliseconds action_timeout{15'000};
  /// How long clients wait for an owner of their shard, and for the shard to take what they say.
  std::chrono::milliseconds owner_timeout{30'000};
  /// Actions that wait, those under way included.
  std::size_t max_actions = 20'000;
  std::size_t max_action_bytes = std::size_t{16} << 20;
  /// The limit for all sessions together. Beyond it sockets are read only where the shard has less than its
  /// part (the limit divided by the number of shards), so that no shard depends on what others have. All
  /// together have at most the limit, the parts of all shards, and one stanza of each session.
  std::size_t max_unconfirmed_bytes = std::size_t{64} << 20;
  /// The limit for the sessions of one shard: beyond it no socket of theirs is read. 0: the shard's part of
  /// max_unconfirmed_bytes.
  std::size_t max_shard_unconfirmed_bytes = 0;
};

/// The Cluster over the links to session-managers: knows who owns which shard, keeps
/// every session, attaches the sessions of a shard to its new owner and sends again what
/// the old one did not confirm (protos/rookery/session/v1). I/O thread only.
///
/// Trouble with one shard is that shard's alone: only its clients are not read while too much of
/// theirs is unconfirmed or the link to its owner is full, and only they are sent away (stream
/// error `reset`) when it has no owner, or takes nothing of what they say. Their sessions stay, as lost,
/// for the next owner.
class SessionLinks final : public Cluster, private LinkPool::Handler {
 public:
  SessionLinks(asio::io_context& io, const Clock& clock, LinkPool::Open open, SessionLinksOptions options,
               GatewayIdentity self, telemetry::Metrics& metrics);
  ~SessionLinks() override;

  void SetInstances(const std::vector<routing::Instance>& instances) { links_.SetInstances(instances); }
  /// Whether any session-manager has ever said hello, and one is linked or being linked now.
  bool is_connected() const { return shards_.count() > 0 && links_.size() > 0; }
  /// Sessions, those included whose connection is gone and whose owner has not answered yet.
  std::size_t session_count() const { return sessions_.size(); }
  void Close() { links_.Close(); }

  const ServiceFacts& facts() const override { return facts_; }
  RequestId LookUp(std::string_view user, OnLookup done) override;
  RequestId CreateAccount(std::string_view user, std::string_view password, OnCreated done) override;
  RequestId Start(const Identity& identity, std::string_view resource, SessionClient& client,
                  OnStarted done) override;
  RequestId Resume(SessionId session, const Identity& identity, std::uint32_t handled, SessionClient& client,
                   OnResumed done) override;
  void Cancel(RequestId request) override;
  void SendStanza(ClientSession& session, xmpp::Stanza stanza,
                  std::optional<xmpp::ErrorCondition> refused) override;
  void StreamManagementEnabled(ClientSession& session) override;
  void Delivered(ClientSession& session) override;
  void End(ClientSession& session, EndReason reason) override;
  bool MayRead(ClientSession& session) override;

 private:
  using LinkId = LinkPool::LinkId;

  struct Shard {
    std::vector<ClientSession*> sessions;
    std::size_t unconfirmed_bytes = 0;
    ReadingGate gate;
    bool is_waking = false;
    ShardWatch watch;
    SteadyTime in_reach_until;        // of the owner before this one
    std::int64_t newest_offset = -1;  // of the packets that its owners have read in the log
    std::int64_t newest_epoch = -1;   // of the owner that has read it
    bool is_sending_away = false;
    SteadyTime next_look;  // whether clients have waited for too long
  };

  void OnLinkAction(LinkId link, session::v1::SessionManagerAction action) override;
  void OnLinkFrameEnd() override;
  void OnLinkUncongested(LinkId link) override;
  void OnLinkDown(LinkId link) override;

  void HandleHello(LinkId link, const session::v1::SessionManagerHello& hello);
  void LearnFacts(const session::v1::SessionManagerHello& hello);
  void HandleShardOwned(LinkId link, std::uint32_t number, std::int64_t epoch);
  /// A packet of a record that nobody has read before shows that the shard's owner reads the log.
  void NoteRead(Shard& shard, const session::v1::Packet& packet, std::int64_t epoch);
  /// Whether one of its sessions is given it for the first time.
  bool IsNew(const session::v1::Packet& packet);
  void HandlePacket(session::v1::Packet& packet, std::int64_t epoch);
  void HandleStarted(LinkId link, SessionId id, const session::v1::SessionStarted& started);
  void HandleResumed(LinkId link, SessionId id, const session::v1::SessionResumed& resumed);
  void HandleCredentials(LinkId link, const session::v1::Credentials& credentials);
  void HandleCreated(LinkId link, const session::v1::AccountCreated& created);
  void HandleConfirmed(ClientSession& session, std::uint64_t count);
  /// `keep`: the next owner of its shard needs what is known of it; only its client is told.
  void HandleEnded(ClientSession& session, std::string_view condition, std::string_view text, bool keep);

  RequestId AddRequest(Requests::What what);
  void Dispatch(RequestId id, Requests::Request& request);
  /// True: the answer says that `link` is not the owner, and the request waits or went on.
  bool RetryElsewhere(LinkId link, RequestId id, const session::v1::Failure& failure);
  void FailDue();
  void AwaitDue();

  ClientSession& AddSession(SessionId id, std::string_view full_jid, SessionClient* client);
  void RemoveSession(ClientSession& session);
  ClientSession* FindSession(const std::string& id_bytes);
  /// Every session of the shard, with what it has unconfirmed.
  void AttachAll(std::uint32_t number, std::int64_t epoch, SteadyTime::duration out_of_reach,
                 rpc::GatewayLink& link);
  void Attach(ClientSession& session, SteadyTime::duration out_of_reach, rpc::GatewayLink& link);
  /// Whether its owner is to be told that the session's connection has ended.
  bool IsEndDue(const ClientSession& session) const;
  void SendEnd(ClientSession& session, rpc::GatewayLink& link);
  /// An attempt to resume the session here has come to nothing.
  void OnNotResumed(SessionId id);
  void Touch(ClientSession& session);

  /// `bytes` of the shard's sessions are unconfirmed no longer.
  void Release(Shard& shard, std::size_t bytes);
  bool AreAllFull() const { return unconfirmed_bytes_ >= options_.max_unconfirmed_bytes; }
  /// Never for what others have, while the shard is below its part.
  bool IsFull(const Shard& shard, std::uint32_t number) const;
  /// Although its shard is full.
  bool MayGoOn(const Shard& shard, const ClientSession& session) const;
  void Wake(std::uint32_t number);
  void WakeShard(std::uint32_t number);

  /// Once a second: what is judged by how long nothing happened.
  void Tick();
  /// The time; whoever asks first after a standstill finds it.
  SteadyTime Now();
  /// Before anything that a link says: what was true before a standstill may be no more.
  void JudgeStandstill();
  void Post(void (SessionLinks::*call)());
  /// Clients of a shard without an owner, or one that takes nothing, some in each turn of the loop.
  void SendAwayWaiting(std::uint32_t number, std::size_t from);
  /// How long the shard was out of reach until now, when an owner says that it has it.
  SteadyTime::duration OutOfReach(const Shard& shard, SteadyTime now) const;
  /// The session's connection ends by what the cluster has found, not its client: lost, so that it may
  /// be resumed, unless its client has closed it already. Tells the client, which it must have.
  void Detach(ClientSession& session, std::string_view condition, std::string_view text);
  /// The client is told to come again; its session stays, as lost or, where the client had closed it
  /// and waited for the log only, as closed.
  void SendAway(ClientSession& session, prometheus::Counter& why, std::string_view text);
  /// Its client resumes it over another connection.
  void LeaveConnection(ClientSession& session);
  /// Sends away sessions that cannot be resumed, and that their owner may have ended meanwhile.
  void SendAwayUnheard(Shard& shard);

  rpc::GatewayLink* OwnerLink(std::uint32_t shard) const { return links_.Find(shards_.OwnerOf(shard)); }
  std::uint32_t ShardOfUser(std::string_view user) const;
  std::size_t MaxShardBytes() const;
  std::size_t ShardPart() const;

  asio::io_context& io_;
  const Clock& clock_;
  const SessionLinksOptions options_;
  ShardTable shards_;
  ServiceFacts facts_;
  std::vector<std::unique_ptr<Shard>> by_shard_;
  absl::flat_hash_map<SessionId, std::unique_ptr<ClientSession>> sessions_;
  Requests requests_;
  std::size_t unconfirmed_bytes_ = 0;
  std::vector<ClientSession*> batch_;
  Standstill standstill_;
  SteadyTime::duration stood_still_{0};  // found, not judged yet
  std::optional<SteadyTime> now_;        // of the frame that is being handled

  SessionLinksMetrics metrics_;
  const Lifetime lifetime_;
  LinkPool links_;
  runtime::Timer due_timer_;
  runtime::PeriodicTimer tick_;
};

}  // namespace rookery::gateway
