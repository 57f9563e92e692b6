// What bounds a room, against those who try to go beyond.
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::HasSubstr;
using testing::kOwner;

class Bounds : public testing::StaffedRoomTest {
 protected:
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

}  // namespace
}  // namespace rookery::muc
