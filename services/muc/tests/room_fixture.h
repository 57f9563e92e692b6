#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "room_driver.h"

namespace rookery::muc::testing {

// The people of XEP-0045's examples, each by a session.
inline const std::string kRoom = "coven@conference.example.org";
inline const std::string kCrone = "crone1@example.org/desktop";
inline const std::string kWicca = "wiccarocks@example.org/laptop";
inline const std::string kHag = "hag66@example.org/pda";
inline const std::string kHecate = "hecate@example.org/broom";

/// One room, at first without anybody in it and not even made, and what is said in it.
class RoomTest : public ::testing::Test {
 protected:
  using Said = std::vector<std::string>;

  /// The id of stanzas whose answers are looked at.
  static constexpr std::string_view kId = "n13mt3l";

  void Put(std::string_view nick, std::string_view full_jid, v1::Role role = v1::ROLE_PARTICIPANT) {
    driver_.Put(nick, std::string(full_jid), role);
  }
  void Affiliate(std::string_view bare, v1::Affiliation affiliation) {
    room().ChangeAffiliated(bare).set_affiliation(affiliation);
  }
  /// Makes the room, with two in it: firstwitch (kCrone), a moderator, and thirdwitch (kHag).
  void Gather() {
    driver_.Create();
    Put("firstwitch", kCrone, v1::ROLE_MODERATOR);
    Put("thirdwitch", kHag);
  }
  static Said To(const Said& said, std::string_view full_jid) { return RoomDriver::To(said, full_jid); }
  /// One error of the room's at an occupant's address, to a stanza with kId, and nothing else.
  static ::testing::Matcher<const Said&> IsRefused(const std::string& type, const std::string& condition) {
    using ::testing::HasSubstr;
    return ::testing::ElementsAre(::testing::AllOf(
        HasSubstr(" from=\"" + kRoom + "/"), HasSubstr(" id=\"" + std::string(kId) + "\" type=\"error\""),
        HasSubstr("<error type=\"" + type + "\" by=\"" + kRoom + "\"><" + condition + " ")));
  }

  v1::RoomConfig& config() { return driver_.config(); }
  Room& room() { return driver_.room(); }
  Outcome& outcome() { return driver_.outcome(); }
  Settings& settings() { return driver_.settings(); }

  RoomDriver driver_;
};

}  // namespace rookery::muc::testing
