#include "guest.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "message_id.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::simulation {

using std::chrono::seconds;

namespace {

constexpr seconds kPatience{20};
constexpr seconds kPingEvery{45};

bool HasStatus(const xmpp::Stanza& stanza, int code) {
  return stanza.payload().find(absl::StrCat("code=\"", code, "\"")) != std::string::npos;
}

bool HasCondition(const xmpp::Stanza& stanza, std::string_view condition) {
  return stanza.payload().find("<" + std::string(condition)) != std::string::npos;
}

/// XEP-0410 section 3.2, as clients have it: any error but these.
bool SaysThatItIsOut(const xmpp::Stanza& error) {
  constexpr std::string_view kOthers[] = {"service-unavailable", "feature-not-implemented", "item-not-found",
                                          "remote-server-not-found", "remote-server-timeout"};
  return std::none_of(std::begin(kOthers), std::end(kOthers),
                      [&](std::string_view condition) { return HasCondition(error, condition); });
}

xmpp::Stanza MakeIq(std::string_view type, std::string_view to, const xmpp::Element& payload) {
  xmpp::Stanza iq;
  iq.set_kind(common::v1::STANZA_KIND_IQ);
  iq.set_type(std::string(type));
  iq.set_to(std::string(to));
  xmpp::SetPayload(iq, payload);
  return iq;
}

}  // namespace

Guest::Guest(World& world, RoomLedger& ledger, std::string user, std::vector<std::string> rooms,
             std::uint64_t seed, std::function<void(xmpp::Stanza)> send)
    : world_(world),
      ledger_(ledger),
      nick_(user.substr(0, user.find('@'))),
      random_(seed),
      send_(std::move(send)),
      between_(random_.LogBetween(seconds(2), seconds(20))) {
  for (std::string& room : rooms) places_[std::move(room)].wants = random_.Chance(0.6);
}

Duration Guest::between() { return is_calm_ ? seconds(5) : random_.Exponential(between_); }

void Guest::Begin(const Ledger::Session& session) { session_ = &session; }

void Guest::EndSession() {
  for (auto& [room, place] : places_) Out(place);
  session_ = nullptr;
}

bool Guest::IsIn(const std::string& room) const {
  const auto found = places_.find(room);
  return session_ != nullptr && found != places_.end() && found->second.state == State::kIn;
}

std::vector<std::string> Guest::unsettled() const {
  std::vector<std::string> rooms;
  for (const auto& [room, place] : places_)
    if (session_ != nullptr && place.wants != (place.state == State::kIn)) rooms.push_back(room);
  return rooms;
}

// ---- what it does -------------------------------------------------------------

void Guest::Act() {
  if (is_resting_) return;
  const std::uint64_t chosen = random_.Below(places_.size());
  std::uint64_t number = 0;
  for (auto& [room, place] : places_) {
    const bool is_chosen = number++ == chosen;
    switch (place.state) {
      case State::kOut:
        if (!is_calm_ && !place.wants && is_chosen) place.wants = random_.Chance(0.3);
        if (place.wants && world_.now() >= place.next) Enter(room, place);
        break;
      case State::kEntering:
        if (world_.now() >= place.next) Enter(room, place);
        break;
      case State::kIn:
        if (place.configuring != 0 && world_.now() >= place.next) Configure(room, place);
        if (is_chosen && !is_calm_) {
          ActIn(room, place);
        } else if (world_.now() >= place.next && place.configuring == 0) {
          Ping(room, place);
        }
        break;
      case State::kLeaving:
        // Nobody has said that it was in.
        if (world_.now() >= place.next) Out(place);
        break;
    }
  }
}

void Guest::ActIn(const std::string& room, Place& place) {
  const double lot = random_.Unit();
  if (lot < 0.03) {
    Leave(room, place);
  } else if (lot < 0.05) {
    Kick(room, place);
  } else if (lot < 0.15) {
    Ping(room, place);
  } else if (lot < 0.25) {
    xmpp::Stanza presence = xmpp::MakePresence("", "", room + "/" + nick_);
    xmpp::Element show("show", xmpp::ns::kClient);
    show.SetText(random_.Chance(0.5) ? "away" : "dnd");
    xmpp::SetPayload(presence, show);
    Send(std::move(presence), ledger_.Next());
  } else {
    Say(room);
  }
}

void Guest::Send(xmpp::Stanza stanza, std::uint64_t id) {
  stanza.set_id(RoomIdText(id));
  send_(std::move(stanza));
}

void Guest::Enter(const std::string& room, Place& place) {
  place.state = State::kEntering;
  place.entering = ledger_.Next();
  place.next = world_.now() + kPatience;
  ledger_.Entering(*session_, room, place.entering);
  xmpp::Stanza presence = xmpp::MakePresence("", "", room + "/" + nick_);
  xmpp::SetPayload(presence, xmpp::Element("x", xmpp::ns::kMuc));
  Send(std::move(presence), place.entering);
}

void Guest::Leave(const std::string& room, Place& place) {
  place.state = State::kLeaving;
  place.wants = false;
  place.leaving = ledger_.Next();
  place.next = world_.now() + 3 * kPatience;
  world_.Note(session_->jid, "leave", absl::StrCat(room, " #", place.leaving));
  Send(xmpp::MakePresence("unavailable", "", room + "/" + nick_), place.leaving);
}

void Guest::Say(const std::string& room) {
  const std::uint64_t id = ledger_.Say(*session_, room);
  xmpp::Stanza message = xmpp::MakeMessage("groupchat", "", room);
  xmpp::Element body("body", xmpp::ns::kClient);
  body.SetText(absl::StrCat("text of ", id));
  xmpp::SetPayload(message, body);
  Send(std::move(message), id);
}

void Guest::Ping(const std::string& room, Place& place) {
  place.next = world_.now() + kPingEvery;
  place.pinging = ledger_.Next();
  Send(MakeIq("get", room + "/" + nick_, xmpp::Element("ping", xmpp::ns::kPing)), place.pinging);
}

void Guest::Configure(const std::string& room, Place& place) {
  place.next = world_.now() + kPatience;
  place.configuring = ledger_.Next();
  xmpp::Element query("query", xmpp::ns::kMucOwner);
  xmpp::Element& x = query.Add("x", xmpp::ns::kDataForms).SetAttr("type", "submit");
  const auto field = [&x](std::string_view name, std::string_view value) {
    x.Add("field", xmpp::ns::kDataForms)
        .SetAttr("var", name)
        .Add("value", xmpp::ns::kDataForms)
        .SetText(value);
  };
  field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig");
  field("muc#roomconfig_enablelogging", "1");
  if (room.starts_with("hall")) field("muc#roomconfig_persistentroom", "1");
  Send(MakeIq("set", room, query), place.configuring);
}

void Guest::Kick(const std::string& room, const Place& place) {
  std::vector<std::string> others(place.seen.begin(), place.seen.end());
  std::erase(others, nick_);
  if (!place.is_moderator || others.empty()) return Say(room);
  const std::string& victim = random_.Pick(others);
  ledger_.Kick(room, victim);
  world_.Note(session_->jid, "kick", room + "/" + victim);
  xmpp::Element query("query", xmpp::ns::kMucAdmin);
  query.Add("item", xmpp::ns::kMucAdmin).SetAttr("nick", victim).SetAttr("role", "none");
  Send(MakeIq("set", room, query), ledger_.Next());
}

// ---- what it is told ----------------------------------------------------------

bool Guest::IsOfRoom(const xmpp::Stanza& stanza) {
  return stanza.from().find("@conference.") != std::string::npos;
}

void Guest::Receive(const xmpp::Stanza& stanza) {
  const std::string room(xmpp::BareOf(stanza.from()));
  const auto found = places_.find(room);
  if (found == places_.end() || session_ == nullptr) return;
  Place& place = found->second;
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE) {
    ReceivePresence(room, place, stanza);
  } else if (stanza.kind() == common::v1::STANZA_KIND_MESSAGE) {
    ReceiveMessage(place, stanza);
  } else {
    ReceiveAnswer(place, stanza);
  }
}

void Guest::ReceivePresence(const std::string& room, Place& place, const xmpp::Stanza& stanza) {
  const std::string nick(xmpp::ResourceOf(stanza.from()));
  const bool is_self = HasStatus(stanza, 110);
  if (stanza.type() == "error") {
    world_.Note(session_->jid, "refused", stanza.payload());
    if (place.state == State::kLeaving && ParseRoomId(stanza.id()) == place.leaving) {
      // It is still there, and stays.
      place.state = State::kIn;
      place.wants = true;
    }
    if (place.state != State::kEntering || ParseRoomId(stanza.id()) != place.entering) return;
    Out(place);
    place.next = world_.now() + random_.Between(seconds(2), seconds(8));
  } else if (stanza.type() == "unavailable") {
    if (!is_self) {
      place.seen.erase(nick);
      return;
    }
    const bool is_kick = HasStatus(stanza, 307) && !HasStatus(stanza, 333) && ledger_.WasKicked(room, nick_);
    if (place.state == State::kLeaving) {
      if (!is_kick && (HasStatus(stanza, 307) || HasStatus(stanza, 333))) {
        // The room has taken it out before it has read that it leaves.
        ThrownOut(place, stanza.payload());
        return;
      }
      is_kick ? ledger_.Over(*place.stay) : ledger_.Left(*place.stay, place.leaving);
      place.stay = nullptr;
      Out(place);
    } else if (place.state == State::kIn) {
      if (is_kick) {
        Out(place);
        place.next = world_.now() + random_.Between(seconds(1), seconds(10));
      } else if (!HasStatus(stanza, 307) && !HasStatus(stanza, 333)) {
        // An earlier session of its name has left, and it was of that one that the room spoke before. What
        // the room says to this one is still to come.
        const std::uint64_t entering = place.entering;
        Out(place);
        place.state = State::kEntering;
        place.entering = entering;
        place.next = world_.now() + kPatience;
      } else {
        ThrownOut(place, stanza.payload());
      }
    }
    // If it is entering, the presence was about an earlier session.
  } else if (stanza.type().empty() && place.state != State::kOut) {
    place.seen.insert(nick);
    if (!is_self || place.state == State::kLeaving) return;
    place.is_moderator = stanza.payload().find("role=\"moderator\"") != std::string::npos;
    if (place.state == State::kEntering) {
      place.state = State::kIn;
      place.stay = &ledger_.Enter(*session_, room, place.entering);
      for (const xmpp::Stanza& said : std::exchange(place.history, {})) ledger_.Heard(*place.stay, said);
      place.next = world_.now() + kPingEvery;
    }
    if (HasStatus(stanza, 201)) Configure(room, place);
  }
}

void Guest::ReceiveMessage(Place& place, const xmpp::Stanza& stanza) {
  if (stanza.type() != "error") {
    if (place.stay != nullptr) {
      ledger_.Heard(*place.stay, stanza);
    } else if (place.state == State::kEntering && xmpp::Has(stanza, common::v1::STANZA_TRAIT_DELAY)) {
      place.history.push_back(stanza);
    }
    return;
  }
  const std::uint64_t id = ParseRoomId(stanza.id());
  world_.Note(session_->jid, "bounced", absl::StrCat("#", id, " ", stanza.payload()));
  ledger_.Told(id);
  const bool is_out = HasCondition(stanza, "not-acceptable") || HasCondition(stanza, "item-not-found");
  // Said in this stay.
  if (is_out && place.state == State::kIn && id > place.entering) ThrownOut(place, stanza.payload());
}

void Guest::ReceiveAnswer(Place& place, const xmpp::Stanza& stanza) {
  const std::uint64_t id = ParseRoomId(stanza.id());
  if (id != 0 && id == place.configuring) {
    const bool is_wait = stanza.type() == "error" && HasCondition(stanza, "resource-constraint");
    if (!is_wait) place.configuring = 0;
  } else if (id != 0 && id == place.pinging) {
    place.pinging = 0;
    // What the log has refused no room was asked.
    const bool was_asked = stanza.payload().find("could not be stored") == std::string::npos;
    const bool is_out = stanza.type() == "error" && was_asked && SaysThatItIsOut(stanza);
    if (is_out && place.state == State::kIn && id > place.entering) ThrownOut(place, stanza.payload());
  }
}

void Guest::ThrownOut(Place& place, const std::string& how) {
  if (!ledger_.MayBeKicked(place.stay->room, nick_)) ledger_.ThrownOut(*place.stay, how);
  Out(place);
  place.next = world_.now() + random_.Between(seconds(0), seconds(3));
}

void Guest::Out(Place& place) {
  if (place.stay != nullptr) ledger_.Over(*place.stay);
  const bool wants = place.wants;
  place = Place{};
  place.wants = wants;
}

}  // namespace rookery::simulation
