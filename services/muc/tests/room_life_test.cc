// One room from its making to its end, through all use cases together.

#include "room_fixture.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kCrone;
using testing::kHag;
using ::testing::Not;
using testing::RoomTest;

class RoomLife : public RoomTest {
 protected:
  Said Enter(const std::string& from, const std::string& nick, const std::string& in_x = {}) {
    return driver_.Apply("<presence from='" + from + "' to='coven@conference.example.org/" + nick +
                         "'><x xmlns='http://jabber.org/protocol/muc'>" + in_x + "</x></presence>");
  }
  Said Iq(const std::string& from, const std::string& type, const std::string& payload) {
    return driver_.Apply("<iq type='" + type + "' id='1' from='" + from +
                         "' to='coven@conference.example.org'>" + payload + "</iq>");
  }
  Said Own(const std::string& from, const std::string& child) {
    return Iq(from, "set", "<query xmlns='http://jabber.org/protocol/muc#owner'>" + child + "</query>");
  }
  Said Administer(const std::string& from, const std::string& items) {
    return Iq(from, "set", "<query xmlns='http://jabber.org/protocol/muc#admin'>" + items + "</query>");
  }
};

// XEP-0045 sections 10.1.2, 7.2, 9.1, 7.2.7 and 10.9.
TEST_F(RoomLife, IsMadeAndEnteredAndEnded) {
  EXPECT_THAT(
      To(Enter(kCrone, "firstwitch"), kCrone),
      Contains(AllOf(HasSubstr("affiliation=\"owner\" role=\"moderator\""), HasSubstr("code=\"201\""))));
  EXPECT_THAT(Enter(kHag, "thirdwitch"), ElementsAre(HasSubstr("<item-not-found")));
  EXPECT_THAT(Own(kCrone, "<x xmlns='jabber:x:data' type='submit'/>"), ElementsAre(HasSubstr("result")));
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag), Contains(HasSubstr("code=\"110\"")));
  EXPECT_THAT(To(Administer(kCrone, "<item affiliation='outcast' jid='hag66@example.org'/>"), kHag),
              ElementsAre(HasSubstr("code=\"301\"")));
  EXPECT_THAT(Enter(kHag, "thirdwitch"), ElementsAre(HasSubstr("<forbidden")));
  EXPECT_THAT(To(Own(kCrone, "<destroy/>"), kCrone),
              ElementsAre(HasSubstr("<destroy>"), HasSubstr("result")));
  EXPECT_FALSE(driver_.room().exists());
}

// Section 10.1.3: of a room that was cancelled another one may be made.
TEST_F(RoomLife, BeginsAnewAfterItWasCancelled) {
  Enter(kCrone, "firstwitch");
  Own(kCrone, "<x xmlns='jabber:x:data' type='cancel'/>");
  EXPECT_FALSE(driver_.room().exists());
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag), Contains(HasSubstr("code=\"201\"")));
}

// Section 10.2: who may be in a members-only room is asked at the entrance, too.
TEST_F(RoomLife, MembershipIsWhatAMembersOnlyRoomIsEnteredWith) {
  Enter(kCrone, "firstwitch");
  Own(kCrone,
      "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_membersonly'><value>1</value>"
      "</field></x>");
  EXPECT_THAT(Enter(kHag, "thirdwitch"), ElementsAre(HasSubstr("<registration-required")));
  // Section 7.10: who asks is let in by an admin.
  const Said asked = Iq(kHag, "set",
                        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>"
                        "<field var='muc#register_roomnick'><value>thirdwitch</value></field></x></query>");
  ASSERT_THAT(To(asked, kCrone), ElementsAre(HasSubstr("muc#register_allow")));
  std::string form = To(asked, kCrone).front();
  form = form.substr(form.find("<x "), form.find("</message>") - form.find("<x "));
  form.replace(form.find("type=\"form\""), 11, "type=\"submit\"");
  const std::string no = "<value>0</value>";
  form.replace(form.rfind(no), no.size(), "<value>1</value>");
  EXPECT_THAT(To(driver_.Apply("<message from='" + std::string(kCrone) +
                               "' to='coven@conference.example.org' id='a'>" + form + "</message>"),
                 "hag66@example.org"),
              ElementsAre(HasSubstr("<invite ")));
  // With the reserved nick, which nobody else has.
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag), Contains(HasSubstr("affiliation=\"member\"")));
}

// XEP-0463: what a client has kept of a room is of no use for the next one of its name.
TEST_F(RoomLife, VersionsOfAnEarlierRoomAreUnknown) {
  const std::string ask = "<mav xmlns='urn:xmpp:muc:affiliations:1' since='";
  Enter(kCrone, "firstwitch");
  Own(kCrone, "<x xmlns='jabber:x:data' type='submit'/>");
  Administer(kCrone, "<item affiliation='admin' jid='hag66@example.org'/>");
  const std::uint64_t version = driver_.room().state().affiliation_version();
  EXPECT_THAT(To(Enter(kHag, "thirdwitch", ask + std::to_string(version) + "'/>"), kHag),
              AllOf(Not(Contains(HasSubstr("<item jid="))),
                    Contains(HasSubstr("until=\"" + std::to_string(version) + "\"/></x>"))));
  Own(kCrone, "<destroy/>");
  driver_.Pass(1000);
  Enter(kCrone, "firstwitch");
  EXPECT_GT(driver_.room().state().affiliation_version(), version);
  // The owner's client, which has lost its place, knows the old version.
  const Said said = To(Enter(kCrone, "firstwitch", ask + std::to_string(version) + "'/>"), kCrone);
  EXPECT_THAT(said.front(), AllOf(HasSubstr("<message"), Not(HasSubstr("since=")),
                                  HasSubstr("<item jid=\"crone1@example.org\" affiliation=\"owner\"/></x>")));
}

// XEP-0317: hats are worn on entering, too.
TEST_F(RoomLife, HatsAreWornFromTheEntranceOn) {
  Enter(kCrone, "firstwitch");
  Own(kCrone, "<x xmlns='jabber:x:data' type='submit'/>");
  const auto command = [&](const std::string& node, const std::string& fields) {
    Iq(kCrone, "set",
       "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:hats:commands:" + node +
           "'><x xmlns='jabber:x:data' type='submit'>" + fields + "</x></command>");
  };
  command("create",
          "<field var='hats#title'><value>Host</value></field>"
          "<field var='hats#uri'><value>urn:host</value></field>");
  command("assign",
          "<field var='hats#jid'><value>hag66@example.org</value></field>"
          "<field var='hats#uri'><value>urn:host</value></field>");
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kCrone),
              ElementsAre(HasSubstr(
                  "<hats xmlns=\"urn:xmpp:hats:0\"><hat title=\"Host\" uri=\"urn:host\"/></hats>")));
}

// Section 7.8.2: who is invited to a members-only room hears it once.
TEST_F(RoomLife, WhoIsInvitedIsInvitedOnce) {
  Enter(kCrone, "firstwitch");
  Own(kCrone,
      "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_membersonly'><value>1</value>"
      "</field></x>");
  const Said said =
      driver_.Apply("<message from='" + std::string(kCrone) +
                    "' to='coven@conference.example.org' id='i'><x xmlns='http://jabber.org/protocol/"
                    "muc#user'><invite to='hag66@example.org'/></x></message>");
  EXPECT_THAT(To(said, "hag66@example.org"), ElementsAre(HasSubstr("<invite ")));
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag), Contains(HasSubstr("affiliation=\"member\"")));
}

}  // namespace
}  // namespace rookery::muc
