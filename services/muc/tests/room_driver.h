#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "domain/occupants/presence.h"
#include "domain/stanzas/room_stanzas.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc::testing {

/// One room that is given stanzas as XML, for tests of the protocol: `Apply` says what follows from one.
class RoomDriver {
 public:
  explicit RoomDriver(std::string jid = "coven@conference.example.org") : room_(std::move(jid)) {
    settings_.domains = {"example.org", "example.net"};
    settings_.occupant_id_key = std::string(32, 'k');
  }

  /// `xml`: one stanza in jabber:client with `from` and `to`. Gives what is said, one for each recipient, as
  /// XML with `to`, in the order in which it is said.
  std::vector<std::string> Apply(std::string_view xml) { return Do(xml, ApplyStanza); }
  /// The same of what a client says itself, and not its server in its name.
  std::vector<std::string> ApplyOfClient(std::string_view xml) {
    return Do(xml, [](Turn& turn) {
      turn.is_from_client = true;
      ApplyStanza(turn);
    });
  }
  /// Returns what `action`, which is given a Turn, says while the stanza is applied.
  template <typename Action>
  std::vector<std::string> Do(std::string_view xml, Action action) {
    const auto elements = xmpp::ParsePayload(xml);
    const xmpp::Stanza stanza = *xmpp::FromElement(elements->front());
    outcome_.clear();
    Turn turn{.settings = settings_,
              .room = room_,
              .stanza = stanza,
              .now_ms = now_ms_,
              .offset = ++offset_,
              .outcome = outcome_,
              .account_generation = account_generation_};
    action(turn);
    std::vector<std::string> said;
    for (const Outcome::Said& one : outcome_.said) {
      const Recipients single{one.stanza.to()};
      for (const std::string& to : one.recipients ? *one.recipients : single) {
        if (!one.IsFor(to)) continue;
        std::string text;
        xmpp::AppendXml(text, one.stanza, xmpp::Framing::kStream, to);
        said.push_back(std::move(text));
      }
    }
    return said;
  }
  /// Those of what Apply said that are to `full_jid`.
  static std::vector<std::string> To(const std::vector<std::string>& said, std::string_view full_jid) {
    std::vector<std::string> found;
    const std::string attribute = " to=\"" + std::string(full_jid) + "\"";
    for (const std::string& one : said)
      if (one.substr(0, one.find('>')).find(attribute) != std::string::npos) found.push_back(one);
    return found;
  }
  /// Makes the room, open and with everybody's presence broadcast, and puts somebody in without a word.
  void Create() {
    room_.Create();
    v1::RoomConfig& config = *room_.ChangeState().mutable_config();
    config.set_whois(v1::AUDIENCE_MODERATORS);
    config.set_is_persistent(true);
    config.set_presence_broadcast(1u << v1::ROLE_VISITOR | 1u << v1::ROLE_PARTICIPANT |
                                  1u << v1::ROLE_MODERATOR);
  }
  void Put(std::string_view nick, const std::string& full_jid, v1::Role role = v1::ROLE_PARTICIPANT) {
    v1::Occupant& occupant = room_.AddOccupant(nick);
    occupant.set_role(role);
    occupant.set_occupant_id(OccupantIdOf(settings_, room_, xmpp::BareOf(full_jid)));
    occupant.set_is_shown(true);
    room_.AddSession(nick, full_jid);
  }
  v1::RoomConfig& config() { return *room_.ChangeState().mutable_config(); }
  void Pass(std::int64_t ms) { now_ms_ += ms; }
  /// What is said from now on is said by these accounts of the senders' names; 0: nobody knows which.
  void SetAccountGeneration(std::uint64_t generation) { account_generation_ = generation; }

  Settings& settings() { return settings_; }
  Room& room() { return room_; }
  Outcome& outcome() { return outcome_; }
  std::int64_t now_ms() const { return now_ms_; }

 private:
  Settings settings_;
  Room room_;
  Outcome outcome_;
  std::int64_t now_ms_ = 1'700'000'000'000;
  std::uint64_t account_generation_ = 0;
  std::int64_t offset_ = 41;
};

}  // namespace rookery::muc::testing
