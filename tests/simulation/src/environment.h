#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kafka.h"
#include "links.h"
#include "redis.h"
#include "rookery/disco/v1/disco_service.pb.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/xmpp/stanza.h"
#include "world.h"

// The things that the processes of a simulated cluster share, and each kind of process as the others see it.
// The services' own headers have the same names, so each kind is wired in a file of its own that sees only
// its service: session_manager_process.cc, gateway_process.cc, roster_process.cc, muc_process.cc,
// search_process.cc.
namespace rookery::simulation {

class Database;
class RosterProcess;
class SearchProcess;

struct Environment {
  World& world;
  Kafka& kafka;
  Links& links;
  Process& redis;
  RedisData& redis_data;
  Process& postgres;
  Database& database;
  std::map<std::string, RosterProcess*> rosters;   // by address
  std::map<std::string, SearchProcess*> searches;  // by address
  std::uint32_t shards = 8;
  std::chrono::milliseconds resume_timeout{60'000};
  /// One of mutations.h, or empty.
  std::string mutation;
  /// Clients may change their password and remove their account.
  bool has_registration = false;
  /// There is little room for what waits for PostgreSQL.
  bool has_little_room = false;
};

/// The database that PostgreSQL holds for session-managers.
class Database {
 public:
  virtual ~Database() = default;
  virtual void AddAccount(const std::string& user) = 0;
  /// One that can be signed in to.
  virtual void AddAccount(const std::string& user, const std::string& password) = 0;
  virtual std::size_t parked_sessions() const = 0;
  virtual std::size_t stored_packets() const = 0;
  virtual std::size_t offline_messages() const = 0;  // not given yet
  /// Describes what is above, for people.
  virtual std::string Describe() const = 0;
};
std::unique_ptr<Database> MakeDatabase();

/// The database that PostgreSQL holds for the roster service.
class RosterDatabase {
 public:
  virtual ~RosterDatabase() = default;
  /// One contact of one user.
  struct Item {
    std::string jid;
    std::string name;
    std::vector<std::string> groups;
    bool to = false;
    bool from = false;
    bool pending_out = false;
    bool pending_in = false;
    bool approved = false;
    bool is_listed = false;
  };
  /// A change that was made, or one that had nothing to change; and what is remembered of it.
  struct Applied {
    std::string owner;
    std::string jid;
    bool is_listed = false;
    std::string request_id;
    std::string response;
  };
  std::function<void(const Applied&)> on_applied;
  /// Both see each other's presence.
  virtual void Befriend(const std::string& a, const std::string& b) = 0;
  virtual std::vector<Item> Items(const std::string& owner) const = 0;
  virtual std::optional<Item> Find(const std::string& owner, const std::string& contact) const = 0;
};
std::unique_ptr<RosterDatabase> MakeRosterDatabase();

class SessionManagerProcess : public Process {
 public:
  using Process::Process;
  virtual std::size_t sessions() const = 0;
  virtual bool is_live(std::uint32_t shard) const = 0;
  /// Records of clients' stanzas behind those of later ones, in all its lives.
  virtual double records_out_of_order() const = 0;
};
std::unique_ptr<SessionManagerProcess> MakeSessionManager(Environment& environment, std::string name);

class RosterProcess : public Process {
 public:
  using Process::Process;
  virtual Task<absl::StatusOr<roster::v1::GetRosterResponse>> Get(roster::v1::GetRosterRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> Set(roster::v1::SetRosterItemRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> Remove(
      roster::v1::RemoveRosterItemRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> Outbound(
      roster::v1::ProcessOutboundSubscriptionRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> Inbound(
      roster::v1::ProcessInboundSubscriptionRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::DeleteUserResponse>> Delete(roster::v1::DeleteUserRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::GetUserSettingsResponse>> GetUserSettings(
      roster::v1::GetUserSettingsRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::BlockAddressesResponse>> Block(
      roster::v1::BlockAddressesRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::UnblockAddressesResponse>> Unblock(
      roster::v1::UnblockAddressesRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::GetVcardResponse>> GetVcard(roster::v1::GetVcardRequest) = 0;
  virtual Task<absl::StatusOr<roster::v1::SetVcardResponse>> SetVcard(roster::v1::SetVcardRequest) = 0;
};
std::unique_ptr<RosterProcess> MakeRoster(Environment& environment, RosterDatabase& database,
                                          std::string name);

/// The database that PostgreSQL holds for muc.
class RoomDatabase {
 public:
  virtual ~RoomDatabase() = default;
  virtual std::vector<std::string> rooms() const = 0;
  virtual bool IsPersistent(const std::string& room) const = 0;
  /// The full JIDs that it believes in; none where there is no such room.
  virtual std::set<std::string> SessionsIn(const std::string& room) const = 0;
  /// Returns how many rooms it still knows to be no more.
  virtual std::size_t destroyed_rooms() const = 0;
};
std::unique_ptr<RoomDatabase> MakeRoomDatabase();

/// One of muc or search: a process that owns shards of a topic.
class MemberProcess : public Process {
 public:
  using Process::Process;
  virtual bool is_live(std::uint32_t shard) const = 0;
};
std::unique_ptr<MemberProcess> MakeMuc(Environment& environment, RoomDatabase& database, std::string name);

class SearchProcess : public MemberProcess {
 public:
  using MemberProcess::MemberProcess;
  virtual Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(disco::v1::GetDiscoInfoRequest) = 0;
  virtual Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(disco::v1::ListDiscoItemsRequest) = 0;
};
std::unique_ptr<SearchProcess> MakeSearch(Environment& environment, std::string name);

// ---- clients and gateways ----

/// A frame that a client sends on its connection. Sign-in is done: SASL is not part of the simulation.
struct ToServer {
  enum class Kind { kStart, kResume, kEnable, kStanza, kRequestAck, kAck, kClose, kBroken };
  Kind kind;
  std::string user;      // start, resume
  std::string resource;  // start
  std::string sm_id;     // resume
  std::uint32_t h = 0;   // resume, ack
  xmpp::Stanza stanza;
};

struct ToClient {
  enum class Kind {
    kStarted,
    kRefused,
    kEnabled,
    kResumed,
    kNotResumed,
    kStanza,
    kRequestAck,
    kAck,
    kClosed
  };
  Kind kind;
  std::string text;     // full JID, SM-ID, or the condition of what ended
  std::string session;  // started: by which the log knows it
  std::uint32_t h = 0;  // resumed, ack, not resumed
  bool has_h = false;
  xmpp::Stanza stanza;
};

class GatewayProcess : public Process {
 public:
  using Process::Process;
  /// On its loop.
  virtual void Receive(std::uint64_t connection, ToServer frame) = 0;
  virtual std::size_t sessions() const = 0;
  virtual std::size_t streams() const = 0;
};
/// `send` carries a frame back to the connection's client.
using SendToClient = std::function<void(std::uint64_t connection, ToClient frame)>;
std::unique_ptr<GatewayProcess> MakeGateway(Environment& environment, std::string name, SendToClient send);

}  // namespace rookery::simulation
