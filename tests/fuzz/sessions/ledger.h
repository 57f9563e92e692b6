#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/xmpp/stanza.h"

namespace rookery::fuzz {

/// Keeps accounts of what the gateway took from which session, and compares with them what clients
/// receive: aborts where something was forged, misdirected, answered twice or never.
///
/// Whatever the target's own stanzas hold bears a mark that nobody can guess (Mark). So a mark that
/// comes out somewhere tells in whose stanza it went in.
class Ledger {
 public:
  /// `key`: of this input, and in no part of it.
  explicit Ledger(std::uint64_t key) : key_(key) {}

  /// One session, over all the connections that it has had.
  struct Session {
    std::string user;
    std::string full_jid;
    /// Stanzas that the gateway has taken from its client.
    std::uint64_t accepted = 0;
    /// How many of them its client's h leaves out.
    std::uint64_t accepted_before_enable = 0;
    /// Its client has never denied having what it had: nothing may come twice.
    bool is_honest = true;
    struct Request {
      std::string to;
      int asked = 0;
      /// Those of them that are as RFC 6120 section 8.2.3 wants them, so that they must be answered.
      int well_asked = 0;
      int answered = 0;
      bool is_for_a_client = false;  // which answers as it likes
    };
    std::map<std::pair<std::string, std::string>, Request> requests;  // by id and by who answers
    std::set<std::string> messages;                                   // that came, as written
  };

  std::string NextMark();

  // ---- what the gateway takes ----
  Session& Begin(std::string_view id, std::string_view full_jid);
  void Accepted(Session& session, const xmpp::Stanza& stanza);

  // ---- what clients receive ----
  void Received(Session& session, const xmpp::Stanza& stanza);

  /// Counts requests that must have an answer by now and have none.
  std::size_t Unanswered(const Session& session) const;
  void RequireAnswers(const Session& session) const;
  /// Befriended before anything began.
  void Befriend(const std::string& a, const std::string& b);

 private:
  struct Origin {
    const Session* session;
    std::string to;  // its bare address; empty: none
    bool is_presence;
    bool is_for_all;  // a vCard, which whoever asks is given
  };

  std::vector<std::string> MarksIn(std::string_view text) const;
  bool MayReach(const Origin& origin, const std::string& user) const;
  void CheckSender(const Session& session, const xmpp::Stanza& stanza,
                   const std::vector<std::string>& marks) const;
  void CheckCarbon(const Session& session, const xmpp::Stanza& stanza,
                   const std::vector<std::string>& marks) const;
  void CheckAnswer(Session& session, const xmpp::Stanza& stanza);
  /// Whether an answer must come.
  bool IsDue(const Session& session, const Session::Request& request) const;
  bool IsClient(std::string_view jid) const { return clients_.contains(std::string(jid)); }

  const std::uint64_t key_;
  std::uint64_t marks_ = 0;
  std::map<std::string, Session> sessions_;  // by id
  std::set<std::string> clients_;            // full addresses that sessions have had
  std::map<std::string, std::vector<Origin>> origins_;
  std::set<std::string> blockers_;                           // users who have blocked somebody
  std::set<std::pair<std::string, std::string>> addressed_;  // who has written to which address
  std::set<std::pair<std::string, std::string>> shown_;      // whose presence who may see
};

}  // namespace rookery::fuzz
