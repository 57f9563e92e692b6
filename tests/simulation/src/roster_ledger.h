#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "environment.h"
#include "ledger.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::simulation {

/// The accounts of what people change in their rosters. It believes nobody: it hears from those who change,
/// reads the log as it is written, and sees each change where the database makes it.
class RosterLedger {
 public:
  RosterLedger(World& world, Ledger& ledger, const RosterDatabase& database)
      : world_(world), ledger_(ledger), database_(database) {}

  /// One change that somebody has asked for.
  struct Change {
    std::uint64_t id = 0;
    std::uint64_t session = 0;
    bool is_iq = false;  // it is answered; of a subscription only an error comes
    std::string what;    // for people
    int applied = 0;     // so many times
    bool is_answered = false;
    bool is_refused = false;  // the answer was an error
  };

  /// From the beginning.
  void AreFriends(const std::string& a, const std::string& b);
  /// Both change what each sees of the other.
  void MayChange(const std::string& a, const std::string& b);
  bool MayHaveChanged(const std::string& a, const std::string& b) const { return pairs_.contains({a, b}); }

  /// Somebody is about to send the change: its id.
  std::uint64_t Sent(const Ledger::Session& sender, const std::string& contact, bool is_iq,
                     const std::string& what);
  void Answered(const Ledger::Session& session, std::uint64_t id, bool is_error);
  void LoggedForUsers(std::int32_t partition, std::int64_t offset, std::string_view value);
  void RefusedForUsers(std::string_view value);
  /// The database has made it.
  void Applied(const RosterDatabase::Applied& applied);

  /// When the dust has settled.
  void CheckChanges(const std::map<std::uint64_t, Ledger::Session>& sessions);
  void CheckRosters(const std::vector<std::string>& users);
  /// Checks that what a client of the user shows is its roster.
  void CheckView(const std::string& jid, const std::string& user,
                 const std::map<std::string, RosterDatabase::Item>& view);
  /// Whether `viewer` sees the presence of `contact`; nothing where words that have crossed leave them of two
  /// minds.
  std::optional<bool> Sees(const std::string& viewer, const std::string& contact) const;

  std::uint64_t applied() const { return applied_; }

 private:
  /// A record at one place of the log, from which a change follows.
  struct Record {
    std::string type;  // of a presence; `remove` or `set` of an item
    std::uint64_t id = 0;
    bool is_inbound = false;
    std::string from;  // bare
    std::string name;
  };
  /// From the first to the second about what the third, one of them, sees of the other.
  struct Words {
    std::vector<std::string> said;
    std::vector<std::string> heard;
  };
  using Pair = std::pair<std::string, std::string>;

  void Say(const std::string& from, const std::string& to, std::string type);
  void CheckPair(const std::string& viewer, const std::string& contact);

  World& world_;
  Ledger& ledger_;
  const RosterDatabase& database_;
  std::set<Pair> pairs_;
  std::map<std::uint64_t, Change> changes_;
  std::map<std::string, Record> records_;  // by the name that the roster service knows it by
  std::map<std::tuple<std::string, std::string, std::string>, Words> words_;
  std::set<Pair> refused_;  // from whom to whom the log has refused words, and takes them later
  std::set<Pair> crossed_;  // viewer and contact
  std::map<Pair, std::string>
      names_;  // owner and contact: as the newest change says; none where it is not listed
  std::map<std::pair<std::uint64_t, std::string>, std::uint64_t>
      newest_;  // session and contact -> its newest change
  std::uint64_t last_ = 2'000'000;
  std::uint64_t applied_ = 0;
};

}  // namespace rookery::simulation
