#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "client.h"
#include "environment.h"
#include "ledger.h"
#include "room_ledger.h"
#include "roster_ledger.h"

namespace rookery::simulation {

struct Options {
  std::uint64_t seed = 1;
  std::chrono::milliseconds duration = std::chrono::minutes(10);
  int session_managers = 3;
  int gateways = 2;
  int rosters = 2;
  int members = 2;  // of muc and of search
  int users = 12;
  /// People may be in; -1: none or some, as the seed says.
  int rooms = -1;
  /// People who change their rosters; -1: all.
  int changing = -1;
  /// Names of faults.h's table.
  std::set<std::string> faults;
  /// One of mutations.h, or empty.
  std::string mutation;
  /// Keep the story, to be told.
  bool keep_trace = false;
};

struct Result {
  std::vector<Violation> violations;
  std::uint64_t trace_hash = 0;
  std::uint64_t messages = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t received = 0;
  std::uint64_t said = 0;  // in rooms
  std::uint64_t heard = 0;
  std::uint64_t changes = 0;  // of rosters
  std::uint64_t records = 0;
  std::uint64_t faults = 0;
};

/// A whole cluster with its clients and its misfortunes. Lives through one seed.
class Simulation {
 public:
  explicit Simulation(Options options);
  ~Simulation();

  Result Run();
  const Trace& trace() const { return world_.trace(); }
  const Ledger& ledger() const { return ledger_; }
  /// Every process, in the order of lanes.
  std::vector<std::string> lanes() const;

 private:
  friend class Faults;
  /// Whether the session's gateway stands still, or is cut off from the owner of its shard.
  bool IsOutOfReach(const Ledger::Session& session) const;
  void Settle();
  void Check();
  void CheckShards();
  void CheckRooms();
  void CheckRosters();
  void CheckCursors(const std::string& topic, const std::string& group);
  std::vector<std::string> DrawRooms();
  /// Draws the contacts whose items each user changes in its roster.
  std::vector<std::vector<std::string>> DrawContacts();

  const Options options_;
  World world_;
  Random random_;
  Process redis_;
  Process postgres_;
  Process broker_;
  RedisData redis_data_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<RosterDatabase> roster_database_;
  std::unique_ptr<RoomDatabase> room_database_;
  Kafka kafka_;
  Links links_;
  Environment environment_;
  Ledger ledger_;
  RoomLedger room_ledger_;
  RosterLedger roster_ledger_;
  Random room_random_;
  Random roster_random_;
  const std::vector<std::string> rooms_;
  Wires wires_;
  std::vector<std::unique_ptr<RosterProcess>> rosters_;
  std::vector<std::unique_ptr<MemberProcess>> members_;
  std::vector<std::unique_ptr<SessionManagerProcess>> managers_;
  std::vector<std::unique_ptr<GatewayProcess>> gateways_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::string> users_;
  std::vector<Client*> staying_;  // to the end
  std::unique_ptr<class Faults> faults_;
};

}  // namespace rookery::simulation
