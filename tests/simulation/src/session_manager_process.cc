// A session-manager process: the real domain and the real adapters for Kafka, Redis and links, over
// the simulation's Kafka, Redis, PostgreSQL and network. Mirrors services/session-manager/src/app.cc.
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "adapters/redis_session_directory.h"
#include "adapters/registry_membership.h"
#include "domain.h"
#include "domain/inbound/session_keeper.h"
#include "domain/metrics.h"
#include "domain/outbound/directory_writer.h"
#include "domain/state/session_table.h"
#include "environment.h"
#include "memory_stores.h"
#include "rookery/base/check.h"
#include "rookery/base/deadline.h"
#include "rookery/base/scram.h"
#include "rookery/events/kafka_log.h"
#include "rookery/member/member.h"
#include "rookery/routing/instance_client.h"
#include "rookery/routing/owner_client.h"
#include "rookery/telemetry/metrics.h"
#include "rookery/xmpp/jid.h"
#include "rpc/gateway_links.h"

namespace rookery::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using namespace session_manager;  // NOLINT: this file is that service's part

constexpr seconds kStatementTimeout{5};
constexpr seconds kRosterTimeout{2};
constexpr milliseconds kDiscoTimeout{2'000};

/// Real keys, but as cheap as they can be.
AccountStore::Keys KeysOf(std::string_view password) {
  AccountStore::Keys keys;
  for (const ScramHash hash : {ScramHash::kSha256, ScramHash::kSha1}) {
    ScramKey made = MakeScramKey(hash, password, "16 bytes of salt", 1);
    session::v1::ScramKey& key = keys.emplace_back();
    key.set_mechanism(hash == ScramHash::kSha256 ? "SCRAM-SHA-256" : "SCRAM-SHA-1");
    key.set_salt(std::move(made.salt));
    key.set_iterations(made.iterations);
    key.set_stored_key(std::move(made.stored_key));
    key.set_server_key(std::move(made.server_key));
  }
  return keys;
}

/// As ScramKeyMaker, at once.
class QuickKeyMaker final : public KeyMaker {
 public:
  Task<absl::StatusOr<AccountStore::Keys>> Derive(std::string password) override {
    const auto prepared = xmpp::PreparePassword(password);
    if (!prepared.ok()) co_return prepared.status();
    co_return KeysOf(*prepared);
  }
  Task<absl::StatusOr<bool>> Matches(std::string password, AccountStore::Keys keys) override {
    const auto prepared = xmpp::PreparePassword(password);
    if (!prepared.ok()) co_return prepared.status();
    co_return !keys.empty() && keys.front().stored_key() == KeysOf(*prepared).front().stored_key();
  }
};

class SimulatedDatabase final : public Database {
 public:
  void AddAccount(const std::string& user) override { rows.accounts[user]; }
  void AddAccount(const std::string& user, const std::string& password) override {
    rows.accounts[user] = KeysOf(password);
  }
  std::size_t parked_sessions() const override { return rows.parked.size(); }
  std::size_t stored_packets() const override {
    std::size_t count = 0;
    for (const auto& [session, packets] : rows.packets) count += packets.size();
    return count;
  }
  std::size_t offline_messages() const override {
    std::size_t count = 0;
    for (const auto& [user, messages] : rows.offline) count += rows.Waiting(user);
    return count;
  }
  std::string Describe() const override {
    std::string text;
    for (const auto& [key, row] : rows.parked) text += " parked:" + row.session.attach.full_jid();
    for (const auto& [key, packets] : rows.packets)
      for (const auto& [seq, row] : packets) text += " packet:" + key.owner + "/" + row.packet.stanza->id();
    for (const auto& [user, messages] : rows.offline)
      for (const auto& [id, row] : messages)
        if (!row.given_at_ms) text += " offline:" + user + "/" + row.stanza->id();
    return text;
  }

  MemoryDatabase rows;
};

MemoryDatabase& Rows(Environment& environment) {
  return static_cast<SimulatedDatabase&>(environment.database).rows;
}

/// Statements on PostgreSQL: they run there, and may have run when the answer is an error. The asker may be
/// gone by then, so that a statement owns what it needs.
class Statements {
 public:
  Statements(Environment& environment, Process& process) : environment_(environment), process_(process) {}

  template <typename T, typename Store, typename... Parameters, typename... Arguments>
  Task<T> Ask(Task<T> (Store::*method)(Parameters...), Arguments... arguments) {
    absl::AnyInvocable<Task<T>()> statement = [&rows = Rows(environment_), method,
                                               ... arguments = std::move(arguments)]() -> Task<T> {
      return Run<T>(rows, method, arguments...);
    };
    return environment_.world.Call<T>(process_, environment_.postgres, kStatementTimeout,
                                      std::move(statement));
  }
  /// The same, for one that is given as it is.
  template <typename T>
  Task<T> Send(absl::AnyInvocable<Task<T>()> statement) {
    return environment_.world.Call<T>(process_, environment_.postgres, kStatementTimeout,
                                      std::move(statement));
  }
  MemoryDatabase& rows() { return Rows(environment_); }
  /// Whether that mistake is to be made.
  bool Has(std::string_view mutation) const { return environment_.mutation == mutation; }

 private:
  template <typename T, typename Store, typename... Parameters, typename... Arguments>
  static Task<T> Run(MemoryDatabase& rows, Task<T> (Store::*method)(Parameters...), Arguments... arguments) {
    using Memory =
        std::conditional_t<std::is_same_v<Store, AccountStore>, MemoryAccountStore, MemoryWaitingStore>;
    Memory memory(rows);
    Store& store = memory;
    co_return co_await (store.*method)(arguments...);
  }

  Environment& environment_;
  Process& process_;
};

template <typename T>
Task<T> Say(T answer) {
  co_return answer;
}

class Accounts final : public AccountStore {
 public:
  explicit Accounts(Statements statements) : statements_(statements) {}
  Task<absl::StatusOr<Account>> Find(std::string user) override {
    return statements_.Ask(&AccountStore::Find, user);
  }
  Task<absl::StatusOr<AccountStore::Accounts>> FindAll(std::vector<std::string> users) override {
    return statements_.Ask(&AccountStore::FindAll, users);
  }
  Task<absl::Status> Create(std::string user, Account account, milliseconds reuse_after) override {
    return statements_.Ask(&AccountStore::Create, user, account, reuse_after);
  }
  Task<absl::Status> SetKeys(std::string user, Account before, Keys keys) override {
    return statements_.Ask(&AccountStore::SetKeys, user, before, keys);
  }
  Task<absl::Status> Remove(std::string user, std::uint64_t generation) override {
    return statements_.Ask(&AccountStore::Remove, user, generation);
  }
  Task<absl::StatusOr<std::size_t>> ForgetRemoved(milliseconds age, std::size_t most) override {
    return statements_.Ask(&AccountStore::ForgetRemoved, age, most);
  }
  Task<absl::StatusOr<bool>> Exists(std::string user) override {
    return statements_.Ask(&AccountStore::Exists, user);
  }
  Task<absl::Status> SetLastActivities(std::vector<UserActivity> activities) override {
    return statements_.Ask(&AccountStore::SetLastActivities, activities);
  }
  Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) override {
    return statements_.Ask(&AccountStore::GetLastActivity, user);
  }

 private:
  Statements statements_;
};

/// Statements about claims are on the way where they are given to the database: this process holds them as
/// one with a real PostgreSQL does.
class Waiting final : public MemoryWaitingStore {
 public:
  explicit Waiting(Statements statements) : MemoryWaitingStore(statements.rows()), statements_(statements) {}
  Task<absl::StatusOr<std::vector<Stored>>> StoreOffline(const std::vector<OfflineWrite>& rows) override {
    if (statements_.Has("lose-offline"))
      return Say(absl::StatusOr<std::vector<Stored>>(std::vector<Stored>(rows.size(), Stored::kStored)));
    return statements_.Ask(&WaitingStore::StoreOffline, rows);
  }
  Task<absl::Status> MarkGiven(const std::vector<RowKey>& rows) override {
    if (statements_.Has("give-offline-again")) return Say(absl::OkStatus());
    return statements_.Ask(&WaitingStore::MarkGiven, rows);
  }
  Task<absl::Status> PurgeGiven(const std::vector<std::string>& owners, std::chrono::milliseconds age,
                                std::uint64_t up_to) override {
    return statements_.Ask(&WaitingStore::PurgeGiven, owners, age, up_to);
  }
  Task<absl::StatusOr<std::vector<OfflineMessage>>> LoadOffline(std::string owner, std::uint64_t after,
                                                                PageLimit limit) override {
    return statements_.Ask(&WaitingStore::LoadOffline, owner, after, limit);
  }
  Task<absl::StatusOr<std::vector<std::string>>> OwnersWaiting(
      const std::vector<std::string>& owners) override {
    return statements_.Ask(&WaitingStore::OwnersWaiting, owners);
  }
  Task<absl::StatusOr<FoundRows>> LoadRows(const std::vector<RowKey>& keys, std::size_t bytes) override {
    return statements_.Ask(&WaitingStore::LoadRows, keys, bytes);
  }
  Task<absl::Status> StorePackets(Writer writer, const std::vector<PacketWrite>& packets) override {
    if (statements_.Has("forget-who-has-it")) {
      std::vector<PacketWrite> written = packets;
      for (PacketWrite& row : written) row.packet.reached = false;
      return MemoryWaitingStore::StorePackets(writer, written);
    }
    return MemoryWaitingStore::StorePackets(writer, packets);
  }
  Task<absl::Status> Park(Writer writer, const std::vector<ParkedSession>& sessions) override {
    if (statements_.Has("forget-parked")) return Say(absl::OkStatus());
    return MemoryWaitingStore::Park(writer, sessions);
  }
  Task<absl::Status> KeepCursor(Writer writer, std::int64_t cursor) override {
    return statements_.Ask(&WaitingStore::KeepCursor, writer, cursor);
  }
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override {
    return statements_.Ask(&WaitingStore::FindCursor, shard);
  }
  Task<absl::StatusOr<Page>> LoadPage(std::uint32_t shard, Place after, PageLimit limit) override {
    return statements_.Ask(&WaitingStore::LoadPage, shard, after, limit);
  }

 private:
  Task<absl::StatusOr<std::int64_t>> Send(Statement statement) override {
    absl::AnyInvocable<Task<absl::StatusOr<std::int64_t>>()> sent =
        [&rows = statements_.rows(), statement = std::move(statement)] { return Make(rows, statement); };
    return statements_.Send<absl::StatusOr<std::int64_t>>(std::move(sent));
  }

  Statements statements_;
};

/// One call of the process that has the address.
template <typename Callee, typename Response, typename Request>
Task<absl::StatusOr<Response>> CallAt(Environment& environment, Process& process,
                                      const std::map<std::string, Callee*>& callees, std::string address,
                                      Task<absl::StatusOr<Response>> (Callee::*method)(Request),
                                      Request request, milliseconds limit) {
  const auto found = callees.find(address);
  if (found == callees.end()) co_return absl::UnavailableError("nobody listens");
  Callee& callee = *found->second;
  absl::AnyInvocable<Task<absl::StatusOr<Response>>()> call = [&callee, method, request] {
    return (callee.*method)(request);
  };
  absl::StatusOr<Response> answer =
      co_await environment.world.Call<absl::StatusOr<Response>>(process, callee, limit, std::move(call));
  co_return answer;
}

/// As GrpcRoster, with the network of the simulation in place of gRPC.
class RemoteRoster final : public Roster {
 public:
  RemoteRoster(Environment& environment, Process& process, const routing::Registry& registry)
      : environment_(environment), process_(process), instances_(registry, "roster") {}

  Task<absl::StatusOr<roster::v1::GetRosterResponse>> Get(roster::v1::GetRosterRequest request,
                                                          std::uint64_t) override {
    return Ask<roster::v1::GetRosterResponse>(std::move(request), &RosterProcess::Get);
  }
  Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> SetItem(roster::v1::SetRosterItemRequest request,
                                                                  std::uint64_t) override {
    return Ask<roster::v1::SetRosterItemResponse>(std::move(request), &RosterProcess::Set);
  }
  Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> RemoveItem(
      roster::v1::RemoveRosterItemRequest request, std::uint64_t) override {
    return Ask<roster::v1::RemoveRosterItemResponse>(std::move(request), &RosterProcess::Remove);
  }
  Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> Outbound(
      roster::v1::ProcessOutboundSubscriptionRequest request, std::uint64_t) override {
    return Ask<roster::v1::ProcessOutboundSubscriptionResponse>(std::move(request), &RosterProcess::Outbound);
  }
  Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> Inbound(
      roster::v1::ProcessInboundSubscriptionRequest request, std::uint64_t) override {
    return Ask<roster::v1::ProcessInboundSubscriptionResponse>(std::move(request), &RosterProcess::Inbound);
  }
  Task<absl::StatusOr<roster::v1::DeleteUserResponse>> DeleteUser(roster::v1::DeleteUserRequest request,
                                                                  std::uint64_t) override {
    return Ask<roster::v1::DeleteUserResponse>(std::move(request), &RosterProcess::Delete);
  }
  Task<absl::StatusOr<roster::v1::GetUserSettingsResponse>> GetUserSettings(
      roster::v1::GetUserSettingsRequest request, std::uint64_t) override {
    const auto call = [&](const std::string& address) {
      return CallAt(environment_, process_, environment_.rosters, address, &RosterProcess::GetUserSettings,
                    request, kRosterTimeout);
    };
    absl::StatusOr<roster::v1::GetUserSettingsResponse> answer =
        co_await instances_.AskEither<roster::v1::GetUserSettingsResponse>(request.user(), call);
    co_return answer;
  }
  Task<absl::StatusOr<roster::v1::BlockAddressesResponse>> Block(roster::v1::BlockAddressesRequest request,
                                                                 std::uint64_t) override {
    return Ask<roster::v1::BlockAddressesResponse>(std::move(request), &RosterProcess::Block);
  }
  Task<absl::StatusOr<roster::v1::UnblockAddressesResponse>> Unblock(
      roster::v1::UnblockAddressesRequest request, std::uint64_t) override {
    return Ask<roster::v1::UnblockAddressesResponse>(std::move(request), &RosterProcess::Unblock);
  }
  Task<absl::StatusOr<roster::v1::GetVcardResponse>> GetVcard(roster::v1::GetVcardRequest request,
                                                              std::uint64_t) override {
    return Ask<roster::v1::GetVcardResponse>(std::move(request), &RosterProcess::GetVcard);
  }
  Task<absl::StatusOr<roster::v1::SetVcardResponse>> SetVcard(roster::v1::SetVcardRequest request,
                                                              std::uint64_t) override {
    return Ask<roster::v1::SetVcardResponse>(std::move(request), &RosterProcess::SetVcard);
  }

 private:
  template <typename Response, typename Request>
  Task<absl::StatusOr<Response>> Ask(Request request,
                                     Task<absl::StatusOr<Response>> (RosterProcess::*method)(Request)) {
    const auto call = [&](const std::string& address) {
      return CallAt(environment_, process_, environment_.rosters, address, method, request, kRosterTimeout);
    };
    absl::StatusOr<Response> answer = co_await instances_.Ask<Response>(request.user(), call);
    if constexpr (!std::is_same_v<Request, roster::v1::GetRosterRequest>) {
      const bool is_silence =
          absl::IsUnavailable(answer.status()) || absl::IsDeadlineExceeded(answer.status());
      if (is_silence && environment_.mutation == "silence-is-refusal")
        co_return absl::InvalidArgumentError("no answer");
    }
    co_return answer;
  }

  Environment& environment_;
  Process& process_;
  routing::InstanceClient instances_;
};

/// The membership of a process that may be killed: its last coroutines still run when the registry is gone.
class MortalMembership final : public Membership {
 public:
  explicit MortalMembership(routing::Registry& registry) : registry_(registry) {}
  void Silence() { is_silent_ = true; }
  std::vector<std::string> Gateways() const override {
    return is_silent_ ? std::vector<std::string>() : registry_.Gateways();
  }
  bool KnowsAllGateways() const override { return !is_silent_ && registry_.KnowsAllGateways(); }

 private:
  RegistryMembership registry_;
  bool is_silent_ = false;
};

/// As GrpcServiceDisco, with the network of the simulation in place of gRPC.
class RemoteServiceDisco final : public ServiceDisco {
 public:
  RemoteServiceDisco(Environment& environment, Process& process, routing::Registry& registry)
      : environment_(environment), process_(process), registry_(registry), owners_(registry) {}

  bool IsThere(events::Service service) const override {
    return !registry_.Instances(events::Name(service)).empty();
  }
  Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(events::Home home,
                                                             disco::v1::GetDiscoInfoRequest request,
                                                             std::uint64_t) override {
    return Ask<disco::v1::GetDiscoInfoResponse>(home, std::move(request), &SearchProcess::Info);
  }
  Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(events::Home home,
                                                                disco::v1::ListDiscoItemsRequest request,
                                                                std::uint64_t) override {
    return Ask<disco::v1::ListDiscoItemsResponse>(home, std::move(request), &SearchProcess::Items);
  }

 private:
  template <typename Response, typename Request>
  Task<absl::StatusOr<Response>> Ask(events::Home home, Request request,
                                     Task<absl::StatusOr<Response>> (SearchProcess::*method)(Request)) {
    const auto call = [&](const std::string& address, milliseconds limit) {
      return CallAt(environment_, process_, environment_.searches, address, method, request, limit);
    };
    absl::StatusOr<Response> answer =
        co_await owners_.Ask<Response>(home, Deadline::After(kDiscoTimeout), call);
    co_return answer;
  }

  Environment& environment_;
  Process& process_;
  routing::Registry& registry_;
  routing::OwnerClient owners_;
};

class SimulatedSessionManager final : public SessionManagerProcess {
 public:
  SimulatedSessionManager(Environment& environment, std::string name)
      : SessionManagerProcess(environment.world, std::move(name)), environment_(environment) {}

  std::size_t sessions() const override { return parts_ == nullptr ? 0 : parts_->domain->table().size(); }
  bool is_live(std::uint32_t shard) const override {
    const sharding::Shard* const found = parts_ == nullptr ? nullptr : parts_->owner->Find(shard);
    return found != nullptr && found->live();
  }
  double records_out_of_order() const override {
    return out_of_order_before_ +
           (parts_ == nullptr ? 0 : parts_->domain->metrics().records_out_of_order.Value());
  }

 private:
  // In the order of making; unmade in reverse.
  struct Parts {
    telemetry::Metrics metrics{"session_manager"};
    Settings settings;
    std::unique_ptr<redis::Client> redis;
    std::unique_ptr<routing::Registry> registry;
    std::unique_ptr<MortalMembership> membership;
    std::unique_ptr<events::KafkaLog> log;
    std::unique_ptr<Accounts> accounts;
    std::unique_ptr<Waiting> waiting;
    QuickKeyMaker keys;
    std::unique_ptr<RemoteRoster> roster;
    std::unique_ptr<RemoteServiceDisco> service_disco;
    std::unique_ptr<RedisSessionDirectory> directory;
    std::unique_ptr<sharding::ShardOwner> owner;
    std::unique_ptr<Domain> domain;
    std::unique_ptr<GatewayLinks> links;
    std::unique_ptr<runtime::PeriodicTimer> sweep_timer;
    std::unique_ptr<runtime::PeriodicTimer> directory_timer;
  };

  void Boot() override {
    parts_ = std::make_unique<Parts>();
    Parts& p = *parts_;
    p.settings.instance = name();
    p.settings.resume_timeout = environment_.resume_timeout;
    p.settings.registration = environment_.has_registration;
    // A dozen messages wait for a user here, not hundreds.
    p.settings.hand_out_page = 4;
    p.settings.hand_out_burst = 6;
    if (environment_.has_little_room) p.settings.max_store_waiting = 64;
    p.redis = MakeRedisClient(world(), *this, environment_.redis, environment_.redis_data);
    p.registry = routing::Registry::Create(io(), *p.redis);
    p.membership = std::make_unique<MortalMembership>(*p.registry);
    const std::uint32_t shards = environment_.shards;
    p.log = std::make_unique<events::KafkaLog>(environment_.kafka.MakeProducer(*this),
                                               environment_.kafka.MakeProducer(*this),
                                               events::Topology({shards, shards, shards, shards}));
    const Statements statements(environment_, *this);
    p.accounts = std::make_unique<Accounts>(statements);
    p.waiting = std::make_unique<Waiting>(statements);
    p.roster = std::make_unique<RemoteRoster>(environment_, *this, *p.registry);
    p.service_disco = std::make_unique<RemoteServiceDisco>(environment_, *this, *p.registry);
    p.directory = std::make_unique<RedisSessionDirectory>(*p.redis, name());
    sharding::OwnerOptions owner;
    owner.instance = name();
    owner.duplicate_horizon = p.settings.duplicate_horizon;
    p.owner = std::make_unique<sharding::ShardOwner>(
        io().get_executor(), Clock::System(), owner, *p.log,
        [&p](const std::map<std::uint32_t, std::int64_t>& epochs) {
          if (p.registry != nullptr) p.registry->PublishShards(epochs);
        },
        member::EpochsIn(*p.registry, "session-manager"), p.metrics);
    p.log->OnBroken([&p] { p.owner->OnLogBroken(); });
    p.domain = std::make_unique<Domain>(io().get_executor(), p.settings,
                                        Ports{*p.owner, *p.log, *p.membership, *p.accounts, p.keys,
                                              *p.waiting, *p.roster, *p.service_disco, *p.directory},
                                        Clock::System(), p.metrics);
    p.links = std::make_unique<GatewayLinks>(io(), p.domain->sessions(), rpc::LinkLimits{});
    const std::string address = name() + ":" + std::to_string(life());
    environment_.links.Serve(*this, address,
                             [&links = *p.links](auto link) { return links.Accept(std::move(link)); });
    p.registry->Watch("gateway", [&p](const auto&) { p.domain->sessions().OnGatewaysRegistered(); });
    p.registry->Watch("roster", [](const auto&) {});
    p.registry->Watch("muc", [](const auto&) {});
    p.registry->Watch("session-manager",
                      [&p](const std::vector<routing::Instance>& all) { p.links->SetSessionManagers(all); });
    p.registry->Announce("session-manager", {name(), address}, [this](const absl::Status&) { EndSoon(); });
    const absl::Status joined =
        p.owner->Join(p.domain->shard_service(), [this](kafka::ConsumerHandler& handler) {
          return environment_.kafka.MakeConsumer(*this, "users", "session-managers", handler);
        });
    ROOKERY_CHECK(joined.ok());
    const auto executor = io().get_executor();
    p.sweep_timer =
        std::make_unique<runtime::PeriodicTimer>(executor, milliseconds(500), [&p] { p.domain->Sweep(); });
    p.directory_timer = std::make_unique<runtime::PeriodicTimer>(executor, milliseconds(100),
                                                                 [&p] { p.domain->directory().Flush(); });
  }

  Task<void> Drain() override {
    Parts& p = *parts_;
    co_await p.registry->Withdraw();
    co_await p.owner->Leave(milliseconds(6'000));
    (void)co_await p.log->Flush(milliseconds(6'000));
    p.links->CloseAll();
    co_await runtime::Sleep(milliseconds(100));
  }

  void Unmake() override {
    Parts& p = *parts_;
    out_of_order_before_ = records_out_of_order();
    p.directory_timer.reset();
    p.sweep_timer.reset();
    // Its last coroutines end on the loop, while all that they use is still there. The dead say nothing.
    p.membership->Silence();
    std::unique_ptr<routing::Registry> registry = std::move(p.registry);
    io().restart();
    io().poll();
    registry.reset();
    parts_.reset();
  }

  Environment& environment_;
  std::unique_ptr<Parts> parts_;
  double out_of_order_before_ = 0;
};

}  // namespace

std::unique_ptr<Database> MakeDatabase() { return std::make_unique<SimulatedDatabase>(); }

std::unique_ptr<SessionManagerProcess> MakeSessionManager(Environment& environment, std::string name) {
  return std::make_unique<SimulatedSessionManager>(environment, std::move(name));
}

}  // namespace rookery::simulation
