#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "rookery/base/random.h"
#include "room_log.h"
#include "room_wire.h"
#include "scenarios.h"

namespace rookery::load {
namespace {

using std::chrono::duration;

constexpr char kUnlockId[] = "unlock";
/// For what is still under way when the last message has been said.
constexpr std::chrono::seconds kDrain{30};

double Seconds(Clock::duration time) { return duration<double>(time).count(); }

/// Client i is occupant i % occupants of room i / occupants: neighbours are on different gateways when
/// there are several, and so are those of each room. The first occupants of a room are its senders.
class Rooms {
 public:
  Rooms(Run& run, const RoomsOptions& options)
      : run_(run),
        options_(options),
        filler_(options.body, 'x'),
        service_(options.service.empty() ? absl::StrCat("conference.", run.cluster().domain)
                                         : options.service) {
    // A name of its own: rooms of an earlier run may still be there.
    const std::string name = absl::BytesToHexString(RandomBytes(4));
    for (std::size_t r = 0; r < options_.rooms; ++r)
      rooms_.push_back({absl::StrCat("load-", name, "-", r, "@", service_), RoomLog(options_.occupants)});
  }

  bool SignIn() {
    Client::Options client_options;
    client_options.stream_management = options_.stream_management;
    if (!run_.SignIn(clients_, options_.rooms * options_.occupants, client_options)) return false;
    occupants_.resize(clients_.size());
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      Occupant& occupant = occupants_[i];
      occupant.room = static_cast<std::uint32_t>(i / options_.occupants);
      occupant.place = static_cast<std::uint32_t>(i % options_.occupants);
      clients_[i]->on_stanza = [this, i](std::string_view stanza) { OnStanza(i, stanza); };
      clients_[i]->on_end = [this, i](const absl::Status& status) {
        ++dropped_;
        if (first_drop_.ok()) first_drop_ = status;
        Entered(i, false);
      };
      clients_[i]->Send("<presence/>");
    }
    run_.For(options_.settle);
    if (dropped_ > 0) FaultDropped();
    return dropped_ == 0;
  }

  /// False: the rooms are not complete.
  bool EnterAll() {
    run_.Say(absl::StrCat(occupants_.size(), " occupants enter ", rooms_.size(), " rooms of ", service_));
    run_.BeginCpu();
    const Clock::time_point begin = Clock::now();
    // A room is locked until who entered first has configured it, and nobody else gets in (section 10.1).
    const std::size_t rooms = rooms_.size();
    bool in_time = run_.InParallel(rooms, [this](std::size_t r, std::function<void()> finish) {
      Enter(r * options_.occupants, std::move(finish));
    });
    if (in_time && refused_entries_ == 0) {
      in_time = run_.InParallel(occupants_.size() - rooms, [&](std::size_t k, std::function<void()> finish) {
        Enter(k % rooms * options_.occupants + 1 + k / rooms, std::move(finish));
      });
    }
    const double entered = Seconds(Clock::now() - begin);
    const std::uint64_t presences = rooms * PresencesIn(options_);
    if (in_time && refused_entries_ == 0) {
      run_.Until([&] { return presences_ >= presences || dropped_ > 0; }, kDrain);
    }
    const double all = Seconds(Clock::now() - begin);
    Report& report = run_.report();
    report.Count("rooms", rooms);
    report.Count("occupants of each", options_.occupants);
    report.Count("senders of each", options_.senders);
    report.Number("all have entered after", entered, "s");
    report.Number("entries per second", static_cast<double>(occupants_.size()) / entered, "/s");
    report.Percentiles("entry", entries_);
    report.Number("all know all occupants after", all, "s");
    run_.EndCpu(occupants_.size(), "entry", "entering");
    report.FaultCount("presences missing", presences - std::min(presences, presences_));
    report.FaultCount("entries refused", refused_entries_);
    if (!first_refusal_.empty()) report.Fault(first_refusal_);
    if (!in_time) report.Fault("entering took too long");
    if (dropped_ > 0) FaultDropped();
    return in_time && refused_entries_ == 0 && dropped_ == 0;
  }

  /// Message k goes to room k % rooms.
  void OpenLoop() {
    const Clock::time_point begin = Clock::now();
    const double seconds = run_.options().warm_up + run_.options().duration;
    const Clock::time_point from = begin + std::chrono::seconds(run_.options().warm_up);
    run_.AtRate(
        begin, options_.rate, static_cast<std::uint64_t>(options_.rate * seconds),
        [this] { return Broken(); },
        [&](std::uint64_t k, Clock::time_point due) {
          if (!measuring_ && due >= from) BeginMeasuring(from);
          Say(k % rooms_.size(), k / rooms_.size() % options_.senders, due);
        });
    // The last message has its share of the time, too.
    run_.Until([this] { return Broken(); },
               begin + std::chrono::duration_cast<Clock::duration>(duration<double>(seconds)) - Clock::now());
    EndMeasuring();
  }

  void ClosedLoop() {
    refill_ = true;
    for (std::size_t w = 0; w < options_.window; ++w) {
      for (std::size_t sender = 0; sender < options_.senders; ++sender) {
        for (std::size_t r = 0; r < rooms_.size(); ++r) Say(r, sender, Clock::now());
      }
    }
    run_.Until([this] { return Broken(); }, std::chrono::seconds(run_.options().warm_up));
    BeginMeasuring(Clock::now());
    run_.Until([this] { return Broken(); }, std::chrono::seconds(run_.options().duration));
    EndMeasuring();
    refill_ = false;
  }

  void Finish() {
    const Clock::time_point end = Clock::now();
    run_.Until(
        [this] {
          return deliveries_ + refused_ * options_.occupants >= said_ * options_.occupants || Broken();
        },
        kDrain);
    const double drained = Seconds(Clock::now() - end);
    if (!Broken()) run_.For(options_.settle);
    Report& report = run_.report();
    if (options_.rate > 0) report.Number("messages per second, due", options_.rate, "/s");
    if (measuring_) {
      report.Number("messages per second", static_cast<double>(measured_messages_) / measured_seconds_, "/s");
      report.Number("deliveries per second", static_cast<double>(measured_deliveries_) / measured_seconds_,
                    "/s");
    }
    report.Percentiles("delivery", delivery_);
    report.Percentiles("delivery to the last occupant", last_delivery_);
    report.Number("rest delivered after", drained, "s");
    report.Count("messages said", said_);
    report.Count("deliveries", deliveries_);
    ReportFaults();
  }

  void SignOut() {
    for (const auto& client : clients_) client->on_stanza = nullptr;
    run_.SignOut(clients_);
  }

 private:
  enum class Stage : std::uint8_t { kOutside, kEntering, kUnlocking, kInside };
  struct Occupant {
    std::uint32_t room = 0;
    std::uint32_t place = 0;  // among the room's occupants
    Stage stage = Stage::kOutside;
    Clock::time_point since;          // it began to enter
    std::function<void()> on_finish;  // of entering, well or not
  };
  struct Room {
    std::string jid;
    RoomLog log;
  };

  void ReportFaults() {
    Report& report = run_.report();
    RoomLog::Verdict all;
    for (const Room& room : rooms_) {
      const RoomLog::Verdict verdict = room.log.Check();
      all.lost += verdict.lost;
      all.twice += verdict.twice;
      all.disordered += verdict.disordered;
      all.sender_order += verdict.sender_order;
      if (all.example.empty() && !verdict.example.empty())
        all.example = absl::StrCat(room.jid, ": ", verdict.example);
    }
    report.FaultCount("deliveries lost", all.lost);
    report.FaultCount("delivered twice", all.twice);
    report.FaultCount("delivered in another order than elsewhere", all.disordered);
    report.FaultCount("behind a later message of their sender", all.sender_order);
    report.FaultCount("answered with an error", errors_);
    report.FaultCount("strange messages", strange_);
    report.FaultCount("removed from their room", removed_);
    if (!all.example.empty()) report.Fault(all.example);
    if (!first_error_.empty()) report.Fault(first_error_);
    if (dropped_ > 0) FaultDropped();
  }

  bool Broken() const { return dropped_ > 0 || removed_ > 0; }

  void FaultDropped() {
    run_.report().Fault(absl::StrCat(dropped_, " connections dropped: ", first_drop_.ToString()));
  }

  void Enter(std::size_t client, std::function<void()> finish) {
    Occupant& occupant = occupants_[client];
    occupant.on_finish = std::move(finish);
    if (dropped_ > 0) return Entered(client, false);
    occupant.stage = Stage::kEntering;
    occupant.since = Clock::now();
    clients_[client]->Send(
        EnterRoom(absl::StrCat(rooms_[occupant.room].jid, "/", clients_[client]->account().user)));
  }

  void Entered(std::size_t client, bool well) {
    Occupant& occupant = occupants_[client];
    if (well) {
      occupant.stage = Stage::kInside;
      entries_.Add(Clock::now() - occupant.since);
    }
    if (auto finish = std::exchange(occupant.on_finish, nullptr)) finish();
  }

  void RefusedEntry(std::size_t client, std::string_view stanza) {
    ++refused_entries_;
    if (first_refusal_.empty()) first_refusal_ = std::string(stanza.substr(0, 400));
    Entered(client, false);
  }

  void Say(std::size_t room, std::size_t sender, Clock::time_point due) {
    const std::uint32_t number = rooms_[room].log.Sent(static_cast<std::uint32_t>(sender), due);
    const RoomMessage message{static_cast<std::uint32_t>(room), number};
    clients_[room * options_.occupants + sender]->Send(SayInRoom(rooms_[room].jid, message, filler_));
    ++said_;
  }

  void OnStanza(std::size_t client, std::string_view stanza) {
    if (stanza.starts_with("<message")) return OnMessage(occupants_[client], stanza);
    if (stanza.starts_with("<presence")) return OnPresence(client, stanza);
    if (occupants_[client].stage != Stage::kUnlocking || AttributeOf(stanza, "id") != kUnlockId) return;
    if (AttributeOf(stanza, "type") != "result") return RefusedEntry(client, stanza);
    Entered(client, true);
  }

  void OnMessage(const Occupant& occupant, std::string_view stanza) {
    const auto [what, message] = ReadRoomMessage(stanza);
    if (what == RoomStanza::kOther) return;
    if (what == RoomStanza::kError) {
      ++errors_;
      if (first_error_.empty()) first_error_ = std::string(stanza.substr(0, 400));
      if (message && message->room == occupant.room && rooms_[occupant.room].log.Refused(message->number))
        ++refused_;
      return;
    }
    if (what == RoomStanza::kStrange || message->room != occupant.room) {
      ++strange_;
      return;
    }
    RoomLog& log = rooms_[occupant.room].log;
    const RoomLog::Hearing hearing = log.Heard(occupant.place, message->number);
    if (hearing == RoomLog::Hearing::kTwice) return;
    if (hearing == RoomLog::Hearing::kUnknown) {
      ++strange_;
      return;
    }
    ++deliveries_;
    const Clock::time_point now = Clock::now();
    const Clock::time_point due = log.due(message->number);
    const bool counts = measuring_ && due >= measured_from_ && due < measured_until_;
    if (counts) delivery_.Add(now - due);
    if (hearing == RoomLog::Hearing::kLast) {
      ++complete_;
      if (counts) last_delivery_.Add(now - due);
    }
    if (refill_ && log.sender(message->number) == occupant.place) Say(occupant.room, occupant.place, now);
  }

  void OnPresence(std::size_t client, std::string_view stanza) {
    Occupant& occupant = occupants_[client];
    const std::string_view type = AttributeOf(stanza, "type");
    if (type == "error") {
      if (occupant.stage == Stage::kEntering) RefusedEntry(client, stanza);
      return;
    }
    if (type == "unavailable") {
      if (occupant.stage == Stage::kInside && HasStatus(stanza, "110")) {
        ++removed_;
        if (first_error_.empty()) first_error_ = std::string(stanza.substr(0, 400));
      }
      return;
    }
    // Presence of its own account has no type, either.
    if (!type.empty() || !AttributeOf(stanza, "from").starts_with(rooms_[occupant.room].jid)) return;
    ++presences_;
    if (occupant.stage != Stage::kEntering || !HasStatus(stanza, "110")) return;
    if (!HasStatus(stanza, "201")) return Entered(client, true);
    occupant.stage = Stage::kUnlocking;
    clients_[client]->Send(UnlockRoom(rooms_[occupant.room].jid, kUnlockId, options_.presence_broadcast));
  }

  void BeginMeasuring(Clock::time_point from) {
    run_.BeginCpu();
    measuring_ = true;
    measured_from_ = from;
    measuring_since_ = Clock::now();
    deliveries_before_ = deliveries_;
    complete_before_ = complete_;
  }

  void EndMeasuring() {
    if (!measuring_) return;  // it broke before
    measured_until_ = Clock::now();
    measured_seconds_ = Seconds(measured_until_ - measuring_since_);
    measured_deliveries_ = deliveries_ - deliveries_before_;
    measured_messages_ = complete_ - complete_before_;
    run_.EndCpu(measured_deliveries_, "delivery");
  }

  Run& run_;
  const RoomsOptions options_;
  const std::string filler_;
  const std::string service_;
  std::vector<Room> rooms_;
  std::vector<Occupant> occupants_;  // by client
  std::vector<std::unique_ptr<Client>> clients_;

  Latencies entries_;
  std::uint64_t presences_ = 0;
  std::uint64_t refused_entries_ = 0;
  std::string first_refusal_;

  bool refill_ = false;
  std::uint64_t said_ = 0;
  std::uint64_t deliveries_ = 0;
  std::uint64_t complete_ = 0;  // messages that every occupant has
  std::uint64_t errors_ = 0;
  std::uint64_t refused_ = 0;  // messages, as far as their errors say which
  std::uint64_t strange_ = 0;
  std::uint64_t removed_ = 0;
  std::uint64_t dropped_ = 0;
  std::string first_error_;
  absl::Status first_drop_;

  bool measuring_ = false;
  Clock::time_point measured_from_;
  Clock::time_point measured_until_ = Clock::time_point::max();
  Clock::time_point measuring_since_;
  std::uint64_t deliveries_before_ = 0;
  std::uint64_t complete_before_ = 0;
  std::uint64_t measured_deliveries_ = 0;
  std::uint64_t measured_messages_ = 0;
  double measured_seconds_ = 0;
  Latencies delivery_;
  Latencies last_delivery_;
};

}  // namespace

std::uint64_t PresencesIn(const RoomsOptions& options) {
  const auto& roles = options.presence_broadcast;
  const auto is_shown = [&](std::string_view role) {
    return roles.empty() || std::find(roles.begin(), roles.end(), role) != roles.end();
  };
  const std::uint64_t all = options.occupants;
  // What the room was told to show it shows however many are in.
  const bool is_quiet = roles.empty() && options.quiet_above > 0;
  const std::uint64_t most = is_quiet ? std::min<std::uint64_t>(all, options.quiet_above) : all;
  std::uint64_t shown = is_shown("moderator") ? 1 : 0;
  if (is_shown("participant")) shown += most - 1;
  // Of one who is not shown only it hears itself.
  return shown * all + (all - shown);
}

void MeasureRooms(Run& run, const RoomsOptions& options) {
  const std::size_t sessions = options.rooms * options.occupants;
  if (run.accounts().size() < sessions) {
    return run.report().Fault(absl::StrCat(sessions, " occupants need as many accounts: seed them"));
  }
  Rooms rooms(run, options);
  if (!rooms.SignIn()) return;
  if (rooms.EnterAll()) {
    if (options.rate > 0) {
      rooms.OpenLoop();
    } else {
      rooms.ClosedLoop();
    }
    rooms.Finish();
  }
  rooms.SignOut();
}

}  // namespace rookery::load
