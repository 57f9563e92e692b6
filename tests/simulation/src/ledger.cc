#include "ledger.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "message_id.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/xmpp/jid.h"

namespace rookery::simulation {

Ledger::Session& Ledger::Begin(const std::string& user, const std::string& jid, const std::string& id) {
  Session& session = sessions_[++last_session_];
  session.number = last_session_;
  session.user = user;
  session.jid = jid;
  session.begun_at_us = session.here_since_us = world_.now_us();
  session.id = id;
  return session;
}

void Ledger::Over(Session& session) {
  session.is_over = true;
  session.sees.clear();
}

void Ledger::Back(Session& session) {
  session.here_since_us = world_.now_us();
  session.is_away = false;
  for (Violation& violation : std::exchange(session.if_it_comes_back, {}))
    violations_.push_back(std::move(violation));
}

std::uint64_t Ledger::Sent(const Session& sender, const std::string& to) {
  Message& message = messages_[++last_message_];
  message.id = last_message_;
  message.sender = sender.number;
  message.to = to;
  message.sequence = ++sequences_[{sender.number, to}];
  message.sent_at_us = world_.now_us();
  world_.Note(sender.jid, "send", absl::StrCat("#", message.id, " to ", to));
  return message.id;
}

void Ledger::Acknowledged(std::uint64_t id, bool is_resumed) {
  Message& message = messages_[id];
  if (std::exchange(message.is_acknowledged, true)) return;
  world_.Note(sessions_[message.sender].jid, "acked", absl::StrCat("#", id));
  // The error for one that was refused may come behind the acknowledgement; in the end it has to be there.
  if (!message.is_logged && !message.is_bounced && !message.is_refused && !is_resumed)
    Violate("acknowledged-is-logged",
            absl::StrCat("message #", id, " was acknowledged to ", sessions_[message.sender].jid,
                         " and is not in the log"),
            id);
}

void Ledger::Logged(std::string_view value) {
  const std::int64_t place = ++records_;
  events::v1::UserRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) record.Clear();
  // Sent again, it may be taken; an error that says that it is refused changes nothing.
  const bool is_error = record.has_delivery() && record.delivery().stanza().type() == "error";
  if (Message* message = InRecord(record); message != nullptr && !is_error) message->is_refused = false;
  if (record.has_message_refused()) {
    const auto found = messages_.find(ParseId(record.message_refused().error().id()));
    if (found != messages_.end()) found->second.is_refused = true;
  }
  if (record.has_session_ended()) {
    const auto ended = std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
      return entry.second.id == record.session_ended().session_id();
    });
    if (ended != sessions_.end()) {
      ended->second.ended_at = place;
      // What it leaves is in order among itself, and comes behind what others have left before.
      for (auto& [number, other] : sessions_)
        if (other.user == ended->second.user) other.last_left_from.clear();
    }
  }
  for (std::size_t at = value.find(kIdPrefix); at != std::string_view::npos;
       at = value.find(kIdPrefix, at + 1)) {
    const std::uint64_t id = ParseId(value.substr(at, kIdPrefix.size() + kIdDigits));
    const auto found = messages_.find(id);
    if (found == messages_.end() || std::exchange(found->second.is_logged, true)) continue;
    found->second.logged_at = place;
    world_.Note("kafka", "logged", absl::StrCat("#", id));
  }
}

Ledger::Message* Ledger::InRecord(std::string_view value) {
  events::v1::UserRecord record;
  return record.ParseFromArray(value.data(), static_cast<int>(value.size())) ? InRecord(record) : nullptr;
}

Ledger::Message* Ledger::InRecord(const events::v1::UserRecord& record) {
  // The sender's own copy is not what reaches anybody.
  const xmpp::Stanza* stanza = record.has_delivery()   ? &record.delivery().stanza()
                               : record.has_outbound() ? &record.outbound().stanza()
                                                       : nullptr;
  if (stanza == nullptr) return nullptr;
  const auto found = messages_.find(ParseId(stanza->id()));
  return found == messages_.end() ? nullptr : &found->second;
}

void Ledger::Lost(std::string_view value) {
  Message* message = InRecord(value);
  if (message == nullptr) return;
  message->is_lost = true;
  world_.Note("kafka", "lost", absl::StrCat("#", message->id));
}

void Ledger::GivenToClient(const xmpp::Stanza& stanza) {
  if (stanza.kind() != common::v1::STANZA_KIND_MESSAGE || stanza.type() != "error") return;
  const auto found = messages_.find(ParseId(stanza.id()));
  if (found != messages_.end()) found->second.is_refused = true;
}

void Ledger::Refused(std::string_view value) {
  Message* message = InRecord(value);
  if (message == nullptr) return;
  message->is_refused = true;
  world_.Note("kafka", "refused", absl::StrCat("#", message->id));
}

void Ledger::Received(Session& session, const xmpp::Stanza& stanza) {
  if (stanza.kind() == common::v1::STANZA_KIND_MESSAGE) ReceivedMessage(session, stanza);
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE) ReceivedPresence(session, stanza);
}

void Ledger::ReceivedMessage(Session& session, const xmpp::Stanza& stanza) {
  const std::uint64_t id = ParseId(stanza.id());
  const auto found = messages_.find(id);
  if (found == messages_.end()) return;
  Message& message = found->second;
  if (stanza.type() == "error") {
    message.is_bounced = true;
    // A message that is refused for another reason may have been heard all the same: the log may not have
    // said so.
    if (stanza.payload().find("too much waits") != std::string::npos && ++message.refusals > 1)
      Violate("never-twice", absl::StrCat(session.jid, " was told twice that message #", id, " is refused"),
              id);
    world_.Note(session.jid, "bounced", absl::StrCat("#", id));
    return;
  }
  ++message.receptions;
  world_.Note(session.jid, "receive", absl::StrCat("#", id));
  if (!session.received.insert(id).second) {
    if (session.has_stream_management && !message.is_lost)
      Violate("never-twice",
              absl::StrCat(session.jid, " (session ", session.number, ") got message #", id, " twice"), id);
    return;
  }
  // A message to the full address of a session that is not available is ahead of those that wait for an
  // available one.
  if (!session.is_available && message.to.find('/') != std::string::npos) return;
  if (!message.is_lost) CheckOrder(session, message);
}

void Ledger::CheckOrder(Session& session, const Message& message) {
  const std::string key = absl::StrCat(message.sender, " ", message.to);
  std::uint64_t* last = &session.last_from[key];
  const auto text = [&] {
    return absl::StrCat(session.jid, " got message #", message.id, " (number ", message.sequence, " of ",
                        sessions_[message.sender].jid, " to ", message.to, ") after number ", *last);
  };
  if (message.sequence < *last) {
    const bool is_left = IsLeftByAnother(session, message) || MayHaveBeenAnothers(session, message) ||
                         IsWithOneOutOfReach(session);
    Session* const away = is_left ? nullptr : FindAnotherAway(session);
    if (away != nullptr) away->if_it_comes_back.push_back({world_.now_us(), "order", text(), message.id});
    // In order among themselves, too.
    if (is_left || away != nullptr) last = &session.last_left_from[key];
  }
  if (message.sequence < *last) Violate("order", text(), message.id);
  *last = std::max(*last, message.sequence);
}

bool Ledger::IsLeftByAnother(const Session& session, const Message& message) const {
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    const Session& other = entry.second;
    return other.user == session.user && other.jid != session.jid && other.ended_at > message.logged_at;
  });
}

bool Ledger::MayHaveBeenAnothers(const Session& session, const Message& message) const {
  if (xmpp::ResourceOf(message.to).empty() || message.sent_at_us > session.here_since_us) return false;
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    const Session& other = entry.second;
    return other.user == session.user && other.jid != session.jid &&
           other.begun_at_us < session.here_since_us &&
           (other.ended_at < 0 || other.ended_at > message.logged_at);
  });
}

Ledger::Session* Ledger::FindAnotherAway(const Session& session) {
  if (one_at_a_time_) return nullptr;
  for (auto& [number, other] : sessions_)
    if (other.user == session.user && other.jid != session.jid && other.is_away && !other.is_over)
      return &other;
  return nullptr;
}

bool Ledger::IsWithOneOutOfReach(const Session& session) const {
  if (one_at_a_time_ || !is_out_of_reach) return false;
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    const Session& other = entry.second;
    return other.user == session.user && other.jid != session.jid && !other.is_over && is_out_of_reach(other);
  });
}

void Ledger::ReceivedPresence(Session& session, const xmpp::Stanza& stanza) {
  if (stanza.from() == session.jid && stanza.type().empty()) session.is_available = true;
  if (stanza.from().empty() || xmpp::BareOf(stanza.from()) == session.user) return;
  if (stanza.type() == "unavailable") {
    if (xmpp::ResourceOf(stanza.from()).empty()) {
      // All that it knew of the contact counts no more: the contact's presence comes anew.
      std::erase_if(session.sees,
                    [&](const auto& entry) { return xmpp::BareOf(entry.first) == stanza.from(); });
      world_.Note(session.jid, "sees-nothing", stanza.from());
      return;
    }
    const auto seen = session.sees.find(stanza.from());
    if (seen == session.sees.end()) return;
    gone_[seen->second.session].insert(session.jid);
    world_.Note(session.jid, "sees-gone", stanza.from());
    session.sees.erase(seen);
    return;
  }
  if (!stanza.type().empty()) return;
  const std::size_t at = stanza.payload().find("<status>s");
  if (at == std::string::npos) return;
  char* end = nullptr;
  const std::uint64_t number = std::strtoull(stanza.payload().c_str() + at + 9, &end, 10);
  const std::uint64_t presence = std::strtoull(end + 1, nullptr, 10);
  const auto told = gone_.find(number);
  const bool is_back = changes_sight && changes_sight(session.user, std::string(xmpp::BareOf(stanza.from())));
  if (told != gone_.end() && told->second.contains(session.jid) && one_at_a_time_ && !is_back)
    Violate("gone-is-gone", absl::StrCat(session.jid, " was told that session ", number, " of ",
                                         stanza.from(), " is gone, and sees it again"));
  world_.Note(session.jid, "sees", absl::StrCat(stanza.from(), " ", number, ".", presence));
  session.sees[stanza.from()] = {number, presence};
}

void Ledger::CheckMessages() {
  for (const auto& [id, message] : messages_) {
    if (!message.is_logged && !message.is_bounced && !sessions_[message.sender].is_over)
      Violate("what-is-sent-is-logged",
              absl::StrCat("message #", id, " of ", sessions_[message.sender].jid,
                           ", whose session has lasted, is not in the log"),
              id);
    if (message.refusals > 0 && message.receptions > 0)
      Violate("refused-is-not-delivered",
              absl::StrCat("message #", id, " of ", sessions_[message.sender].jid, " to ", message.to,
                           " was refused, since too much waited, and somebody has it"),
              id);
    if (!message.is_acknowledged || message.receptions > 0 || message.is_handed_over || message.is_bounced ||
        message.is_lost)
      continue;
    // The error went to a session whose client has not come back in time.
    if (message.is_refused && sessions_[message.sender].is_over) continue;
    Violate("acknowledged-is-delivered",
            absl::StrCat("message #", id, " of ", sessions_[message.sender].jid, " to ", message.to,
                         " was acknowledged, and nobody got it or an error"),
            id);
  }
}

void Ledger::CheckPresence(
    const std::function<std::optional<bool>(const std::string&, const std::string&)>& sees, bool is_last) {
  for (const auto& [number, viewer] : sessions_) {
    if (viewer.is_over) continue;
    std::map<std::string, const Session*> truth;
    for (const auto& [other_number, other] : sessions_)
      if (!other.is_over && other.presences > 0 && other.user != viewer.user &&
          sees(viewer.user, other.user).value_or(false))
        truth[other.jid] = &other;
    for (const auto& [jid, shown] : viewer.sees)
      if (!truth.contains(jid) && sees(viewer.user, std::string(xmpp::BareOf(jid))).has_value())
        Violate("no-ghosts", absl::StrCat(viewer.jid, " sees ", jid, " (session ", shown.session,
                                          "), who is not there or not its to see"));
    for (const auto& [jid, there] : truth) {
      const auto shown = viewer.sees.find(jid);
      if (shown == viewer.sees.end()) {
        if (one_at_a_time_)
          Violate("everybody-is-seen",
                  absl::StrCat(viewer.jid, " does not see ", jid, " (session ", there->number, ")"));
      } else if (shown->second.session != there->number) {
        Violate("no-ghosts", absl::StrCat(viewer.jid, " sees session ", shown->second.session, " of ", jid,
                                          ", who is there as session ", there->number));
      } else if (is_last && shown->second.presence != there->presences) {
        Violate("the-last-presence-is-seen",
                absl::StrCat(viewer.jid, " sees presence ", shown->second.presence, " of ", jid,
                             ", whose last one is ", there->presences));
      }
    }
  }
}

void Ledger::Violate(std::string rule, std::string text, std::uint64_t message) {
  world_.Note("ledger", "violation", rule + ": " + text);
  violations_.push_back({world_.now_us(), std::move(rule), std::move(text), message});
}

}  // namespace rookery::simulation
