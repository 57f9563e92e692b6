// Lists of muc#admin: who may read them, and how they come (XEP-0045 sections 8.5, 9 and 10).
#include "domain/affiliations/administration.h"
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kAdmin;
using testing::kMember;
using testing::kModerator;
using testing::kNobody;
using testing::kOwner;
using testing::kStranger;

class AdminLists : public testing::StaffedRoomTest {};

// Section 9.2, "Service Sends Ban List to Admin".
TEST_F(AdminLists, AdminsReadTheListOfBans) {
  AdminSet(kAdmin, "<item affiliation='outcast' jid='earl@example.org'><reason>Treason</reason></item>");
  const Said said = AdminGet(kAdmin, "<item affiliation='outcast'/>");
  EXPECT_THAT(said, ElementsAre(HasSubstr("<item affiliation=\"outcast\" jid=\"earl@example.org\">"
                                          "<reason>Treason</reason></item></query>")));
  for (const std::string& from : {kMember, kModerator, kNobody, kStranger})
    EXPECT_EQ(RefusalIn(AdminGet(from, "<item affiliation='outcast'/>")), "auth forbidden") << from;
}

// "After updating the ban list".
TEST_F(AdminLists, TheListOfBansHasTheNewestReason) {
  for (const char* reason : {"Treason", "Murder"})
    AdminSet(kAdmin, std::string("<item affiliation='outcast' jid='earl@example.org'><reason>") + reason +
                         "</reason></item>");
  EXPECT_THAT(AdminGet(kAdmin, "<item affiliation='outcast'/>"),
              ElementsAre(HasSubstr("<reason>Murder</reason>")));
}

// Section 9.5, "Service Sends Member List to Admin"; Business Rules, IQ: with the nick, without a role.
TEST_F(AdminLists, TheListOfMembersHasTheirNicks) {
  driver_.room().SetReservedNick("absent@example.org", "Absent");
  Affiliate("absent@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(AdminGet(kAdmin, "<item affiliation='member'/>"),
              ElementsAre(HasSubstr(
                  "<item affiliation=\"member\" jid=\"absent@example.org\" nick=\"Absent\"/>"
                  "<item affiliation=\"member\" jid=\"hag66@example.org\" nick=\"thirdwitch\"/></query>")));
}

// Sections 5.2.1, 7.11 and 9.5.
TEST_F(AdminLists, MembersReadTheirListWhereAddressesAreOpen) {
  const auto read = [&](std::string_view from) {
    const Said said = AdminGet(from, "<item affiliation='member'/>");
    return IsResult(said.front()) ? "read" : RefusalIn(said);
  };
  Affiliate("hecate@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_EQ(read(kMember), "auth forbidden");
  EXPECT_EQ(read(kStranger), "auth forbidden");
  // Moderators see addresses anyway.
  EXPECT_EQ(read(kModerator), "read");
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  EXPECT_EQ(read(kMember), "read");
  EXPECT_EQ(read(kStranger), "read");
  EXPECT_EQ(read(kNobody), "auth forbidden");
  // muc#roomconfig_getmemberlist.
  driver_.config().set_member_list_readers(1u << v1::ROLE_MODERATOR);
  EXPECT_EQ(read(kMember), "auth forbidden");
  EXPECT_EQ(read(kStranger), "auth forbidden");
  EXPECT_EQ(read(kModerator), "read");
  EXPECT_EQ(read(kAdmin), "read");
}

// Sections 10.5 and 10.8.
TEST_F(AdminLists, OwnersReadTheListsOfOwnersAndAdmins) {
  for (const char* item : {"<item affiliation='owner'/>", "<item affiliation='admin'/>"}) {
    EXPECT_TRUE(IsResult(AdminGet(kOwner, item).front()));
    for (const std::string& from : {kAdmin, kModerator, kMember, kNobody, kStranger})
      EXPECT_EQ(RefusalIn(AdminGet(from, item)), "auth forbidden") << from << item;
  }
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  EXPECT_TRUE(IsResult(AdminGet(kMember, "<item affiliation='owner'/>").front()));
  EXPECT_EQ(RefusalIn(AdminGet(kStranger, "<item affiliation='owner'/>")), "auth forbidden");
}

// Section 8.5, "Service Sends Voice List to Moderator"; section 9.8.
TEST_F(AdminLists, ListsOfRolesHaveAllFourAttributes) {
  EXPECT_THAT(
      AdminGet(kModerator, "<item role='participant'/>"),
      ElementsAre(HasSubstr("<item affiliation=\"none\" jid=\"polonius@example.net/castle\" nick=\"Polo\" "
                            "role=\"participant\"/><item affiliation=\"member\" "
                            "jid=\"hag66@example.org/pda\" nick=\"thirdwitch\" role=\"participant\"/>")));
  EXPECT_EQ(RefusalIn(AdminGet(kMember, "<item role='participant'/>")), "auth forbidden");
  EXPECT_EQ(RefusalIn(AdminGet(kModerator, "<item role='moderator'/>")), "auth forbidden");
  EXPECT_THAT(AdminGet(kAdmin, "<item role='moderator'/>"), ElementsAre(HasSubstr("nick=\"Bard\"")));
  EXPECT_THAT(AdminGet(kModerator, "<item role='visitor'/>"),
              ElementsAre(HasSubstr("<query xmlns=\"http://jabber.org/protocol/muc#admin\"/>")));
}

TEST_F(AdminLists, ListsThatAreNoneAreBadRequests) {
  for (const char* items : {"", "<item/>", "<item role='none'/>", "<item affiliation='none'/>",
                            "<item affiliation='king'/>", "<item role='participant' affiliation='member'/>",
                            "<item affiliation='member'/><item affiliation='admin'/>"})
    EXPECT_EQ(RefusalIn(AdminGet(kOwner, items)), "modify bad-request") << items;
}

// XEP-0059.
TEST_F(AdminLists, LongListsComeInPages) {
  for (int i = 0; i < 600; ++i)
    Affiliate("a" + std::to_string(1000 + i) + "@example.org", v1::AFFILIATION_OUTCAST);
  const std::string set = "<set xmlns='http://jabber.org/protocol/rsm'>";
  Said said = AdminGet(kOwner, "<item affiliation='outcast'/>");
  EXPECT_THAT(said, ElementsAre(AllOf(HasSubstr("<first index=\"0\">a1000@example.org</first>"
                                                "<last>a1499@example.org</last><count>600</count></set>"))));
  said = AdminGet(kOwner, "<item affiliation='outcast'/>" + set + "<after>a1499@example.org</after></set>");
  EXPECT_THAT(said, ElementsAre(HasSubstr("<first index=\"500\">a1500@example.org</first>")));
  said = AdminGet(
      kOwner, "<item affiliation='outcast'/>" + set + "<max>2</max><before>a1002@example.org</before></set>");
  EXPECT_THAT(said, ElementsAre(HasSubstr("<item affiliation=\"outcast\" jid=\"a1000@example.org\"/>"
                                          "<item affiliation=\"outcast\" jid=\"a1001@example.org\"/><set")));
  EXPECT_EQ(RefusalIn(AdminGet(kOwner, "<item affiliation='outcast'/>" + set + "<after>x</after></set>")),
            "cancel item-not-found");
  EXPECT_EQ(RefusalIn(AdminGet(kOwner, "<item affiliation='outcast'/>" + set + "<max>x</max></set>")),
            "modify bad-request");
}

TEST_F(AdminLists, APageHasAMostInBytes) {
  for (int i = 0; i < 300; ++i) {
    v1::Affiliated& entry = driver_.room().ChangeAffiliated("a" + std::to_string(1000 + i) + "@example.org");
    entry.set_affiliation(v1::AFFILIATION_OUTCAST);
    entry.set_reason(std::string(1000, 'r'));
  }
  const Said said = AdminGet(kOwner, "<item affiliation='outcast'/>");
  EXPECT_LT(said.front().size(), 140'000u);
  EXPECT_THAT(said, ElementsAre(HasSubstr("<count>300</count>")));
  const Said last = AdminGet(kOwner,
                             "<item affiliation='outcast'/>"
                             "<set xmlns='http://jabber.org/protocol/rsm'><before/></set>");
  EXPECT_THAT(last, ElementsAre(HasSubstr("<last>a1299@example.org</last>")));
}

}  // namespace
}  // namespace rookery::muc
