#include "domain/occupants/occupant_iqs.h"

#include "room_fixture.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kCrone;
using testing::kHag;
using ::testing::Not;
using testing::RoomTest;
using ::testing::SizeIs;

constexpr std::string_view kPing = "<ping xmlns='urn:xmpp:ping'/>";
constexpr std::string_view kVersion = "<query xmlns='jabber:iq:version'/>";

class OccupantIqsTest : public RoomTest {
 protected:
  OccupantIqsTest() { Gather(); }
  Said Ask(std::string_view from, std::string_view nick, std::string_view payload,
           const std::string& id = "n13mt3l", const std::string& type = "get") {
    return driver_.Apply(Iq(type, from, nick, id, payload));
  }
  static std::string Iq(const std::string& type, std::string_view from, std::string_view nick,
                        const std::string& id, std::string_view payload) {
    return "<iq type='" + type + "' id='" + id + "' from='" + std::string(from) +
           "' to='coven@conference.example.org/" + std::string(nick) + "'>" + std::string(payload) + "</iq>";
  }
  /// The id under which the request that is said went on.
  std::string RelayedId() { return driver_.outcome().said.front().stanza.id(); }
};

// ---- XEP-0410

TEST_F(OccupantIqsTest, APingOfOnesOwnNickIsAnsweredByTheRoom) {
  EXPECT_THAT(Ask(kHag, "thirdwitch", kPing),
              ElementsAre("<iq from=\"coven@conference.example.org/thirdwitch\" to=\"hag66@example.org/pda\" "
                          "id=\"n13mt3l\" type=\"result\"/>"));
}

TEST_F(OccupantIqsTest, APingOfOneWhoIsNotInIsNotAcceptable) {
  // Another device of the account, somebody else, and of a nick that nobody has.
  EXPECT_THAT(Ask("hag66@example.org/phone", "thirdwitch", kPing), IsRefused("cancel", "not-acceptable"));
  EXPECT_THAT(Ask("wiccarocks@example.org/x", "thirdwitch", kPing), IsRefused("cancel", "not-acceptable"));
  EXPECT_THAT(Ask("wiccarocks@example.org/x", "nobody", kPing), IsRefused("cancel", "not-acceptable"));
  testing::RoomDriver nowhere;
  EXPECT_THAT(nowhere.Apply(Iq("get", kHag, "thirdwitch", "n13mt3l", kPing)),
              IsRefused("cancel", "not-acceptable"));
}

TEST_F(OccupantIqsTest, APingOfANickThatWasChangedFindsNobody) {
  driver_.room().Rename("thirdwitch", "oldhag");
  EXPECT_THAT(Ask(kHag, "thirdwitch", kPing), IsRefused("cancel", "item-not-found"));
}

// XEP-0199.
TEST_F(OccupantIqsTest, APingOfTheRoomIsAnsweredToAnybody) {
  for (const std::string& from : {kHag, std::string("wiccarocks@example.org/x")})
    EXPECT_THAT(driver_.Apply("<iq type='get' id='n13mt3l' from='" + from +
                              "' to='coven@conference.example.org'>" + std::string(kPing) + "</iq>"),
                ElementsAre(HasSubstr("type=\"result\"/>")));
}

// ---- XEP-0045 section 17.4.3

TEST_F(OccupantIqsTest, ARequestGoesToOneSessionAndItsAnswerBack) {
  driver_.room().AddSession("firstwitch", "crone1@example.org/phone");
  EXPECT_THAT(Ask(kHag, "firstwitch", kVersion),
              ElementsAre(AllOf(HasSubstr("from=\"coven@conference.example.org/thirdwitch\""),
                                HasSubstr("to=\"" + kCrone + "\""), HasSubstr("type=\"get\""),
                                HasSubstr("<query xmlns=\"jabber:iq:version\"/>"), Not(HasSubstr("hag66")))));
  EXPECT_EQ(driver_.outcome().said[0].stanza.payload_namespace(), "jabber:iq:version");
  EXPECT_THAT(
      Ask(kCrone, "thirdwitch", "<query xmlns='jabber:iq:version'><name>Cauldron</name></query>", RelayedId(),
          "result"),
      ElementsAre("<iq from=\"coven@conference.example.org/firstwitch\" to=\"hag66@example.org/pda\" "
                  "id=\"n13mt3l\" type=\"result\"><query xmlns=\"jabber:iq:version\"><name>Cauldron</name>"
                  "</query></iq>"));
}

TEST_F(OccupantIqsTest, AnAnswerGoesToTheSessionThatHasAsked) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  Ask("hag66@example.org/phone", "firstwitch", kVersion);
  EXPECT_THAT(Ask(kCrone, "thirdwitch", {}, RelayedId(), "result"),
              ElementsAre(HasSubstr("to=\"hag66@example.org/phone\"")));
}

TEST_F(OccupantIqsTest, AnAnswerIsFromTheNickThatWasAsked) {
  Ask(kHag, "firstwitch", kVersion);
  const std::string id = RelayedId();
  driver_.room().Rename("firstwitch", "oldhag");
  EXPECT_THAT(Ask(kCrone, "thirdwitch", {}, id, "result"),
              ElementsAre(HasSubstr("from=\"coven@conference.example.org/firstwitch\"")));
}

TEST_F(OccupantIqsTest, AnAnswerIsNotGivenAnyNumberOfTimes) {
  driver_.settings().max_stanzas = 3;
  Ask(kHag, "firstwitch", kVersion);
  const std::string answer = Iq("result", kCrone, "thirdwitch", RelayedId(), {});
  for (int i = 0; i < 3; ++i) EXPECT_THAT(driver_.ApplyOfClient(answer), SizeIs(1));
  EXPECT_THAT(driver_.ApplyOfClient(answer), IsEmpty());
  // Who has asked less is answered.
  Put("secondwitch", "wiccarocks@example.org/laptop");
  Ask("wiccarocks@example.org/laptop", "firstwitch", kVersion);
  EXPECT_THAT(driver_.ApplyOfClient(Iq("result", kCrone, "secondwitch", RelayedId(), {})), SizeIs(1));
}

TEST_F(OccupantIqsTest, AnAnswerFindsWhoHasAskedUnderAnotherNick) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  Ask(kHag, "firstwitch", kVersion);
  const std::string id = RelayedId();
  driver_.room().Rename("thirdwitch", "oldhag");
  EXPECT_THAT(Ask(kCrone, "thirdwitch", {}, id, "result"), ElementsAre(HasSubstr("to=\"" + kHag + "\"")));
  // Also where somebody else has it now.
  driver_.Put("thirdwitch", "wiccarocks@example.org/x");
  EXPECT_THAT(Ask(kCrone, "thirdwitch", {}, id, "result"), ElementsAre(HasSubstr("to=\"" + kHag + "\"")));
}

TEST_F(OccupantIqsTest, TheNextOwnerOfTheRoomPassesAnAnswerOn) {
  Ask(kHag, "firstwitch", kVersion);
  testing::RoomDriver next;
  next.Create();
  next.Put("thirdwitch", kHag);
  // The one who was asked is gone: its server says so.
  EXPECT_THAT(next.Apply(Iq("error", kCrone, "thirdwitch", RelayedId(),
                            "<error type='cancel'><service-unavailable "
                            "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")),
              ElementsAre(AllOf(HasSubstr("to=\"" + kHag + "\""), HasSubstr("id=\"n13mt3l\""),
                                HasSubstr("<service-unavailable "))));
}

// XEP-0054: the account's server answers.
TEST_F(OccupantIqsTest, ARequestForAVcardGoesToTheAccount) {
  EXPECT_THAT(Ask(kHag, "firstwitch", "<vCard xmlns='vcard-temp'/>"),
              ElementsAre(HasSubstr("to=\"crone1@example.org\"")));
  EXPECT_THAT(
      Ask("crone1@example.org", "thirdwitch", "<vCard xmlns='vcard-temp'><FN>Crone</FN></vCard>", RelayedId(),
          "result"),
      ElementsAre(AllOf(HasSubstr("from=\"coven@conference.example.org/firstwitch\""),
                        HasSubstr("to=\"" + kHag + "\""), HasSubstr("Crone"), Not(HasSubstr("crone1")))));
}

TEST_F(OccupantIqsTest, AnErrorNamesNoAddress) {
  Ask(kHag, "firstwitch", kVersion);
  const Said said = Ask(kCrone, "thirdwitch",
                        "<error type='cancel' by='crone1@example.org'>"
                        "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:crone1@example.org</gone>"
                        "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>crone1@example.org has gone</text>"
                        "<broken xmlns='urn:example:cauldron'/></error>",
                        RelayedId(), "error");
  EXPECT_THAT(said, ElementsAre(AllOf(HasSubstr("<error type=\"cancel\"><gone "
                                                "xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/>"
                                                "<broken xmlns=\"urn:example:cauldron\"/></error>"),
                                      Not(HasSubstr("crone1")))));
}

TEST_F(OccupantIqsTest, APingOfAnotherGoesToIt) {
  EXPECT_THAT(Ask(kHag, "firstwitch", kPing), ElementsAre(HasSubstr("to=\"" + kCrone + "\"")));
}

TEST_F(OccupantIqsTest, RequestsOfThoseWhoAreNotInAreNotAcceptable) {
  EXPECT_THAT(Ask("wiccarocks@example.org/x", "firstwitch", kVersion), IsRefused("cancel", "not-acceptable"));
  EXPECT_THAT(Ask("wiccarocks@example.org/x", "firstwitch", kVersion, "n13mt3l", "set"),
              IsRefused("cancel", "not-acceptable"));
}

// XEP-0045 section 6.6.
TEST_F(OccupantIqsTest, DiscoOfThoseWhoAreNotInIsABadRequest) {
  for (const std::string what : {"info", "items"})
    EXPECT_THAT(Ask("wiccarocks@example.org/x", "firstwitch",
                    "<query xmlns='http://jabber.org/protocol/disco#" + what + "'/>"),
                IsRefused("modify", "bad-request"));
}

TEST_F(OccupantIqsTest, ARequestToNobodyFindsNobody) {
  EXPECT_THAT(Ask(kHag, "nobody", kVersion), IsRefused("cancel", "item-not-found"));
}

// ---- hostile

TEST_F(OccupantIqsTest, NobodyElseCanAnswer) {
  driver_.Put("secondwitch", "wiccarocks@example.org/x");
  Ask(kHag, "firstwitch", kVersion);
  const std::string id = RelayedId();
  EXPECT_THAT(Ask("wiccarocks@example.org/x", "thirdwitch", {}, id, "result"), IsEmpty());
  // Nor is it given to another than who has asked.
  for (const char* nick : {"secondwitch", "nobody", "thirdwitch"})
    EXPECT_THAT(Ask(kCrone, nick, {}, id, "result"), ElementsAre(HasSubstr("to=\"" + kHag + "\""))) << nick;
  driver_.room().RemoveSession(kHag);
  driver_.Put("thirdwitch", "hag66@example.org/other");
  EXPECT_THAT(Ask(kCrone, "thirdwitch", {}, id, "result"), IsEmpty());
}

TEST_F(OccupantIqsTest, AnIdThatTheRoomHasNotMadeIsIgnored) {
  Ask(kHag, "firstwitch", kVersion);
  const std::string id = RelayedId();
  for (std::size_t i = 0; i < id.size(); ++i) {
    std::string changed = id;
    changed[i] = changed[i] == 'A' ? 'Q' : 'A';
    EXPECT_THAT(Ask(kCrone, "thirdwitch", {}, changed, "result"), IsEmpty()) << i;
  }
  for (const std::string& forged : {std::string(), std::string("n13mt3l"), id + id, id.substr(0, 20),
                                    std::string(1023, 'A'), std::string("not base64!")})
    EXPECT_THAT(Ask(kCrone, "thirdwitch", {}, forged, "result"), IsEmpty()) << forged;
  // Nor in another room.
  testing::RoomDriver other("heath@conference.example.org");
  other.Create();
  other.Put("firstwitch", kCrone);
  other.Put("thirdwitch", kHag);
  EXPECT_THAT(other.Apply(Iq("result", kCrone, "thirdwitch", id, {})), IsEmpty());
}

TEST_F(OccupantIqsTest, AnIdThatCannotBePassedOnIsRefused) {
  EXPECT_THAT(Ask(kHag, "firstwitch", kVersion, std::string(600, 'i')), SizeIs(1));
  EXPECT_LE(RelayedId().size(), 1023u);
  EXPECT_EQ(driver_.outcome().said[0].stanza.type(), "get");
  EXPECT_THAT(Ask(kHag, "firstwitch", kVersion, std::string(1023, 'i')),
              ElementsAre(HasSubstr(
                  "<error type=\"modify\" by=\"coven@conference.example.org\"><policy-violation ")));
}

}  // namespace
}  // namespace rookery::muc
