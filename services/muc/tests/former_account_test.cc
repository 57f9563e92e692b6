#include "domain/affiliations/former_account.h"

#include "rookery/events/account_generation.h"
#include "room_fixture.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

/// The accounts that the name crone1@example.org has, one after the other.
constexpr std::uint64_t kFirst = 0x8000000000000001, kSecond = 7;

/// A room for members that the first account has made.
class FormerAccountTest : public RoomTest {
 protected:
  FormerAccountTest() {
    driver_.SetAccountGeneration(kFirst);
    Enter(kCrone, "firstwitch");
    room().ChangeState().set_is_locked(false);
    config().set_is_persistent(true);
  }
  Said Enter(const std::string& full_jid, std::string_view nick) {
    return driver_.Apply("<presence xmlns='jabber:client' id='" + std::string(kId) + "' from='" + full_jid +
                         "' to='" + kRoom + "/" + std::string(nick) +
                         "'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
  }
  Said Leave(const std::string& full_jid, std::string_view nick) {
    return driver_.Apply("<presence xmlns='jabber:client' type='unavailable' from='" + full_jid + "' to='" +
                         kRoom + "/" + std::string(nick) + "'/>");
  }
  /// By the room's owner, as which the first account says it.
  void Give(const std::string& bare, const std::string& affiliation) {
    driver_.SetAccountGeneration(kFirst);
    const Said said =
        driver_.Apply("<iq xmlns='jabber:client' type='set' id='1' from='" + std::string(kCrone) + "' to='" +
                      kRoom + "'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='" +
                      affiliation + "' jid='" + bare + "'/></query></iq>");
    EXPECT_THAT(To(said, kCrone), Contains(HasSubstr("type=\"result\"")));
  }
  v1::Affiliation AffiliationOfCrone() { return room().AffiliationOf("crone1@example.org"); }
};

TEST_F(FormerAccountTest, ItsAffiliationIsNotTheNextOnes) {
  config().set_is_members_only(true);
  Leave(kCrone, "firstwitch");
  EXPECT_THAT(Enter(kCrone, "firstwitch"), Not(IsEmpty())) << "it is still the first one";
  EXPECT_EQ(AffiliationOfCrone(), v1::AFFILIATION_OWNER);
  Leave(kCrone, "firstwitch");
  driver_.SetAccountGeneration(kSecond);
  EXPECT_THAT(Enter(kCrone, "firstwitch"), IsRefused("auth", "registration-required"));
  EXPECT_EQ(AffiliationOfCrone(), v1::AFFILIATION_NONE);
}

TEST_F(FormerAccountTest, WhatTheNextOneIsGivenStays) {
  Leave(kCrone, "firstwitch");
  driver_.SetAccountGeneration(kSecond);
  Enter(kCrone, "firstwitch");
  Affiliate("crone1@example.org", v1::AFFILIATION_MEMBER);
  Leave(kCrone, "firstwitch");
  Enter(kCrone, "firstwitch");
  EXPECT_EQ(AffiliationOfCrone(), v1::AFFILIATION_MEMBER);
}

TEST_F(FormerAccountTest, ItsReservedNickAndHatsAreFree) {
  room().SetReservedNick("crone1@example.org", "firstwitch");
  room().ChangeAffiliated("crone1@example.org").add_hats()->set_uri("urn:example:hat");
  Leave(kCrone, "firstwitch");
  driver_.SetAccountGeneration(kSecond);
  Enter(kCrone, "other");
  EXPECT_EQ(room().FindReserved("firstwitch"), nullptr);
  EXPECT_THAT(room().FindAffiliated("crone1@example.org")->hats(), IsEmpty());
}

TEST_F(FormerAccountTest, ItsOccupantsGo) {
  Put("thirdwitch", kHag);
  driver_.SetAccountGeneration(kSecond);
  const std::string desk = "crone1@example.org/desk";
  const Said said = Enter(desk, "newwitch");
  EXPECT_EQ(room().FindNick("firstwitch"), nullptr);
  EXPECT_NE(room().FindSession(desk), nullptr);
  EXPECT_THAT(To(said, kHag), ElementsAre(HasSubstr("type=\"unavailable\""), HasSubstr("/newwitch\"")));
}

TEST_F(FormerAccountTest, ABanStays) {
  Leave(kCrone, "firstwitch");
  Affiliate("crone1@example.org", v1::AFFILIATION_OUTCAST);
  driver_.SetAccountGeneration(kSecond);
  EXPECT_THAT(Enter(kCrone, "firstwitch"), IsRefused("auth", "forbidden"));
  EXPECT_EQ(AffiliationOfCrone(), v1::AFFILIATION_OUTCAST);
}

TEST_F(FormerAccountTest, WhoWasGivenAnAffiliationIsWhoSaysSomethingFirst) {
  config().set_is_members_only(true);
  Affiliate("wiccarocks@example.org", v1::AFFILIATION_MEMBER);
  driver_.SetAccountGeneration(kSecond);
  Enter(kWicca, "secondwitch");
  EXPECT_NE(room().FindSession(kWicca), nullptr);
  Leave(kWicca, "secondwitch");
  driver_.SetAccountGeneration(kFirst);
  const Said said = Enter(kWicca, "secondwitch");
  ASSERT_EQ(said.size(), 2u);
  // Who sees addresses hears of the change (XEP-0463 section 5.2.2).
  EXPECT_THAT(said[0], AllOf(HasSubstr(" to=\"" + kCrone + "\""), HasSubstr("affiliation=\"none\""),
                             HasSubstr("<mav xmlns=\"urn:xmpp:muc:affiliations:1\"")));
  EXPECT_THAT(Said{said[1]}, IsRefused("auth", "registration-required"));
}

/// As above, of an account that says when it was made.
TEST_F(FormerAccountTest, WhatWasGivenBeforeTheAccountWasMadeIsNotMeantForIt) {
  config().set_is_members_only(true);
  Give("wiccarocks@example.org", "member");
  driver_.Pass(60'000);
  const std::uint64_t generation = events::MakeAccountGeneration(driver_.now_ms());
  driver_.SetAccountGeneration(generation);
  EXPECT_THAT(To(Enter(kWicca, "secondwitch"), kWicca), IsRefused("auth", "registration-required"));
  EXPECT_EQ(room().AffiliationOf("wiccarocks@example.org"), v1::AFFILIATION_NONE);
  // It has it like everybody else when it is given to it.
  Give("wiccarocks@example.org", "member");
  driver_.SetAccountGeneration(generation);
  Enter(kWicca, "secondwitch");
  EXPECT_NE(room().FindSession(kWicca), nullptr);
}

TEST_F(FormerAccountTest, WhatWasGivenToTheAccountBeforeItsFirstWordIsItsOwn) {
  config().set_is_members_only(true);
  const std::uint64_t generation = events::MakeAccountGeneration(driver_.now_ms());
  driver_.Pass(60'000);
  Give("wiccarocks@example.org", "member");
  driver_.Pass(60'000);
  driver_.SetAccountGeneration(generation);
  Enter(kWicca, "secondwitch");
  EXPECT_NE(room().FindSession(kWicca), nullptr);
}

/// The first account had nothing any more when the second one was given something.
TEST_F(FormerAccountTest, WhatTheNextOneIsGivenBeforeItsFirstWordStays) {
  config().set_is_members_only(true);
  Give("wiccarocks@example.org", "member");
  Enter(kWicca, "secondwitch");
  Leave(kWicca, "secondwitch");
  Give("wiccarocks@example.org", "none");
  const std::uint64_t next = events::MakeAccountGeneration(driver_.now_ms());
  Give("wiccarocks@example.org", "member");
  driver_.SetAccountGeneration(next);
  Enter(kWicca, "secondwitch");
  EXPECT_NE(room().FindSession(kWicca), nullptr);
}

TEST_F(FormerAccountTest, WhatTheNextOneIsGivenBeforeItsFirstWordIsAllThatItHas) {
  const std::string wicca = "wiccarocks@example.org";
  driver_.SetAccountGeneration(kFirst);
  Enter(kWicca, "secondwitch");
  Give(wicca, "member");
  Leave(kWicca, "secondwitch");
  room().SetReservedNick(wicca, "secondwitch");
  v1::Affiliated& entry = room().ChangeAffiliated(wicca);
  v1::Hat& older = *entry.add_hats();
  older.set_uri("urn:example:older");
  older.set_given_at_ms(driver_.now_ms());
  driver_.Pass(60'000);
  const std::uint64_t next = events::MakeAccountGeneration(driver_.now_ms());
  driver_.Pass(60'000);
  Give(wicca, "admin");
  v1::Hat& newer = *entry.add_hats();
  newer.set_uri("urn:example:newer");
  newer.set_given_at_ms(driver_.now_ms());
  driver_.SetAccountGeneration(next);
  Enter(kWicca, "other");
  EXPECT_EQ(room().AffiliationOf(wicca), v1::AFFILIATION_ADMIN);
  EXPECT_EQ(room().FindReserved("secondwitch"), nullptr);
  ASSERT_THAT(room().FindAffiliated(wicca)->hats(), SizeIs(1));
  EXPECT_EQ(room().FindAffiliated(wicca)->hats(0).uri(), "urn:example:newer");
}

/// Somebody who sees the list of members and gives the same again means who has the name now.
TEST_F(FormerAccountTest, WhatIsGivenOnceMoreIsMeantForWhoHasTheNameNow) {
  const std::string wicca = "wiccarocks@example.org";
  Give(wicca, "member");
  driver_.Pass(60'000);
  const std::uint64_t generation = events::MakeAccountGeneration(driver_.now_ms());
  driver_.Pass(60'000);
  Give(wicca, "member");
  driver_.SetAccountGeneration(generation);
  Enter(kWicca, "secondwitch");
  EXPECT_EQ(room().AffiliationOf(wicca), v1::AFFILIATION_MEMBER);
}

TEST_F(FormerAccountTest, ItsKeptVoiceIsNotTheNextOnes) {
  config().set_is_moderated(true);
  const auto come_back = [&] {
    Leave(kWicca, "secondwitch");
    Enter(kWicca, "secondwitch");
    return room().FindNick("secondwitch")->role();
  };
  Enter(kWicca, "secondwitch");
  room().ChangeOccupant("secondwitch")->set_role(v1::ROLE_PARTICIPANT);
  EXPECT_EQ(come_back(), v1::ROLE_PARTICIPANT);
  Leave(kWicca, "secondwitch");
  driver_.SetAccountGeneration(kSecond);
  Enter(kWicca, "secondwitch");
  EXPECT_EQ(room().FindNick("secondwitch")->role(), v1::ROLE_VISITOR);
}

TEST_F(FormerAccountTest, NobodyKnowsWhichAccountItIs_NothingIsTaken) {
  Leave(kCrone, "firstwitch");
  driver_.SetAccountGeneration(0);
  Enter(kCrone, "firstwitch");
  EXPECT_EQ(AffiliationOfCrone(), v1::AFFILIATION_OWNER);
}

TEST_F(FormerAccountTest, WhatItSaidIsNotTheNextOnesToRetract) {
  const auto say = [&](const std::string& payload) {
    return driver_.Apply("<message xmlns='jabber:client' type='groupchat' id='" + std::string(kId) +
                         "' from='" + kCrone + "' to='" + kRoom + "'>" + payload + "</message>");
  };
  say("<body>hi</body>");
  const std::string id = std::to_string(room().history().back().archive_id());
  const std::string retraction =
      "<retract xmlns='urn:xmpp:message-retract:1' id='" + id + "'/><body>taken back</body>";
  Leave(kCrone, "firstwitch");
  driver_.SetAccountGeneration(kSecond);
  Enter(kCrone, "firstwitch");
  EXPECT_THAT(say(retraction), ElementsAre(HasSubstr("<error ")));
  Leave(kCrone, "firstwitch");
  driver_.SetAccountGeneration(kFirst);
  Enter(kCrone, "firstwitch");
  EXPECT_THAT(say(retraction), ElementsAre(HasSubstr("<retract ")));
}

// XEP-0421: who says something as an occupant is not who said something before.
TEST_F(FormerAccountTest, TheNextOneHasAnotherOccupantId) {
  const std::string id = room().FindNick("firstwitch")->occupant_id();
  Leave(kCrone, "firstwitch");
  Enter(kCrone, "firstwitch");
  EXPECT_EQ(room().FindNick("firstwitch")->occupant_id(), id);
  Leave(kCrone, "firstwitch");
  driver_.SetAccountGeneration(kSecond);
  Enter(kCrone, "firstwitch");
  EXPECT_NE(room().FindNick("firstwitch")->occupant_id(), id);
}

}  // namespace
}  // namespace rookery::muc
