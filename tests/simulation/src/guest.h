#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "random.h"
#include "room_ledger.h"
#include "world.h"

namespace rookery::simulation {

/// The life of one device in rooms (XEP-0045): enters, talks, kicks, leaves, and enters again where it has
/// lost its place, of which it asks where it is in doubt (XEP-0410). What its client believes goes with its
/// session.
class Guest {
 public:
  /// `send`: on the session that is there. `rooms`: where it may go; none: it has no life in rooms.
  Guest(World& world, RoomLedger& ledger, std::string user, std::vector<std::string> rooms,
        std::uint64_t seed, std::function<void(xmpp::Stanza)> send);

  /// Its session is there, a new one or again. It acts from now on when `Act` is called, `between()` apart.
  void Begin(const Ledger::Session& session);
  void Act();
  bool has_rooms() const { return !places_.empty(); }
  Duration between();
  void EndSession();
  /// Stays where it is from now on.
  void CalmDown() { is_calm_ = true; }
  /// Asks nothing more, either.
  void Rest() { is_resting_ = true; }

  static bool IsOfRoom(const xmpp::Stanza& stanza);
  void Receive(const xmpp::Stanza& stanza);

  const std::string& nick() const { return nick_; }
  /// In rooms as it believes itself, and whom it sees there.
  bool IsIn(const std::string& room) const;
  const std::set<std::string>& SeenIn(const std::string& room) const { return places_.at(room).seen; }
  /// The rooms in which it waits for something, for people.
  std::vector<std::string> unsettled() const;

 private:
  enum class State { kOut, kEntering, kIn, kLeaving };
  struct Place {
    State state = State::kOut;
    bool wants = false;  // to be in
    RoomLedger::Stay* stay = nullptr;
    std::uint64_t entering = 0;
    std::uint64_t leaving = 0;
    std::uint64_t pinging = 0;      // 0: no question is open
    std::uint64_t configuring = 0;  // a room that it has made; 0: it is open
    bool is_moderator = false;
    SteadyTime next;  // when it tries again, or asks again
    std::set<std::string> seen;
    /// Messages from before it entered, should they come ahead of its own presence.
    std::vector<xmpp::Stanza> history;
  };

  void Enter(const std::string& room, Place& place);
  void Leave(const std::string& room, Place& place);
  void Say(const std::string& room);
  void Ping(const std::string& room, Place& place);
  void Configure(const std::string& room, Place& place);
  void Kick(const std::string& room, const Place& place);
  void ActIn(const std::string& room, Place& place);
  void ReceivePresence(const std::string& room, Place& place, const xmpp::Stanza& stanza);
  void ReceiveMessage(Place& place, const xmpp::Stanza& stanza);
  void ReceiveAnswer(Place& place, const xmpp::Stanza& stanza);
  void Out(Place& place);
  void ThrownOut(Place& place, const std::string& how);
  void Send(xmpp::Stanza stanza, std::uint64_t id);

  World& world_;
  RoomLedger& ledger_;
  const std::string nick_;
  Random random_;
  const std::function<void(xmpp::Stanza)> send_;
  const Duration between_;
  const Ledger::Session* session_ = nullptr;
  bool is_calm_ = false;
  bool is_resting_ = false;
  std::map<std::string, Place> places_;
};

}  // namespace rookery::simulation
