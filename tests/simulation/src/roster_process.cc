// A roster process: the real domain over a store in memory, which is asked through the network as
// PostgreSQL is. Mirrors services/roster/src/app.cc.
#include <memory>
#include <utility>

#include "domain/roster_keeper.h"
#include "environment.h"
#include "memory_roster_store.h"
#include "rookery/base/clock.h"
#include "rookery/routing/registry.h"

namespace rookery::simulation {

using std::chrono::seconds;

namespace {

using namespace roster;  // NOLINT: this file is that service's part

constexpr seconds kStatementTimeout{5};

class MemoryRosterDatabase final : public RosterDatabase {
 public:
  MemoryRosterDatabase() { rows.now_ms = UnixMillis; }
  void Befriend(const std::string& a, const std::string& b) override {
    Add(a, b);
    Add(b, a);
  }
  std::vector<Item> Items(const std::string& owner) const override {
    std::vector<Item> items;
    const auto stored = rows.rosters.find(owner);
    if (stored == rows.rosters.end()) return items;
    for (const Contact& contact : stored->second.contacts) items.push_back(ItemOf(contact));
    return items;
  }
  std::optional<Item> Find(const std::string& owner, const std::string& jid) const override {
    for (Item& item : Items(owner))
      if (item.jid == jid) return std::move(item);
    return std::nullopt;
  }

  MemoryRosterStore rows;

 private:
  void Add(const std::string& owner, const std::string& jid) {
    Contact contact;
    contact.jid = jid;
    contact.listed = true;
    contact.revision = 1;
    contact.state.to = contact.state.from = true;
    StoredRoster& stored = rows.rosters[owner];
    stored.version = 1;
    stored.contacts.push_back(std::move(contact));
    ++rows.totals[owner].items;
  }
  static Item ItemOf(const Contact& contact) {
    const SubscriptionState& state = contact.state;
    return {contact.jid,       contact.name,     contact.groups, state.to,      state.from,
            state.pending_out, state.pending_in, state.approved, contact.listed};
  }
};

class RemoteStore final : public RosterStore {
 public:
  RemoteStore(Environment& environment, Process& process, MemoryRosterDatabase& database)
      : environment_(environment), process_(process), database_(database) {}

  Task<absl::StatusOr<StoredRoster>> Load(std::string owner) override {
    return Ask<absl::StatusOr<StoredRoster>>([=](RosterStore& rows) { return rows.Load(owner); });
  }
  Task<absl::StatusOr<StoredRoster>> LoadPending(std::string owner) override {
    return Ask<absl::StatusOr<StoredRoster>>([=](RosterStore& rows) { return rows.LoadPending(owner); });
  }
  Task<absl::StatusOr<Snapshot>> Read(std::string owner, std::string jid, std::string request_id) override {
    return Ask<absl::StatusOr<Snapshot>>(
        [=](RosterStore& rows) { return rows.Read(owner, jid, request_id); });
  }
  Task<absl::StatusOr<std::uint64_t>> Apply(std::string owner, Change change) override {
    absl::AnyInvocable<Task<absl::StatusOr<std::uint64_t>>()> statement =
        [&database = database_, owner, change] { return Make(database, owner, change); };
    return Send<absl::StatusOr<std::uint64_t>>(std::move(statement));
  }
  Task<absl::StatusOr<SettingsSnapshot>> ReadSettings(std::string owner, std::string request_id) override {
    return Ask<absl::StatusOr<SettingsSnapshot>>(
        [=](RosterStore& rows) { return rows.ReadSettings(owner, request_id); });
  }
  Task<absl::Status> SaveBlockList(std::string owner, BlockChange change) override {
    return Ask<absl::Status>([=](RosterStore& rows) { return rows.SaveBlockList(owner, change); });
  }
  Task<absl::StatusOr<std::string>> LoadVcard(std::string owner) override {
    return Ask<absl::StatusOr<std::string>>([=](RosterStore& rows) { return rows.LoadVcard(owner); });
  }
  Task<absl::Status> SaveVcard(std::string owner, VcardChange change) override {
    return Ask<absl::Status>([=](RosterStore& rows) { return rows.SaveVcard(owner, change); });
  }
  Task<absl::Status> RemoveAll(std::string owner, Removal removal) override {
    return Ask<absl::Status>([=](RosterStore& rows) { return rows.RemoveAll(owner, removal); });
  }
  Task<absl::Status> ForgetOldAnswers() override {
    return Ask<absl::Status>([](RosterStore& rows) { return rows.ForgetOldAnswers(); });
  }

 private:
  template <typename T, typename Run>
  Task<T> Ask(Run run) {
    absl::AnyInvocable<Task<T>()> statement = [&rows = database_.rows, run = std::move(run)]() mutable {
      return run(rows);
    };
    return Send<T>(std::move(statement));
  }
  template <typename T>
  Task<T> Send(absl::AnyInvocable<Task<T>()> statement) {
    return environment_.world.Call<T>(process_, environment_.postgres, kStatementTimeout,
                                      std::move(statement));
  }
  static Task<absl::StatusOr<std::uint64_t>> Make(MemoryRosterDatabase& database, std::string owner,
                                                  Change change) {
    auto version = co_await database.rows.Apply(owner, change);
    if (version.ok() && database.on_applied && !change.contact.jid.empty())
      database.on_applied(
          {owner, change.contact.jid, change.contact.listed, change.request_id, change.response});
    co_return version;
  }

  Environment& environment_;
  Process& process_;
  MemoryRosterDatabase& database_;
};

class SimulatedRoster final : public RosterProcess {
 public:
  SimulatedRoster(Environment& environment, MemoryRosterDatabase& database, std::string name)
      : RosterProcess(environment.world, std::move(name)), environment_(environment), database_(database) {}

  Task<absl::StatusOr<v1::GetRosterResponse>> Get(v1::GetRosterRequest request) override {
    return parts_->keeper.Get(std::move(request));
  }
  Task<absl::StatusOr<v1::SetRosterItemResponse>> Set(v1::SetRosterItemRequest request) override {
    return parts_->keeper.SetItem(std::move(request));
  }
  Task<absl::StatusOr<v1::RemoveRosterItemResponse>> Remove(v1::RemoveRosterItemRequest request) override {
    return parts_->keeper.RemoveItem(std::move(request));
  }
  Task<absl::StatusOr<v1::ProcessOutboundSubscriptionResponse>> Outbound(
      v1::ProcessOutboundSubscriptionRequest request) override {
    return parts_->keeper.ProcessOutbound(std::move(request));
  }
  Task<absl::StatusOr<v1::ProcessInboundSubscriptionResponse>> Inbound(
      v1::ProcessInboundSubscriptionRequest request) override {
    return parts_->keeper.ProcessInbound(std::move(request));
  }
  Task<absl::StatusOr<v1::DeleteUserResponse>> Delete(v1::DeleteUserRequest request) override {
    return parts_->keeper.DeleteUser(std::move(request));
  }
  Task<absl::StatusOr<v1::GetUserSettingsResponse>> GetUserSettings(
      v1::GetUserSettingsRequest request) override {
    return parts_->keeper.GetUserSettings(std::move(request));
  }
  Task<absl::StatusOr<v1::BlockAddressesResponse>> Block(v1::BlockAddressesRequest request) override {
    return parts_->keeper.Block(std::move(request));
  }
  Task<absl::StatusOr<v1::UnblockAddressesResponse>> Unblock(v1::UnblockAddressesRequest request) override {
    return parts_->keeper.Unblock(std::move(request));
  }
  Task<absl::StatusOr<v1::GetVcardResponse>> GetVcard(v1::GetVcardRequest request) override {
    return parts_->keeper.GetVcard(std::move(request));
  }
  Task<absl::StatusOr<v1::SetVcardResponse>> SetVcard(v1::SetVcardRequest request) override {
    return parts_->keeper.SetVcard(std::move(request));
  }

 private:
  struct Parts {
    Parts(Environment& environment, Process& process, MemoryRosterDatabase& database)
        : store(environment, process, database),
          keeper(store),
          redis(MakeRedisClient(environment.world, process, environment.redis, environment.redis_data)),
          registry(routing::Registry::Create(process.io(), *redis)) {}
    RemoteStore store;
    RosterKeeper keeper;
    std::unique_ptr<redis::Client> redis;
    std::unique_ptr<routing::Registry> registry;
  };

  void Boot() override {
    parts_ = std::make_unique<Parts>(environment_, *this, database_);
    const std::string address = name() + ":" + std::to_string(life());
    environment_.rosters[address] = this;
    parts_->registry->Announce("roster", {name(), address}, [this](const absl::Status&) { EndSoon(); });
  }
  Task<void> Drain() override {
    co_await parts_->registry->Withdraw();
    co_await runtime::Sleep(std::chrono::milliseconds(500));
  }
  void Unmake() override {
    environment_.rosters.erase(name() + ":" + std::to_string(life()));
    parts_->registry.reset();
    io().restart();
    io().poll();
    // Calls that are being served use the parts: they go first, with everything on the loop.
    parts_.reset();
  }

  Environment& environment_;
  MemoryRosterDatabase& database_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace

std::unique_ptr<RosterDatabase> MakeRosterDatabase() { return std::make_unique<MemoryRosterDatabase>(); }

std::unique_ptr<RosterProcess> MakeRoster(Environment& environment, RosterDatabase& database,
                                          std::string name) {
  return std::make_unique<SimulatedRoster>(environment, static_cast<MemoryRosterDatabase&>(database),
                                           std::move(name));
}

}  // namespace rookery::simulation
