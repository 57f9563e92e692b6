#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "domain/configuration/ownership.h"
#include "rookery/xmpp/jid.h"
#include "room_fixture.h"

namespace rookery::muc::testing {

// The standing of the people in this room.
inline const std::string& kOwner = kCrone;
inline const std::string& kAdmin = kWicca;
inline const std::string& kMember = kHag;
inline const std::string& kStranger = kHecate;
inline const std::string kModerator = "bard@example.org/globe";
inline const std::string kNobody = "polonius@example.net/castle";

/// A persistent room in which there are an owner, an admin, a member, a moderator and somebody without an
/// affiliation; and somebody outside.
class StaffedRoomTest : public RoomTest {
 protected:
  StaffedRoomTest() {
    driver_.Create();
    config() = DefaultConfig(settings());
    config().set_is_persistent(true);
    Affiliate("crone1@example.org", v1::AFFILIATION_OWNER);
    Affiliate("wiccarocks@example.org", v1::AFFILIATION_ADMIN);
    Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
    Put("firstwitch", kOwner, v1::ROLE_MODERATOR);
    Put("secondwitch", kAdmin, v1::ROLE_MODERATOR);
    Put("thirdwitch", kMember);
    Put("Bard", kModerator, v1::ROLE_MODERATOR);
    Put("Polo", kNobody);
  }

  v1::Affiliation AffiliationOf(std::string_view jid) {
    const v1::Affiliated* entry = room().FindAffiliated(jid);
    return entry == nullptr ? v1::AFFILIATION_NONE : entry->affiliation();
  }
  /// None: nobody has the nick.
  v1::Role RoleOf(std::string_view nick) {
    const v1::Occupant* occupant = room().FindNick(nick);
    return occupant == nullptr ? v1::ROLE_NONE : occupant->role();
  }
  Said Iq(std::string_view type, std::string_view from, std::string_view payload) {
    return driver_.Apply("<iq type='" + std::string(type) + "' id='1' from='" + std::string(from) +
                         "' to='coven@conference.example.org'>" + std::string(payload) + "</iq>");
  }
  Said AdminSet(std::string_view from, std::string_view items) {
    return Iq("set", from,
              "<query xmlns='http://jabber.org/protocol/muc#admin'>" + std::string(items) + "</query>");
  }
  Said AdminGet(std::string_view from, std::string_view items) {
    return Iq("get", from,
              "<query xmlns='http://jabber.org/protocol/muc#admin'>" + std::string(items) + "</query>");
  }
  /// The condition of the error that is all that is said, with its type; or what is said.
  static std::string RefusalIn(const Said& said) {
    if (said.size() != 1) return ::testing::PrintToString(said);
    const xmpp::Element stanza = std::move(xmpp::ParsePayload(said.front())->front());
    const xmpp::Element* error = stanza.Find("error", "jabber:client");
    if (error == nullptr || stanza.Attr("type") != "error") return said.front();
    for (const xmpp::Element& child : error->children())
      if (child.name() != "text") return std::string(error->Attr("type")) + " " + child.name();
    return said.front();
  }
  static bool IsResult(std::string_view said) {
    return said.starts_with("<iq ") && said.find(" type=\"result\"") != std::string_view::npos;
  }
};

}  // namespace rookery::muc::testing
