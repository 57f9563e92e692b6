#include "small_cluster.h"

#include <cstdio>

#include "fuzz_input.h"

namespace rookery::fuzz {

using std::chrono::milliseconds;
using std::chrono::seconds;

SmallCluster::SmallCluster(std::uint64_t key, const gateway::XmppSettings& settings) : ledger(key) {
  environment_.has_registration = true;
  for (const char* topic : {"users", "messages", "presence", "rooms"}) kafka_.CreateTopic(topic, kShards);
  for (const char* user : {"ann@localhost", "bob@localhost", "cyd@localhost"})
    database_->AddAccount(user, "secret");
  rosters_->Befriend("ann@localhost", "bob@localhost");
  ledger.Befriend("ann@localhost", "bob@localhost");
  roster_ = MakeRoster(environment_, *rosters_, "roster");
  members_.push_back(MakeMuc(environment_, *rooms_, "muc"));
  members_.push_back(MakeSearch(environment_, "search"));
  manager_ = MakeSessionManager(environment_, "manager");
  edge = std::make_unique<Edge>(environment_, ledger, "gateway", settings);
  for (simulation::Process* process : Processes()) process->Start();
  RunUntil([this] { return IsLive(); }, seconds(30));
  Require(IsLive(), "a cluster comes up");
}

SmallCluster::~SmallCluster() {
  auto processes = Processes();
  for (auto it = processes.rbegin(); it != processes.rend(); ++it) (*it)->Kill();
}

void SmallCluster::RequireSilence() {
  RunUntil([this] { return IsSilent(); }, kResumeTimeout + seconds(60), milliseconds(500));
  if (!IsSilent())
    std::fprintf(stderr, "session-manager: %zu sessions, gateway: %zu sessions, %zu connections\n",
                 manager_->sessions(), edge->sessions(), edge->connections());
  Require(IsSilent(), "in the end nothing is left of sessions, and every record is finished");
  Require(manager_->records_out_of_order() == 0, "what follows from a session's stanzas is in their order");
}

std::vector<simulation::Process*> SmallCluster::Processes() {
  return {&redis_,           &postgres_,        &broker_,       roster_.get(),
          members_[0].get(), members_[1].get(), manager_.get(), edge.get()};
}

bool SmallCluster::IsLive() {
  for (std::uint32_t shard = 0; shard < kShards; ++shard)
    if (!manager_->is_live(shard) || !members_[0]->is_live(shard) || !members_[1]->is_live(shard))
      return false;
  return edge->is_connected();
}

bool SmallCluster::IsSilent() {
  for (std::int32_t shard = 0; shard < static_cast<std::int32_t>(kShards); ++shard)
    if (kafka_.CommittedOf("session-managers", shard) < kafka_.partition("users", shard).end()) return false;
  return manager_->sessions() == 0 && edge->sessions() == 0 && edge->connections() == 0;
}

}  // namespace rookery::fuzz
