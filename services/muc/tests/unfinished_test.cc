// The consequences of one record where a change concerns very many.
#include "domain/occupants/unfinished.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "staffed_room.h"

namespace rookery::muc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kForm[] =
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' "
    "type='submit'><field var='FORM_TYPE'><value>"
    "http://jabber.org/protocol/muc#roomconfig</value></field>";

class CrowdedRoom : public StaffedRoomTest {
 protected:
  static constexpr int kCrowd = 600;

  CrowdedRoom() {
    for (int i = 0; i < kCrowd; ++i)
      driver_.Put("guest" + std::to_string(1000 + i), Guest(i), v1::ROLE_PARTICIPANT);
  }
  static std::string Guest(int i) { return "guest" + std::to_string(i) + "@crowd.example/home"; }
  /// Returns all that is said until nothing remains to be done, and counts the records that it took.
  Said Finish(Said said) {
    ++records_;
    CountRecord();
    while (driver_.room().exists() && !driver_.room().state().unfinished().empty()) {
      const Said more = driver_.Do("<presence from='a@b' to='coven@conference.example.org'/>",
                                   [](Turn& turn) { GoOn(turn); });
      said.insert(said.end(), more.begin(), more.end());
      ++records_;
      CountRecord();
    }
    return said;
  }
  Said Configure(const std::string& field, const std::string& value) {
    return Finish(Iq("set", kOwner,
                     kForm + std::string("<field var='") + field + "'>" + value + "</field></x></query>"));
  }
  void CountRecord() {
    most_ = std::max(most_, driver_.outcome().deliveries);
    std::set<const Recipients*> lists;
    for (const Outcome::Said& one : driver_.outcome().said)
      if (one.recipients) lists.insert(one.recipients.get());
    lists_ = std::max(lists_, lists.size());
  }

  int records_ = 0;
  std::size_t most_ = 0;
  std::size_t lists_ = 0;
};

TEST_F(CrowdedRoom, ThePresenceOfAllIsBroadcastNoMore_InParts_EachWithFewLists) {
  const Said said = Configure("muc#roomconfig_presencebroadcast", "<value>moderator</value>");
  // Each of the crowd and the two without a staff role is told of to all but itself.
  const int quiet = kCrowd + 2;
  std::size_t gone = 0;
  for (const std::string& one : said)
    if (one.starts_with("<presence") && one.find("type=\"unavailable\"") != std::string::npos) ++gone;
  EXPECT_EQ(gone, static_cast<std::size_t>(quiet) * (kCrowd + 5 - 1));
  EXPECT_THAT(To(said, Guest(7)), SizeIs(quiet - 1 + 1))
      << "all others, and that the configuration has changed";
  EXPECT_GT(records_, 5);
  EXPECT_LE(most_, kMaxDeliveries + 2 * kCrowd);
  EXPECT_LE(lists_, 4u);
}

TEST_F(CrowdedRoom, ThoseWhoGoTogetherHearOfThemselvesOnly_WhoStaysOfEach) {
  const Said said = Configure("muc#roomconfig_membersonly", "<value>1</value>");
  EXPECT_THAT(driver_.room().occupants(), SizeIs(3));
  const Said to_guest = To(said, Guest(3));
  ASSERT_THAT(to_guest, SizeIs(1));
  EXPECT_THAT(to_guest.front(), HasSubstr("code=\"322\""));
  EXPECT_THAT(to_guest.front(), HasSubstr("code=\"110\""));
  std::size_t heard = 0;
  for (const std::string& one : To(said, kMember))
    if (one.find("code=\"322\"") != std::string::npos) ++heard;
  EXPECT_EQ(heard, kCrowd + 2u);
  EXPECT_LE(lists_, 3u);
}

TEST_F(CrowdedRoom, ABannedDomainGoesInParts_NobodyOfItIsForgotten) {
  Said crowd;
  for (int i = kCrowd; i < 2 * kCrowd; ++i)
    driver_.Put("fan" + std::to_string(i), "fan" + std::to_string(i) + "@example.com/home");
  const Said said = Finish(
      AdminSet(kOwner, "<item affiliation='outcast' jid='crowd.example'><reason>noise</reason></item>"));
  EXPECT_THAT(driver_.room().occupants(), SizeIs(kCrowd + 5));
  EXPECT_GT(records_, 5);
  EXPECT_LE(most_, kMaxDeliveries + 2 * kCrowd);
  EXPECT_LE(lists_, 2u);
  for (const int i : {0, kCrowd / 2, kCrowd - 1}) {
    const Said to_guest = To(said, Guest(i));
    ASSERT_THAT(to_guest, SizeIs(1));
    EXPECT_THAT(to_guest.front(), HasSubstr("<reason>noise</reason>"));
    EXPECT_THAT(to_guest.front(), HasSubstr("code=\"301\""));
  }
  std::size_t heard = 0;
  for (const std::string& one : To(said, kMember))
    if (one.find("code=\"301\"") != std::string::npos) ++heard;
  EXPECT_EQ(heard, static_cast<std::size_t>(kCrowd));
}

TEST_F(CrowdedRoom, AddressesAreToldToAllInParts) {
  const Said said = Configure("muc#roomconfig_whois", "<value>anyone</value>");
  // The presence of all others, and that the configuration has changed.
  EXPECT_THAT(To(said, Guest(7)), SizeIs(kCrowd + 5 - 1 + 1));
  EXPECT_THAT(To(said, kModerator), SizeIs(1));
  EXPECT_GT(records_, 5);
  EXPECT_LE(most_, kMaxDeliveries + 2 * kCrowd);
  EXPECT_LE(lists_, 2u);
}

TEST_F(CrowdedRoom, NewModeratorsLearnAddressesInParts) {
  std::string items;
  for (int i = 0; i < 100; ++i)
    items += "<item nick='guest" + std::to_string(1000 + i) + "' role='moderator'/>";
  AdminSet(kOwner, items);
  const std::size_t begun = driver_.outcome().deliveries;
  // One of them is none any more before the others are done, another has a new nick.
  driver_.room().ChangeOccupant("guest1099")->set_role(v1::ROLE_PARTICIPANT);
  driver_.room().Rename("guest1098", "renamed");
  const Said rest = Finish({});
  EXPECT_LE(begun, kMaxDeliveries + 101 * (kCrowd + 5))
      << "that there are 100 is told to all with one record";
  EXPECT_THAT(To(rest, Guest(98)), SizeIs(kCrowd + 5 - 1));
  EXPECT_THAT(To(rest, Guest(99)), IsEmpty());
  EXPECT_TRUE(driver_.room().state().unfinished().empty());
}

TEST_F(CrowdedRoom, NotSoManyAreKickedAtOnceThatAllAreBusyWithIt) {
  for (int i = kCrowd; i < 4 * kCrowd; ++i)
    driver_.Put("guest" + std::to_string(1000 + i), Guest(i), v1::ROLE_PARTICIPANT);
  const auto kick = [&](int many) {
    std::string items;
    for (int i = 0; i < many; ++i)
      items += "<item nick='guest" + std::to_string(1000 + i) + "' role='none'/>";
    return AdminSet(kOwner, items);
  };
  EXPECT_THAT(kick(100), ElementsAre(HasSubstr("not-acceptable")));
  EXPECT_THAT(driver_.room().occupants(), SizeIs(4 * kCrowd + 5));
  kick(50);
  EXPECT_THAT(driver_.room().occupants(), SizeIs(4 * kCrowd + 5 - 50));
}

TEST_F(CrowdedRoom, AHatThatAllWearIsShownOnAllInParts) {
  auto& hat = *driver_.room().ChangeState().add_hats();
  hat.set_uri("urn:x:guest");
  hat.set_title("Guest");
  for (int i = 0; i < kCrowd; ++i)
    driver_.room()
        .ChangeAffiliated("guest" + std::to_string(i) + "@crowd.example")
        .add_hats()
        ->set_uri("urn:x:guest");
  const Said said =
      Finish(Iq("set", kOwner,
                "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:hats:commands:destroy' "
                "action='complete'><x xmlns='jabber:x:data' type='submit'><field "
                "var='hats#uri'><value>urn:x:guest</value>"
                "</field></x></command>"));
  std::size_t heard = 0;
  for (const std::string& one : To(said, kMember))
    if (one.starts_with("<presence")) ++heard;
  EXPECT_EQ(heard, static_cast<std::size_t>(kCrowd));
  EXPECT_GT(records_, 5);
  EXPECT_LE(most_, kMaxDeliveries + 2 * kCrowd);
  EXPECT_LE(lists_, 3u);
}

}  // namespace
}  // namespace rookery::muc::testing
