#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "adapters/link_pool.h"
#include "domain/client_session.h"
#include "domain/shard_table.h"
#include "ports/cluster.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

struct SessionLinksOptions {
  /// How long an action waits for an owner of its shard and for the answer.
  std::chrono::milliseconds action_timeout{15'000};
  /// Actions that wait, those under way included.
  std::size_t max_actions = 20'000;
  std::size_t max_action_bytes = std::size_t{16} << 20;
  /// Of all sessions together: beyond it no socket is read.
  std::size_t max_unconfirmed_bytes = std::size_t{64} << 20;
};

/// The Cluster over the links to session-managers: knows who owns which shard, keeps
/// every session, attaches the sessions of a shard to its new owner and sends again what
/// the old one did not confirm (protos/rookery/session/v1). I/O thread only.
class SessionLinks final : public Cluster, private LinkPool::Handler {
 public:
  SessionLinks(asio::io_context& io, LinkPool::Open open, SessionLinksOptions options, std::string instance,
               telemetry::Metrics& metrics);
  ~SessionLinks() override;

  void SetInstances(const std::vector<routing::Instance>& instances) { links_.SetInstances(instances); }
  /// Whether any session-manager has said hello.
  bool is_connected() const { return shards_.count() > 0 && links_.size() > 0; }
  /// Sessions, those included whose connection is gone and whose owner has not answered yet.
  std::size_t session_count() const { return sessions_.size(); }
  void Close() { links_.Close(); }

  const ServiceFacts& facts() const override { return facts_; }
  RequestId LookUp(std::string_view user, OnLookup done) override;
  RequestId CreateAccount(std::string_view user, std::string_view password, OnCreated done) override;
  RequestId Start(std::string_view user, std::string_view resource, SessionClient& client,
                  OnStarted done) override;
  RequestId Resume(SessionId session, std::string_view user, std::uint32_t handled, SessionClient& client,
                   OnResumed done) override;
  void Cancel(RequestId request) override;
  void SendStanza(ClientSession& session, xmpp::Stanza stanza, bool to_malformed) override;
  void StreamManagementEnabled(ClientSession& session) override;
  void Delivered(ClientSession& session) override;
  void End(ClientSession& session, EndReason reason) override;
  bool is_congested(SessionClient* client) override;
  void Forget(SessionClient* client) override { congested_.erase(client); }

 private:
  using LinkId = LinkPool::LinkId;

  /// An action that has one answer.
  struct Request {
    std::string user;
    std::string text;  // password or resource
    SessionId session;
    std::uint32_t handled = 0;
    SessionClient* client = nullptr;
    SteadyTime deadline;
    LinkId sent_to = 0;
    std::variant<OnLookup, OnCreated, OnStarted, OnResumed> done;
  };

  void OnLinkAction(LinkId link, session::v1::SessionManagerAction action) override;
  void OnLinkFrameEnd() override;
  void OnLinkDown(LinkId link) override;

  void HandleHello(LinkId link, const session::v1::SessionManagerHello& hello);
  void LearnFacts(const session::v1::SessionManagerHello& hello);
  void HandleShardOwned(LinkId link, std::uint32_t shard, std::int64_t epoch);
  void HandlePacket(session::v1::Packet& packet);
  void HandleStarted(LinkId link, SessionId id, const session::v1::SessionStarted& started);
  void HandleResumed(LinkId link, SessionId id, const session::v1::SessionResumed& resumed);
  void HandleCredentials(LinkId link, const session::v1::Credentials& credentials);
  void HandleCreated(LinkId link, const session::v1::AccountCreated& created);
  void HandleConfirmed(ClientSession& session, std::uint64_t count);
  void HandleEnded(ClientSession& session, std::string_view condition, std::string_view text);

  RequestId AddRequest(Request request);
  void Dispatch(RequestId id, Request& request);
  /// True: the answer says that `link` is not the owner, and the request waits or went on.
  bool IsNotOwner(LinkId link, RequestId id, const session::v1::Failure& failure);
  /// Takes the request out; the caller answers it.
  Request Take(RequestId id);
  void FailTemporarily(Request request);
  void FailOverdue();

  ClientSession& AddSession(SessionId id, std::string_view full_jid, SessionClient* client);
  void RemoveSession(ClientSession& session);
  ClientSession* FindSession(const std::string& id_bytes);
  void Attach(ClientSession& session, rpc::GatewayLink& link);
  void SendEnd(ClientSession& session, rpc::GatewayLink& link);
  void Touch(ClientSession& session);
  void Release(std::size_t bytes);
  rpc::GatewayLink* OwnerLink(std::uint32_t shard) const { return links_.Find(shards_.OwnerOf(shard)); }
  std::uint32_t ShardOfUser(std::string_view user) const;

  asio::io_context& io_;
  const SessionLinksOptions options_;
  ShardTable shards_;
  ServiceFacts facts_;
  absl::flat_hash_map<SessionId, std::unique_ptr<ClientSession>> sessions_;
  std::vector<std::vector<ClientSession*>> shard_sessions_;
  absl::flat_hash_map<RequestId, Request> requests_;
  absl::flat_hash_map<SessionId, RequestId> starts_;
  RequestId last_request_ = 0;
  std::size_t request_bytes_ = 0;
  std::size_t unconfirmed_bytes_ = 0;
  std::vector<ClientSession*> batch_;
  absl::flat_hash_set<SessionClient*> congested_;

  struct Probe {
    explicit Probe(telemetry::Metrics& metrics);
    prometheus::Gauge& sessions;
    prometheus::Gauge& shards_owned;
    prometheus::Gauge& waiting;
    prometheus::Gauge& unconfirmed_bytes;
    prometheus::Counter& stale;
    prometheus::Counter& duplicates;
    prometheus::Counter& gaps;
    prometheus::Counter& attached;
    prometheus::Counter& resent;
    prometheus::Counter& overdue;
    prometheus::Histogram& confirm_seconds;
  } probe_;
  LinkPool links_;
  runtime::PeriodicTimer overdue_timer_;
};

}  // namespace rookery::gateway
