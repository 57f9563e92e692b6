#include "domain/stanzas/leaving.h"

#include "room_fixture.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kCrone;
using testing::kHag;
using ::testing::Not;
using testing::RoomTest;
using ::testing::SizeIs;

class LeavingTest : public RoomTest {
 protected:
  LeavingTest() {
    Gather();
    Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  }
  Said Leave(std::string_view from, std::string_view to = "coven@conference.example.org/thirdwitch",
             std::string_view payload = {}) {
    return driver_.Apply("<presence type='unavailable' from='" + std::string(from) + "' to='" +
                         std::string(to) + "'>" + std::string(payload) + "</presence>");
  }
  Said Fail(const std::string& kind, const std::string& error) {
    return driver_.Apply("<" + kind + " type='error' from='hag66@example.org/pda' id='1' " +
                         "to='coven@conference.example.org/firstwitch'><body>Fire burn</body>" + error +
                         "</" + kind + ">");
  }
  static std::string Error(const std::string& condition) {
    return "<error type='cancel'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
  }
};

// ---- by oneself (XEP-0045 section 7.14)

TEST_F(LeavingTest, IsToldToOneselfWith110AndToAll) {
  const Said said = Leave(kHag);
  ASSERT_THAT(said, SizeIs(2));
  EXPECT_THAT(said[0], AllOf(HasSubstr("to=\"" + kHag + "\""), HasSubstr("<status code=\"110\"/>")));
  EXPECT_THAT(said[1], AllOf(HasSubstr("to=\"" + kCrone + "\""), Not(HasSubstr("<status"))));
  for (const std::string& one : said)
    EXPECT_THAT(one,
                AllOf(HasSubstr("from=\"coven@conference.example.org/thirdwitch\""),
                      HasSubstr("type=\"unavailable\""), HasSubstr("affiliation=\"member\" role=\"none\"")));
  EXPECT_EQ(driver_.room().FindNick("thirdwitch"), nullptr);
}

TEST_F(LeavingTest, SaysWhatTheOccupantSays) {
  const Said said = Leave(kHag, "coven@conference.example.org/thirdwitch",
                          "<status>gone where the goblins go</status>"
                          "<x xmlns='http://jabber.org/protocol/muc#user'><status code='307'/></x>");
  EXPECT_THAT(To(said, kCrone), ElementsAre(AllOf(HasSubstr("<status>gone where the goblins go</status>"),
                                                  Not(HasSubstr("307")))));
}

TEST_F(LeavingTest, IsWhateverNickItIsAddressedTo) {
  EXPECT_THAT(Leave(kHag, "coven@conference.example.org"), SizeIs(2));
  EXPECT_THAT(Leave(kCrone, "coven@conference.example.org/nobody"),
              ElementsAre(HasSubstr("from=\"coven@conference.example.org/firstwitch\"")));
}

// Section 17.3.5.
TEST_F(LeavingTest, OfOneWhoIsNotInIsIgnored) {
  EXPECT_THAT(Leave("hag66@example.org/phone"), IsEmpty());
  EXPECT_THAT(Leave("hag66@example.org"), IsEmpty());
  testing::RoomDriver nowhere;
  EXPECT_THAT(nowhere.Apply("<presence type='unavailable' from='hag66@example.org/pda' "
                            "to='coven@conference.example.org/thirdwitch'/>"),
              IsEmpty());
  EXPECT_FALSE(nowhere.room().exists());
}

TEST_F(LeavingTest, OfOneDeviceIsNotOfAll) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  EXPECT_THAT(Leave("hag66@example.org/phone"),
              ElementsAre(AllOf(HasSubstr("to=\"hag66@example.org/phone\""), HasSubstr("110"))));
  EXPECT_NE(driver_.room().FindSession(kHag), nullptr);
}

TEST_F(LeavingTest, TheLastOneDestroysATemporaryRoom) {
  driver_.config().set_is_persistent(false);
  Leave(kHag);
  EXPECT_TRUE(driver_.room().exists());
  Leave(kCrone);
  EXPECT_FALSE(driver_.room().exists());
}

// Section 10.1.3.
TEST_F(LeavingTest, TheLastOneDestroysARoomThatWasNeverConfiguredAndIsTold) {
  driver_.room().ChangeState().set_is_locked(true);
  const std::string phone = "crone1@example.org/phone";
  driver_.room().AddSession("firstwitch", phone);
  EXPECT_THAT(Leave(kHag), Not(Contains(HasSubstr("<destroy"))));
  EXPECT_THAT(Leave(phone), ElementsAre(Not(HasSubstr("<destroy"))));
  EXPECT_THAT(Leave(kCrone),
              ElementsAre(AllOf(HasSubstr("to=\"" + kCrone + "\""), HasSubstr("type=\"unavailable\""),
                                HasSubstr("affiliation=\"none\" role=\"none\""),
                                HasSubstr("<status code=\"110\"/><destroy/></x>"))));
  EXPECT_FALSE(driver_.room().exists());
}

TEST_F(LeavingTest, AnErrorOfItsLastOneDestroysARoomThatWasNeverConfigured) {
  Leave(kCrone);
  driver_.room().ChangeState().set_is_locked(true);
  EXPECT_THAT(Fail("message", Error("gone")), ElementsAre(HasSubstr("<status code=\"333\"/><destroy/></x>")));
  EXPECT_FALSE(driver_.room().exists());
}

TEST_F(LeavingTest, TheLastOneLeavesAPersistentRoom) {
  Leave(kHag);
  Leave(kCrone);
  EXPECT_TRUE(driver_.room().exists());
}

// ---- by an error (sections 11.1 and 18.1.2)

TEST_F(LeavingTest, OfOneWhomNothingReachesIsToldWith333) {
  const Said said = Fail("message", Error("recipient-unavailable"));
  EXPECT_THAT(To(said, kHag), ElementsAre(HasSubstr("<status code=\"110\"/><status code=\"333\"/>")));
  EXPECT_THAT(To(said, kCrone),
              ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("/thirdwitch\""),
                                HasSubstr("<status code=\"333\"/></x>"), Not(HasSubstr("307")),
                                Not(HasSubstr("Fire burn")))));
  EXPECT_EQ(driver_.room().FindNick("thirdwitch"), nullptr);
}

TEST_F(LeavingTest, FollowsFromErrorsOfDelivery) {
  for (const std::string condition :
       {"gone", "item-not-found", "jid-malformed", "recipient-unavailable", "redirect",
        "remote-server-not-found", "remote-server-timeout", "service-unavailable"}) {
    for (const std::string kind : {"message", "presence"}) {
      if (driver_.room().FindNick("thirdwitch") == nullptr) driver_.Put("thirdwitch", kHag);
      Fail(kind, Error(condition));
      EXPECT_EQ(driver_.room().FindNick("thirdwitch"), nullptr) << kind << condition;
    }
  }
}

TEST_F(LeavingTest, DoesNotFollowFromOtherErrors) {
  for (const std::string condition :
       {"not-acceptable", "forbidden", "not-allowed", "bad-request", "conflict", "feature-not-implemented",
        "policy-violation", "resource-constraint", "undefined-condition", "unheard-of"})
    EXPECT_THAT(Fail("message", Error(condition)), IsEmpty()) << condition;
  for (const std::string malformed :
       {"", "<error/>", "<error type='cancel'><gone/></error>",
        "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>",
        "<error><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>gone</text></error>"})
    EXPECT_THAT(Fail("message", malformed), IsEmpty()) << malformed;
  EXPECT_NE(driver_.room().FindNick("thirdwitch"), nullptr);
}

TEST_F(LeavingTest, DoesNotFollowFromAnAnswerToAnIq) {
  EXPECT_THAT(driver_.Apply("<iq type='error' id='1' from='hag66@example.org/pda' "
                            "to='coven@conference.example.org/firstwitch'>" +
                            Error("service-unavailable") + "</iq>"),
              IsEmpty());
  EXPECT_NE(driver_.room().FindNick("thirdwitch"), nullptr);
}

TEST_F(LeavingTest, AnErrorOfOneWhoIsNotInIsIgnored) {
  const auto fail_at = [&](const std::string& full_jid) {
    return driver_.Apply("<message type='error' from='" + full_jid + "' to='coven@conference.example.org'>" +
                         Error("gone") + "</message>");
  };
  EXPECT_THAT(fail_at("hag66@example.org/phone"), IsEmpty());
  EXPECT_NE(driver_.room().FindSession(kHag), nullptr);
  EXPECT_THAT(fail_at(kHag), Not(IsEmpty())) << "that of one who is in is not";
}

TEST_F(LeavingTest, AnErrorTakesOneDeviceOut) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  const Said said = Fail("message", Error("gone"));
  EXPECT_EQ(driver_.room().FindSession(kHag), nullptr);
  EXPECT_THAT(To(said, kCrone), ElementsAre(AllOf(HasSubstr("jid=\"hag66@example.org/phone\""),
                                                  Not(HasSubstr("unavailable")), Not(HasSubstr("333")))));
}

}  // namespace
}  // namespace rookery::muc
