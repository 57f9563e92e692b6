#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/xmpp/stanza.h"
#include "world.h"

namespace rookery::events::v1 {
class UserRecord;
}

namespace rookery::simulation {

/// A promise that was broken, and when it was seen.
struct Violation {
  std::int64_t at_us;
  std::string rule;
  std::string text;
  std::uint64_t message = 0;  // the one in question, or 0
};

/// The accounts of what clients have sent, seen acknowledged and received. It believes nobody: it
/// hears from the clients, and reads Kafka's log as it is written.
class Ledger {
 public:
  explicit Ledger(World& world) : world_(world) {}

  /// A contact's presence as it shows: which session, and which of its presences.
  struct Seen {
    std::uint64_t session = 0;
    std::uint64_t presence = 0;
  };
  struct Session {
    std::uint64_t number = 0;
    std::string user;
    std::string jid;
    std::string id;  // in the log
    std::int64_t begun_at_us = 0;
    std::int64_t here_since_us = 0;      // it has begun, or was resumed last
    std::int64_t ended_at = -1;          // its end is in the log; -1: not yet
    bool has_stream_management = false;  // with resumption: nothing may come twice
    bool is_over = false;
    bool is_away = false;
    std::map<std::string, std::uint64_t> last_from;  // sender session and address -> its last sequence number
    /// The same of what came late, since another session of the user that had it has ended.
    std::map<std::string, std::uint64_t> last_left_from;
    /// Others of the user that were given older messages while this one was away, for only if it is gone may
    /// they be.
    std::vector<Violation> if_it_comes_back;
    std::set<std::uint64_t> received;
    std::map<std::string, Seen> sees;  // by contact's full JID
    std::uint64_t presences = 0;       // that it has sent
    bool is_available = false;         // its own presence has come back to it
  };
  struct Message {
    std::uint64_t id = 0;
    std::uint64_t sender = 0;
    std::string to;
    std::uint64_t sequence = 0;  // among those of the sender to the address
    std::int64_t sent_at_us = 0;
    std::int64_t logged_at = -1;  // its place among all records
    bool is_acknowledged = false;
    bool is_logged = false;
    bool is_bounced = false;
    bool is_refused =
        false;  // by the log, the last time that it was to be appended, or in it, or its sender is told
    std::uint32_t refusals = 0;   // told to its sender, since too much waited for the store
    bool is_handed_over = false;  // to a client without stream management: written to its socket
    bool is_lost = false;  // by the broker, which had acknowledged it: nothing is promised of it any more
    std::uint32_t receptions = 0;
  };

  /// `id`: by which the log knows the session.
  Session& Begin(const std::string& user, const std::string& jid, const std::string& id);
  void Over(Session& session);
  /// Its connection is lost; and it is resumed.
  void Away(Session& session) { session.is_away = true; }
  void Back(Session& session);
  /// A new message: gives its id.
  std::uint64_t Sent(const Session& sender, const std::string& to);
  /// `is_resumed`: by the answer to a resumption, which is ahead of the errors that the session has been
  /// sent.
  void Acknowledged(std::uint64_t id, bool is_resumed);
  /// A stanza for the session is in the kernel of its gateway.
  void HandedOver(std::uint64_t id) { messages_[id].is_handed_over = true; }
  void Received(Session& session, const xmpp::Stanza& stanza);
  /// The status that a session's next presence carries, so that others' views can be told apart.
  static std::string NextMarker(Session& session) {
    return "s" + std::to_string(session.number) + "." + std::to_string(++session.presences) + ".";
  }
  void Logged(std::string_view value);
  /// A record that the log held and has lost.
  void Lost(std::string_view value);
  /// A record that the log does not take.
  void Refused(std::string_view value);
  /// A session-manager gives it a client.
  void GivenToClient(const xmpp::Stanza& stanza);

  /// When the dust has settled. `sees`: whether the first user is subscribed to the second; nothing: either
  /// may be. `is_last`: nobody shows an older presence than the last one.
  void CheckMessages();
  void CheckPresence(const std::function<std::optional<bool>(const std::string&, const std::string&)>& sees,
                     bool is_last);
  /// Whether the first user may have lost sight of the second, and seen it again.
  std::function<bool(const std::string&, const std::string&)> changes_sight;
  /// Whether the gateway of the session and the owner of its shard do not reach each other.
  std::function<bool(const Session&)> is_out_of_reach;
  /// Several misfortunes at once: from now on a session may be lost that one alone must not cost, and who is
  /// there may be unknown to others. All else is asked as ever.
  void SeveralAtOnce() { one_at_a_time_ = false; }
  bool one_at_a_time() const { return one_at_a_time_; }
  void Violate(std::string rule, std::string text, std::uint64_t message = 0);

  const std::vector<Violation>& violations() const { return violations_; }
  const std::map<std::uint64_t, Message>& messages() const { return messages_; }
  std::map<std::uint64_t, Session>& sessions() { return sessions_; }

 private:
  /// That a record brings to its recipient; null: none of ours.
  Message* InRecord(std::string_view value);
  Message* InRecord(const events::v1::UserRecord& record);
  void ReceivedMessage(Session& session, const xmpp::Stanza& stanza);
  void ReceivedPresence(Session& session, const xmpp::Stanza& stanza);
  void CheckOrder(Session& session, const Message& message);
  /// Whether another session of the user may have had the message, and has ended since: what its client has
  /// not acknowledged is routed anew then (XEP-0198 section 5), behind what came later.
  bool IsLeftByAnother(const Session& session, const Message& message) const;
  /// Whether it was for this session while its client was away, or for an earlier one of its name, and
  /// another one of the user's may have been about to be handed it (session-manager, W1 and P6).
  bool MayHaveBeenAnothers(const Session& session, const Message& message) const;
  /// Another session of the user that is gone with its gateway and its owner, unless it comes back: the log
  /// has no end of it. Null: none.
  Session* FindAnotherAway(const Session& session);
  /// Whether another session of the user may have had the message and is with a gateway that the owner does
  /// not reach. An owner to whom nobody has brought it reads again what it has not acknowledged, and cannot
  /// know whether it ever will: so others are given that as what it has left, behind what both were given. To
  /// keep newer ones from them until the gateway is back, in minutes or never, would help nobody.
  bool IsWithOneOutOfReach(const Session& session) const;

  World& world_;
  std::map<std::uint64_t, Session> sessions_;
  std::map<std::uint64_t, Message> messages_;
  std::map<std::pair<std::uint64_t, std::string>, std::uint64_t> sequences_;
  std::map<std::uint64_t, std::set<std::string>> gone_;  // session -> who was told that it has ended
  bool one_at_a_time_ = true;
  std::int64_t records_ = 0;  // of users, logged so far
  std::uint64_t last_session_ = 0;
  std::uint64_t last_message_ = 0;
  std::vector<Violation> violations_;
};

}  // namespace rookery::simulation
