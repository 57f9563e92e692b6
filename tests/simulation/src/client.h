#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "address_book.h"
#include "environment.h"
#include "guest.h"
#include "ledger.h"
#include "room_ledger.h"
#include "roster_ledger.h"

namespace rookery::simulation {

class Client;

/// The TCP connections between clients and gateways: frames keep their order; a connection whose
/// gateway dies is broken.
class Wires {
 public:
  explicit Wires(World& world);

  /// Opens one; 0 where nobody answers.
  std::uint64_t Connect(Client& client, GatewayProcess& gateway);
  void ToGateway(std::uint64_t connection, ToServer frame);
  void ToClientEnd(std::uint64_t connection, ToClient frame);
  /// The client closes its stream in order and hears nothing more.
  void Close(std::uint64_t connection);
  /// The client is gone. Its gateway is told after `notice`.
  void Vanish(std::uint64_t connection, Duration notice);
  /// Where the client's connection is, or was until a moment ago; null: it has none.
  const GatewayProcess* GatewayOf(const Client& client) const;
  /// Called when a stanza has been given to the kernel for a client that still has a connection or not.
  std::function<void(Client*, const xmpp::Stanza&)> on_written;

 private:
  struct Wire {
    Client* client;  // null: gone
    Client* owner;
    GatewayProcess* gateway;
    std::uint64_t life;
    SteadyTime last_up;
    SteadyTime last_down;
  };
  World& world_;
  std::map<std::uint64_t, Wire> wires_;
  std::uint64_t last_ = 0;
};

/// One device of a user, as its owner lives with it: signs in, talks, loses its network, resumes,
/// closes, comes back.
class Client {
 public:
  struct Habits {
    bool has_stream_management = true;
    Duration between_messages = std::chrono::seconds(4);
    Duration online_for = std::chrono::seconds(60);
    bool is_slow_to_acknowledge = false;
  };
  /// Where it may go, and the seed of what it does there.
  struct Rooms {
    RoomLedger& ledger;
    std::vector<std::string> addresses;
    std::uint64_t seed = 0;
  };
  /// The contacts whose items it changes in its user's roster, and the seed of the changes.
  struct Contacts {
    RosterLedger& ledger;
    std::vector<std::string> users;
    std::uint64_t seed = 0;
  };
  Client(World& world, Ledger& ledger, Wires& wires, std::vector<GatewayProcess*> gateways, std::string user,
         std::string resource, Habits habits, Duration resume_timeout, std::uint64_t seed, Rooms rooms,
         Contacts contacts);

  const std::string& user() const { return user_; }
  bool is_online() const { return state_ == State::kOnline; }
  bool has_stream_management() const { return habits_.has_stream_management; }
  Ledger::Session* session() { return session_; }
  const Guest& guest() const { return guest_; }
  const AddressBook& address_book() const { return address_book_; }

  /// Returns how much was sent on the session and is not acknowledged.
  std::size_t unacknowledged() const { return unacknowledged_.size(); }

  void Begin(Duration after);
  /// Stays online from now on, in silence.
  void CalmDown();
  /// Says nothing more in rooms.
  void Rest() { guest_.Rest(); }
  /// Its contacts are to hear from it.
  void ShowPresence();
  /// Wants to know what the server has handled.
  void AskForAck();
  /// Wants to know what a service of the server's is (XEP-0030).
  void AskDisco(const std::string& service);
  /// The services that have not answered it with a result.
  const std::set<std::string>& unanswered() const { return unanswered_; }
  /// Signs off for good.
  void GoHome();
  /// Is gone for good without a word.
  void Disappear();
  void set_contacts(std::vector<Client*> contacts) { contacts_ = std::move(contacts); }

  void Receive(ToClient frame);
  /// The connection is gone.
  void OnBroken();

 private:
  enum class State { kAway, kSigningIn, kOnline };
  struct Unacknowledged {
    std::uint64_t message;  // 0: something else
    xmpp::Stanza stanza;
    SteadyTime sent;
  };

  void SignIn();
  void RetrySoon();
  void StartSession();
  void GoOnline();
  void SendPresence();
  void Talk();
  void ActInRooms();
  void ActOnRoster();
  /// Changes the roster or the block list, with an address of nobody who takes part.
  void ChangeList();
  void ChangePlace();
  void LoseConnection(Duration notice);
  void EndSession();
  void SendStanza(xmpp::Stanza stanza, std::uint64_t message);
  void HandleAck(std::uint32_t h, bool is_resumed = false);
  void Later(Duration delay, std::function<void()> what);

  World& world_;
  Ledger& ledger_;
  Wires& wires_;
  const std::vector<GatewayProcess*> gateways_;
  const std::string user_;
  const std::string resource_;
  const Habits habits_;
  const Duration resume_timeout_;
  Random random_;
  RoomLedger& room_ledger_;
  Guest guest_;
  AddressBook address_book_;
  std::vector<Client*> contacts_;

  State state_ = State::kAway;
  bool is_calm_ = false;
  bool is_home_ = false;
  std::uint64_t connection_ = 0;
  std::uint64_t turn_ = 0;  // what was planned for an earlier state is not for this one
  Ledger::Session* session_ = nullptr;
  std::string sm_id_;  // the session can be resumed
  bool is_enabled_ = false;
  /// When the session's owner last gave a sign of life. Whatever became of the connection or the
  /// gateway then: for `resume_timeout_` from here on the session can be resumed.
  SteadyTime heard_at_;
  bool is_presence_due_ = false;  // it was answered an error of type wait
  std::uint32_t received_h_ = 0;
  std::uint32_t acked_h_ = 0;
  std::uint32_t since_ack_ = 0;
  std::deque<Unacknowledged> unacknowledged_;
  std::set<std::string> unanswered_;
  std::uint64_t changes_ = 0;
};

}  // namespace rookery::simulation
