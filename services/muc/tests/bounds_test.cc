// The bounds of a room, against those who try to go beyond.
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::HasSubstr;
using testing::kOwner;
using testing::kStranger;

class Bounds : public testing::StaffedRoomTest {
 protected:
  Said Enter(const std::string& from, const std::string& nick, const std::string& password = {}) {
    return driver_.Apply("<presence from='" + from + "' to='coven@conference.example.org/" + nick +
                         "'><x xmlns='http://jabber.org/protocol/muc'><password>" + password +
                         "</password></x></presence>");
  }
  Said Configure(const std::string& fields) {
    return Iq("set", kOwner,
              "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>" +
                  fields + "</x></query>");
  }
};

// Addresses are not even read of a list that is too long.
TEST_F(Bounds, AListOfOwnersThatIsTooLongIsRefusedUnread) {
  for (const char* var : {"muc#roomconfig_roomowners", "muc#roomconfig_roomadmins"}) {
    std::string field = "<field var='" + std::string(var) + "' type='jid-multi'>";
    for (int i = 0; i < 4096; ++i) field += "<value>@@" + std::to_string(i) + "</value>";
    const Said said = Configure(field + "</field>");
    EXPECT_EQ(RefusalIn(said), "modify not-acceptable");
    EXPECT_THAT(said.front(), HasSubstr("Too many owners or admins are changed at once.")) << var;
  }
}

// Whoever may invite can fill the list of members, and is banned for it.
TEST_F(Bounds, BansHavePlacesOfTheirOwn) {
  driver_.settings().max_affiliations = 3;
  EXPECT_EQ(RefusalIn(AdminSet(kOwner, "<item affiliation='member' jid='hecate@example.org'/>")),
            "wait resource-constraint");
  for (const char* jid : {"polonius@example.net", "hag66@example.org", "evil.example.org"})
    EXPECT_TRUE(
        IsResult(AdminSet(kOwner, "<item affiliation='outcast' jid='" + std::string(jid) + "'/>").front()))
        << jid;
  EXPECT_EQ(RefusalIn(AdminSet(kOwner, "<item affiliation='outcast' jid='king@example.org'/>")),
            "wait resource-constraint");
  // The place of who was banned is free, and who is banned no more has none of before.
  EXPECT_TRUE(IsResult(AdminSet(kOwner, "<item affiliation='member' jid='hecate@example.org'/>").front()));
  EXPECT_EQ(RefusalIn(AdminSet(kOwner, "<item affiliation='member' jid='hag66@example.org'/>")),
            "wait resource-constraint");
}

TEST_F(Bounds, PasswordsAreNotGuessed) {
  driver_.config().set_password("cauldronburn");
  driver_.settings().max_wrong_passwords = 3;
  // That there is one is not a guess.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(RefusalIn(Enter(kStranger, "Hecate")), "auth not-authorized");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(RefusalIn(Enter("hecate@example.org/" + std::to_string(i), "Hecate", "guess")),
              "auth not-authorized");
  EXPECT_EQ(RefusalIn(Enter(kStranger, "Hecate", "guess")), "wait resource-constraint");
  // Nor is it said that one was right.
  EXPECT_EQ(RefusalIn(Enter(kStranger, "Hecate", "cauldronburn")), "wait resource-constraint");
  driver_.Pass(driver_.settings().changes_period.count());
  EXPECT_EQ(RefusalIn(Enter(kStranger, "Hecate", "guess")), "auth not-authorized");
  Enter(kStranger, "Hecate", "cauldronburn");
  EXPECT_EQ(RoleOf("Hecate"), v1::ROLE_PARTICIPANT);
}

TEST_F(Bounds, PasswordsAreNotGuessedByManyAccounts) {
  driver_.config().set_password("cauldronburn");
  driver_.settings().max_wrong_passwords = 1;
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(RefusalIn(Enter("a" + std::to_string(i) + "@example.org/x", "Hecate", "guess")),
              "auth not-authorized");
  EXPECT_EQ(RefusalIn(Enter("a10@example.org/x", "Hecate", "cauldronburn")), "wait resource-constraint");
  // Members are not kept out by it.
  Affiliate("hecate@example.org", v1::AFFILIATION_MEMBER);
  Enter(kStranger, "Hecate", "cauldronburn");
  EXPECT_EQ(RoleOf("Hecate"), v1::ROLE_PARTICIPANT);
}

TEST_F(Bounds, OneAccountHasAFewPlaces) {
  driver_.settings().max_nicks_per_account = 2;
  EXPECT_EQ(RoleOf("a"), v1::ROLE_NONE);
  Enter("hecate@example.org/1", "a");
  Enter("hecate@example.org/2", "b");
  EXPECT_EQ(RefusalIn(Enter("hecate@example.org/3", "c")), "wait resource-constraint");
  // Another device with one of them takes none, and a nick is changed.
  Enter("hecate@example.org/3", "b");
  EXPECT_EQ(driver_.room().FindNick("b")->sessions_size(), 2);
  driver_.Apply("<presence from='hecate@example.org/1' to='coven@conference.example.org/c'/>");
  EXPECT_EQ(RoleOf("c"), v1::ROLE_PARTICIPANT);
  EXPECT_EQ(driver_.room().FindAccount("hecate@example.org").size(), 2u);
}

}  // namespace
}  // namespace rookery::muc
