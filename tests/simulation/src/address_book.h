#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "random.h"
#include "roster_ledger.h"
#include "world.h"

namespace rookery::simulation {

/// The life of one device with its user's roster (RFC 6121 sections 2 and 3): asks for it, keeps what it
/// shows of it, subscribes, answers those who ask, revokes, renames and removes.
class AddressBook {
 public:
  /// `send`: on the session that is there. `contacts`: of whom it changes something; none: it only looks.
  AddressBook(World& world, RosterLedger& ledger, std::vector<std::string> contacts, std::uint64_t seed,
              std::function<void(xmpp::Stanza)> send);

  bool has_contacts() const { return !contacts_.empty(); }
  /// A new session is there. It acts from now on when `Act` is called, `between()` apart.
  void Begin(const Ledger::Session& session);
  void Act();
  Duration between();
  void EndSession();
  /// Changes nothing from now on.
  void CalmDown() { is_calm_ = true; }

  static bool IsOfRoster(const xmpp::Stanza& stanza);
  void Receive(const xmpp::Stanza& stanza);

  /// It has asked for the roster on this session.
  bool is_interested() const { return session_ != nullptr && is_interested_; }
  bool has_roster() const { return has_roster_; }
  const std::map<std::string, RosterDatabase::Item>& view() const { return view_; }

 private:
  void Ask();
  void Answer(const std::string& contact);
  void SendPresence(const std::string& type, const std::string& contact);
  void SetItem(const std::string& contact);
  void RemoveItem(const std::string& contact);
  void ReceiveRoster(const xmpp::Stanza& result);
  void ReceivePush(const xmpp::Stanza& push);

  World& world_;
  RosterLedger& ledger_;
  const std::vector<std::string> contacts_;
  Random random_;
  const std::function<void(xmpp::Stanza)> send_;
  const bool has_versions_;  // section 2.6
  const Duration between_;
  const Ledger::Session* session_ = nullptr;
  bool is_calm_ = false;
  bool is_interested_ = false;
  bool has_roster_ = false;
  std::uint64_t asking_ = 0;  // 0: no question is open
  SteadyTime next_;           // when it asks again
  std::string version_;
  std::map<std::string, RosterDatabase::Item> view_;
  std::vector<std::string> requests_;  // that wait for an answer of its owner
};

}  // namespace rookery::simulation
