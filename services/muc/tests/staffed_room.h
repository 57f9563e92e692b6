#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "domain/ownership.h"
#include "rookery/xmpp/jid.h"
#include "room_driver.h"

namespace rookery::muc::testing {

inline constexpr char kOwner[] = "crone1@example.org/desktop";
inline constexpr char kAdmin[] = "wiccarocks@example.org/laptop";
inline constexpr char kMember[] = "hag66@example.org/pda";
inline constexpr char kModerator[] = "bard@example.org/globe";
inline constexpr char kNobody[] = "polonius@example.net/castle";
inline constexpr char kStranger[] = "hecate@example.org/broom";

/// A persistent room in which there are an owner, an admin, a member, a moderator and somebody without an
/// affiliation; and somebody outside.
class StaffedRoomTest : public ::testing::Test {
 protected:
  using Said = std::vector<std::string>;

  StaffedRoomTest() {
    driver_.Create();
    driver_.config() = DefaultConfig(driver_.settings());
    driver_.config().set_is_persistent(true);
    Give("crone1@example.org", v1::AFFILIATION_OWNER);
    Give("wiccarocks@example.org", v1::AFFILIATION_ADMIN);
    Give("hag66@example.org", v1::AFFILIATION_MEMBER);
    driver_.Put("firstwitch", kOwner, v1::ROLE_MODERATOR);
    driver_.Put("secondwitch", kAdmin, v1::ROLE_MODERATOR);
    driver_.Put("thirdwitch", kMember);
    driver_.Put("Bard", kModerator, v1::ROLE_MODERATOR);
    driver_.Put("Polo", kNobody);
  }

  void Give(const std::string& jid, v1::Affiliation affiliation) {
    driver_.room().ChangeAffiliated(jid).set_affiliation(affiliation);
  }
  v1::Affiliation AffiliationOf(std::string_view jid) {
    const v1::Affiliated* entry = driver_.room().FindAffiliated(jid);
    return entry == nullptr ? v1::AFFILIATION_NONE : entry->affiliation();
  }
  /// None: nobody has the nick.
  v1::Role RoleOf(std::string_view nick) {
    const v1::Occupant* occupant = driver_.room().FindNick(nick);
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
  static Said To(const Said& said, std::string_view jid) { return RoomDriver::To(said, jid); }
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

  RoomDriver driver_;
};

}  // namespace rookery::muc::testing
