#include "simulation.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "faults.h"
#include "message_id.h"
#include "mutations.h"
#include "rookery/events/homes.h"

namespace rookery::simulation {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Simulation::Simulation(Options options)
    : options_(std::move(options)),
      world_(options_.seed, options_.keep_trace),
      random_(options_.seed ^ 0x5eed5eed5eed5eedULL),
      redis_(world_, "redis"),
      postgres_(world_, "postgres"),
      broker_(world_, "broker"),
      database_(MakeDatabase()),
      roster_database_(MakeRosterDatabase()),
      room_database_(MakeRoomDatabase()),
      kafka_(world_, broker_),
      links_(world_),
      environment_{world_,     kafka_, links_, redis_, redis_data_, postgres_,
                   *database_, {},     {},     8,      seconds(60), options_.mutation},
      ledger_(world_),
      room_ledger_(world_, ledger_),
      roster_ledger_(world_, ledger_, *roster_database_),
      room_random_(options_.seed ^ 0x1200051200051200ULL),
      roster_random_(options_.seed ^ 0x7057e27057e27057ULL),
      rooms_(DrawRooms()),
      wires_(world_) {
  environment_.has_little_room = options_.faults.contains(std::string(kLittleRoom));
  Mutate(environment_);
  for (const char* topic : {"users", "messages", "presence", "rooms"})
    kafka_.CreateTopic(topic, environment_.shards);
  kafka_.on_append = [this](std::string_view topic, std::int32_t partition, std::int64_t offset,
                            std::string_view value) {
    if (topic == "users") ledger_.Logged(value);
    if (topic == "users" && options_.changing != 0) roster_ledger_.LoggedForUsers(partition, offset, value);
    if (rooms_.empty()) return;
    if (topic == "users") room_ledger_.LoggedForUsers(partition, offset, value);
    if (topic == "rooms") room_ledger_.LoggedForRooms(offset, value);
  };
  kafka_.on_lost = [this](std::string_view topic, std::string_view value) {
    if (topic == "users") ledger_.Lost(value);
  };
  links_.on_packet = [this](const common::v1::Stanza& stanza) { ledger_.GivenToClient(stanza); };
  kafka_.on_refused = [this](std::string_view topic, std::string_view value) {
    if (topic == "users") ledger_.Refused(value);
    if (topic == "users") room_ledger_.RefusedForUsers(value);
    if (topic == "users") roster_ledger_.RefusedForUsers(value);
    if (topic == "rooms") room_ledger_.RefusedForRooms(value);
  };
  wires_.on_written = [this](Client* client, const xmpp::Stanza& stanza) {
    const std::uint64_t id = ParseId(stanza.id());
    if (id != 0 && !client->has_stream_management() && stanza.type() != "error") ledger_.HandedOver(id);
  };
  if (options_.changing != 0)
    roster_database_->on_applied = [this](const RosterDatabase::Applied& applied) {
      roster_ledger_.Applied(applied);
    };
  ledger_.changes_sight = [this](const std::string& viewer, const std::string& contact) {
    return roster_ledger_.MayHaveChanged(viewer, contact);
  };
  ledger_.is_out_of_reach = [this](const Ledger::Session& session) { return IsOutOfReach(session); };
  for (int i = 0; i < options_.rosters; ++i)
    rosters_.push_back(MakeRoster(environment_, *roster_database_, absl::StrCat("roster-", i + 1)));
  for (int i = 0; i < options_.members; ++i)
    members_.push_back(MakeMuc(environment_, *room_database_, absl::StrCat("muc-", i + 1)));
  for (int i = 0; i < options_.members; ++i)
    members_.push_back(MakeSearch(environment_, absl::StrCat("search-", i + 1)));
  for (int i = 0; i < options_.session_managers; ++i)
    managers_.push_back(MakeSessionManager(environment_, absl::StrCat("manager-", i + 1)));
  std::vector<GatewayProcess*> gateways;
  for (int i = 0; i < options_.gateways; ++i) {
    gateways_.push_back(MakeGateway(environment_, absl::StrCat("gateway-", i + 1),
                                    [this](std::uint64_t connection, ToClient frame) {
                                      wires_.ToClientEnd(connection, std::move(frame));
                                    }));
    gateways.push_back(gateways_.back().get());
  }

  std::vector<std::vector<Client*>> devices(static_cast<std::size_t>(options_.users));
  std::vector<std::string>& names = users_;
  for (int i = 0; i < options_.users; ++i) names.push_back(absl::StrCat("user", i + 1, "@localhost"));
  const std::vector<std::vector<std::string>> contacts = DrawContacts();
  for (int i = 0; i < options_.users; ++i) {
    const std::string& name = names[static_cast<std::size_t>(i)];
    database_->AddAccount(name);
    const bool is_drawn = random_.Chance(0.3);
    const int count = is_drawn && options_.faults.contains(std::string(kSecondDevices)) ? 2 : 1;
    for (int d = 0; d < count; ++d) {
      Client::Habits habits;
      habits.has_stream_management = random_.Chance(0.8);
      habits.between_messages = random_.LogBetween(seconds(1), seconds(20));
      habits.online_for = random_.LogBetween(seconds(20), seconds(300));
      habits.is_slow_to_acknowledge = random_.Chance(0.15);
      Client::Rooms rooms{room_ledger_, {}, room_random_.Next()};
      for (const std::string& room : rooms_)
        if (room_random_.Chance(0.5)) rooms.addresses.push_back(room);
      clients_.push_back(std::make_unique<Client>(
          world_, ledger_, wires_, gateways, name, absl::StrCat("d", d + 1), habits,
          environment_.resume_timeout, random_.Next(), std::move(rooms),
          Client::Contacts{roster_ledger_, contacts[static_cast<std::size_t>(i)], roster_random_.Next()}));
      devices[static_cast<std::size_t>(i)].push_back(clients_.back().get());
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (std::size_t j = i + 1; j < names.size(); ++j)
      if (random_.Chance(0.4)) {
        roster_database_->Befriend(names[i], names[j]);
        roster_ledger_.AreFriends(names[i], names[j]);
      }
    std::vector<Client*> others;
    for (std::size_t j = 0; j < names.size(); ++j)
      if (j != i) others.insert(others.end(), devices[j].begin(), devices[j].end());
    for (Client* client : devices[i]) client->set_contacts(others);
  }
}

std::vector<std::vector<std::string>> Simulation::DrawContacts() {
  constexpr std::size_t kContacts = 2;
  std::vector<std::vector<std::string>> contacts(users_.size());
  const std::size_t changing =
      options_.changing < 0 ? users_.size() : static_cast<std::size_t>(options_.changing);
  // Both may change what they are to each other.
  for (std::size_t i = 0; i < std::min(changing, users_.size()) && users_.size() > 1; ++i)
    for (std::size_t k = 0; k < kContacts; ++k) {
      const std::size_t j = (i + 1 + roster_random_.Below(users_.size() - 1)) % users_.size();
      roster_ledger_.MayChange(users_[i], users_[j]);
      contacts[i].push_back(users_[j]);
      contacts[j].push_back(users_[i]);
    }
  return contacts;
}

bool Simulation::IsOutOfReach(const Ledger::Session& session) const {
  const auto client = std::find_if(clients_.begin(), clients_.end(),
                                   [&](const auto& entry) { return entry->session() == &session; });
  const GatewayProcess* const gateway = client == clients_.end() ? nullptr : wires_.GatewayOf(**client);
  if (gateway == nullptr) return false;
  if (gateway->is_frozen()) return true;
  const events::Topology topology(
      {environment_.shards, environment_.shards, environment_.shards, environment_.shards});
  const std::uint32_t shard = topology.PartitionOf(events::Topic::kUsers, session.user);
  return std::any_of(managers_.begin(), managers_.end(), [&](const auto& manager) {
    return manager->is_live(shard) && !world_.AreJoined(*gateway, *manager);
  });
}

std::vector<std::string> Simulation::DrawRooms() {
  std::size_t count = room_random_.Chance(0.5) ? 1 + room_random_.Below(4) : 0;
  if (options_.rooms >= 0)
    count = std::min<std::size_t>(static_cast<std::size_t>(options_.rooms), environment_.shards);
  const events::Topology topology(
      {environment_.shards, environment_.shards, environment_.shards, environment_.shards});
  std::set<std::uint32_t> shards;
  std::vector<std::string> rooms;
  // Each in a shard of its own. Halls are there when nobody is in.
  for (int i = 0; rooms.size() < count; ++i) {
    const std::string room =
        absl::StrCat(rooms.size() % 2 == 0 ? "room" : "hall", i, "@conference.localhost");
    if (shards.insert(topology.PartitionOf(events::Topic::kRooms, room)).second) rooms.push_back(room);
  }
  return rooms;
}

Simulation::~Simulation() {
  // Before what they use.
  for (auto& p : gateways_) p->Kill();
  for (auto& p : managers_) p->Kill();
  for (auto& p : members_) p->Kill();
  for (auto& p : rosters_) p->Kill();
  redis_.Kill();
  postgres_.Kill();
  broker_.Kill();
}

std::vector<std::string> Simulation::lanes() const {
  std::vector<std::string> names{"world", "redis", "postgres", "broker", "kafka"};
  for (const auto& p : rosters_) names.push_back(p->name());
  for (const auto& p : members_) names.push_back(p->name());
  for (const auto& p : managers_) names.push_back(p->name());
  for (const auto& p : gateways_) names.push_back(p->name());
  return names;
}

Result Simulation::Run() {
  faults_ = std::make_unique<Faults>(*this);
  for (Process* backend : {&redis_, &postgres_, &broker_}) backend->Start();
  for (auto& p : rosters_) p->Start();
  for (auto& p : members_) p->Start();
  for (auto& p : managers_) p->Start();
  for (auto& p : gateways_) p->Start();
  for (auto& client : clients_) client->Begin(random_.Between(seconds(5), seconds(30)));
  const SteadyTime end = world_.now() + options_.duration;
  world_.RunFor(seconds(30));
  faults_->Begin(end);
  world_.RunUntil(end);
  Settle();
  Check();

  Result result;
  result.violations = ledger_.violations();
  result.trace_hash = world_.trace().hash();
  for (const auto& [id, message] : ledger_.messages()) {
    ++result.messages;
    result.acknowledged += message.is_acknowledged ? 1 : 0;
    result.received += message.receptions > 0 ? 1 : 0;
  }
  result.said = room_ledger_.said();
  result.heard = room_ledger_.heard();
  result.changes = roster_ledger_.applied();
  result.records = kafka_.appended();
  result.faults = faults_->count();
  return result;
}

void Simulation::Settle() {
  world_.Note("world", "settle", "");
  faults_->UndoAll();
  for (auto& client : clients_) client->CalmDown();
  world_.RunFor(environment_.resume_timeout + minutes(1));
  // Some leave, so that others have to see it.
  for (auto& client : clients_) {
    const double lot = random_.Unit();
    if (lot > 0.3) {
      staying_.push_back(client.get());
      client->AskDisco("search.localhost");
      client->AskDisco("conference.localhost");
    } else if (lot > 0.15) {
      client->Disappear();
    } else {
      client->GoHome();
    }
  }
  world_.RunFor(seconds(30));
  for (Client* client : staying_) client->AskForAck();
  // Longer than anything that waits: resumption, gateways, stores, the group.
  world_.RunFor(environment_.resume_timeout + seconds(150));
  for (Client* client : staying_) {
    client->Rest();
    client->AskForAck();
  }
  world_.RunFor(seconds(30));
}

void Simulation::CheckShards() {
  const auto check = [this](const std::string& service, const auto& processes, const std::string& prefix) {
    for (std::uint32_t shard = 0; shard < environment_.shards; ++shard) {
      std::vector<std::string> owners;
      for (const auto& process : processes)
        if (process->name().starts_with(prefix) && process->is_live(shard)) owners.push_back(process->name());
      if (owners.size() != 1)
        ledger_.Violate("every-shard-has-one-owner",
                        absl::StrCat("shard ", shard, " of ", service, " is owned by ",
                                     owners.empty() ? "nobody" : absl::StrJoin(owners, " and ")));
    }
  };
  check("users", managers_, "");
  check("rooms", members_, "muc-");
  check("messages", members_, "search-");
}

void Simulation::CheckCursors(const std::string& topic, const std::string& group) {
  for (std::uint32_t shard = 0; shard < environment_.shards; ++shard) {
    const auto partition = static_cast<std::int32_t>(shard);
    const std::int64_t end = kafka_.partition(topic, partition).end();
    const std::int64_t cursor = kafka_.CommittedOf(group, partition);
    if (cursor < end)
      ledger_.Violate("every-record-is-finished", absl::StrCat("the cursor of shard ", shard, " of ", topic,
                                                               " is ", cursor, " of ", end));
  }
}

void Simulation::CheckRooms() {
  room_ledger_.CheckSaid();
  room_ledger_.CheckStays();
  for (const Client* client : staying_)
    for (const std::string& room : client->guest().unsettled())
      ledger_.Violate("who-wants-is-in", absl::StrCat(client->user(), " waits for ", room));
  for (const std::string& room : rooms_) {
    std::set<std::string> truth;
    std::set<std::string> nicks;
    for (Client* client : staying_) {
      if (!client->guest().IsIn(room)) continue;
      truth.insert(client->session()->jid);
      nicks.insert(client->guest().nick());
    }
    const std::set<std::string> believed = room_database_->SessionsIn(room);
    for (const std::string& jid : believed)
      if (!truth.contains(jid))
        ledger_.Violate("no-ghosts", absl::StrCat(room, " believes that ", jid, " is in"));
    for (const std::string& jid : truth)
      if (!believed.contains(jid))
        ledger_.Violate("everybody-is-seen", absl::StrCat(jid, " is in ", room, ", which does not know it"));
    for (Client* client : staying_) {
      if (!client->guest().IsIn(room)) continue;
      for (const std::string& nick : client->guest().SeenIn(room))
        if (!nicks.contains(nick))
          ledger_.Violate("no-ghosts", absl::StrCat(client->session()->jid, " sees ", nick, " in ", room,
                                                    ", who is not in"));
      for (const std::string& nick : nicks)
        if (!client->guest().SeenIn(room).contains(nick))
          ledger_.Violate("everybody-is-seen",
                          absl::StrCat(client->session()->jid, " does not see ", nick, " in ", room));
    }
  }
}

void Simulation::CheckRosters() {
  const auto sees = [this](const std::string& viewer, const std::string& contact) {
    return roster_ledger_.Sees(viewer, contact);
  };
  ledger_.CheckPresence(sees, /*is_last=*/false);
  if (options_.changing == 0) return;
  roster_ledger_.CheckChanges(ledger_.sessions());
  roster_ledger_.CheckRosters(users_);
  for (Client* client : staying_) {
    const AddressBook& book = client->address_book();
    if (!book.is_interested()) continue;
    if (book.has_roster()) {
      roster_ledger_.CheckView(client->session()->jid, client->user(), book.view());
    } else {
      ledger_.Violate("who-asks-has-the-roster",
                      absl::StrCat(client->session()->jid, " has asked, and has no roster"));
    }
  }
  // The owners' belief about rosters shows when somebody says something.
  for (Client* client : staying_) client->ShowPresence();
  world_.RunFor(seconds(20));
  ledger_.CheckPresence(sees, /*is_last=*/true);
}

void Simulation::Check() {
  world_.Note("world", "check", "");
  for (const Client* client : staying_) {
    if (!client->is_online())
      ledger_.Violate("everybody-can-sign-in", absl::StrCat(client->user(), " could not sign in"));
    if (client->unacknowledged() > 0)
      ledger_.Violate("what-is-sent-is-acknowledged",
                      absl::StrCat(client->user(), " has ", client->unacknowledged(),
                                   " stanzas that were never acknowledged"));
    for (const std::string& service : client->unanswered())
      ledger_.Violate("services-answer",
                      absl::StrCat(service, " has told ", client->user(), " nothing of itself"));
  }
  ledger_.CheckMessages();
  CheckRosters();
  CheckCursors("users", "session-managers");
  CheckCursors("rooms", "muc");
  CheckShards();
  CheckRooms();
  for (const auto& manager : managers_) {
    if (manager->records_out_of_order() > 0)
      ledger_.Violate("records-keep-their-order",
                      absl::StrCat(manager->name(), " has appended ", manager->records_out_of_order(),
                                   " records of clients' stanzas behind those of later ones"));
  }
  std::size_t sessions = 0;
  for (const auto& manager : managers_) sessions += manager->sessions();
  if (sessions != staying_.size())
    ledger_.Violate("sessions-end", absl::StrCat("session-managers have ", sessions, " sessions, and ",
                                                 staying_.size(), " clients are online"));
  std::size_t at_gateways = 0;
  for (const auto& gateway : gateways_) at_gateways += gateway->sessions();
  if (at_gateways != staying_.size())
    ledger_.Violate("sessions-end", absl::StrCat("gateways have ", at_gateways, " sessions, and ",
                                                 staying_.size(), " clients are online"));
  // A row that is not needed any more may stay as long as its session.
  for (Client* client : staying_) client->GoHome();
  world_.RunFor(minutes(2));
  if (database_->offline_messages() > 0 || database_->parked_sessions() > 0 ||
      database_->stored_packets() > 0)
    ledger_.Violate("stores-drain", absl::StrCat("left in the store:", database_->Describe()));
  for (const std::string& room : room_database_->rooms())
    if (const auto in = room_database_->SessionsIn(room); !in.empty() || !room_database_->IsPersistent(room))
      ledger_.Violate("stores-drain",
                      absl::StrCat("when all have left, ", room, " is there with ", absl::StrJoin(in, ", ")));
  if (room_database_->destroyed_rooms() > 0)
    ledger_.Violate("stores-drain",
                    absl::StrCat(room_database_->destroyed_rooms(), " destroyed rooms are remembered"));
}

}  // namespace rookery::simulation
