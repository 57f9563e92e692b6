// News for people who are not in the room.
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kAdmin;
using testing::kOwner;
using ::testing::Not;

class AbsentPeople : public testing::StaffedRoomTest {
 protected:
  static std::string Item(std::string_view jid, std::string_view affiliation, std::string_view reason = {}) {
    return "<item jid='" + std::string(jid) + "' affiliation='" + std::string(affiliation) + "'><reason>" +
           std::string(reason) + "</reason></item>";
  }
  static std::size_t CountTo(const Said& said, std::string_view name) {
    std::size_t count = 0;
    for (int i = 0; i < 100; ++i)
      count += To(said, std::string(name) + std::to_string(i) + "@example.org").size();
    return count;
  }
};

// XEP-0045 section 9.5 has an invitation without a reason.
TEST_F(AbsentPeople, AnInvitationToANewMemberHasNoWordsOfTheAdmin) {
  driver_.config().set_is_members_only(true);
  const Said said = AdminSet(kAdmin, Item("hecate@example.org", "member", "BUY NOW"));
  EXPECT_THAT(To(said, "hecate@example.org"),
              ElementsAre(AllOf(HasSubstr("<invite from="), Not(HasSubstr("BUY NOW")))));
  EXPECT_THAT(To(said, kOwner), ElementsAre(HasSubstr("BUY NOW")));
}

// 101 is a courtesy (Implementation Notes, Services): strangers hear nothing of a room.
TEST_F(AbsentPeople, StrangersHearNothing) {
  for (const char* affiliation : {"outcast", "member", "none"}) {
    const Said said = AdminSet(
        kAdmin, Item("victim@example.org", "none") +
                    Item(std::string("victim-") + affiliation + "@example.org", affiliation, "BUY NOW"));
    EXPECT_THAT(To(said, std::string("victim-") + affiliation + "@example.org"), IsEmpty());
  }
  EXPECT_EQ(AffiliationOf("victim-outcast@example.org"), v1::AFFILIATION_OUTCAST);
}

TEST_F(AbsentPeople, WhomTheRoomKnowsHearsWhatChangesAndNoWords) {
  Affiliate("king@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(To(AdminSet(kAdmin, Item("king@example.org", "outcast", "BUY NOW")), "king@example.org"),
              ElementsAre(AllOf(HasSubstr("affiliation=\"outcast\""), HasSubstr("code=\"101\""),
                                Not(HasSubstr("BUY NOW")))));
}

// The changes are made, and the messages end.
TEST_F(AbsentPeople, WhatOneAdminHasThemToldIsCounted) {
  driver_.config().set_is_members_only(true);
  driver_.settings().max_requests = 5;
  std::string items;
  for (int i = 0; i < 4; ++i) items += Item("a" + std::to_string(i) + "@example.org", "member");
  EXPECT_EQ(CountTo(AdminSet(kAdmin, items), "a"), 4u);
  items.clear();
  for (int i = 0; i < 4; ++i) items += Item("b" + std::to_string(i) + "@example.org", "member");
  const Said said = AdminSet(kAdmin, items);
  EXPECT_TRUE(IsResult(said.front()));
  EXPECT_EQ(CountTo(said, "b"), 1u);
  EXPECT_EQ(AffiliationOf("b3@example.org"), v1::AFFILIATION_MEMBER);
  // Nor under another nick, or from outside.
  driver_.Put("wicca2", "wiccarocks@example.org/phone", v1::ROLE_MODERATOR);
  EXPECT_EQ(CountTo(AdminSet("wiccarocks@example.org/phone", Item("c0@example.org", "member")), "c"), 0u);
  driver_.Apply(
      "<presence type='unavailable' from='wiccarocks@example.org/phone' "
      "to='coven@conference.example.org/wicca2'/>");
  driver_.Apply(
      "<presence type='unavailable' from='wiccarocks@example.org/laptop' "
      "to='coven@conference.example.org/secondwitch'/>");
  EXPECT_EQ(CountTo(AdminSet(kAdmin, Item("d0@example.org", "member")), "d"), 0u);
  EXPECT_EQ(CountTo(AdminSet(kOwner, Item("e0@example.org", "member")), "e"), 1u);
  // An invitation is one, too.
  driver_.Pass(driver_.settings().changes_period.count());
  EXPECT_EQ(CountTo(AdminSet(kAdmin, Item("f0@example.org", "member")), "f"), 1u);
}

// Where addresses are for moderators, that of an admin is not for who is invited.
TEST_F(AbsentPeople, AnAdminOutsideIsNotNamedToWhoIsInvited) {
  driver_.config().set_is_members_only(true);
  driver_.room().RemoveOccupant("secondwitch");
  const Said said = AdminSet(kAdmin, Item("hecate@example.org", "member"));
  EXPECT_THAT(To(said, "hecate@example.org"),
              ElementsAre(AllOf(HasSubstr("<invite from=\"coven@conference.example.org\"/>"),
                                Not(HasSubstr("wiccarocks")))));
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  EXPECT_THAT(To(AdminSet(kAdmin, Item("king@example.org", "member")), "king@example.org"),
              ElementsAre(HasSubstr("<invite from=\"wiccarocks@example.org\"/>")));
}

// There is nobody who could read it.
TEST_F(AbsentPeople, NothingIsSaidToWhatNobodyReaches) {
  driver_.config().set_is_members_only(true);
  const auto invite = [&](const std::string& to) {
    return RefusalIn(driver_.Apply("<message id='1' from='" + std::string(kOwner) +
                                   "' to='coven@conference.example.org'><x "
                                   "xmlns='http://jabber.org/protocol/muc#user'><invite to='" +
                                   to + "'/></x></message>"));
  };
  for (const char* to : {"king@example.com", "king@conference.example.com/x", "example.com"})
    EXPECT_EQ(invite(to), "cancel remote-server-not-found") << to;
  for (const char* to : {"example.org", "example.net/x", "king@search.example.org", "conference.example.net",
                         "coven@conference.example.net/nick"})
    EXPECT_EQ(invite(to), "cancel item-not-found") << to;
  for (const char* jid : {"king@example.com", "king@search.example.org", "coven@conference.example.net"})
    for (const char* affiliation : {"member", "admin", "none"}) {
      const Said said = AdminSet(kOwner, Item(jid, affiliation));
      EXPECT_TRUE(IsResult(said.front()));
      EXPECT_THAT(To(said, jid), IsEmpty()) << jid;
    }
}

}  // namespace
}  // namespace rookery::muc
