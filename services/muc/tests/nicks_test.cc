#include "domain/occupants/nicks.h"

#include <gtest/gtest.h>

#include <string>

#include "room_driver.h"

namespace rookery::muc {
namespace {

constexpr std::string_view kNudge = "<presence from='x@example.org/x' to='coven@conference.example.org/x'/>";

class NicksTest : public ::testing::Test {
 protected:
  NicksTest() { driver_.Create(); }
  std::optional<xmpp::ErrorCondition> Refusal(std::string_view nick, std::string_view bare) {
    std::optional<xmpp::ErrorCondition> refusal;
    driver_.Do(kNudge, [&](Turn& turn) { refusal = RefusalOfNick(turn, nick, bare); });
    return refusal;
  }
  testing::RoomDriver driver_;
};

TEST_F(NicksTest, AreFreeWhereNobodyElseHasThem) {
  driver_.Put("Paul", "paul@example.org/x");
  EXPECT_EQ(Refusal("Paul", "paul@example.org"), std::nullopt);
  EXPECT_EQ(Refusal("Paul", "hag66@example.org"), xmpp::ErrorCondition::kConflict);
  EXPECT_EQ(Refusal("Pau1", "hag66@example.org"), xmpp::ErrorCondition::kConflict);
  EXPECT_EQ(Refusal("Pau1", "paul@example.org"), std::nullopt);
  EXPECT_EQ(Refusal("Paula", "hag66@example.org"), std::nullopt);
  EXPECT_EQ(Refusal("\u53e4\u4ee3", "hag66@example.org"), std::nullopt);
}

TEST_F(NicksTest, OfSeveralScriptsAreWhatTheOperatorAdmits) {
  const std::string mixed = "DJ \u0418\u0432\u0430\u043d";
  EXPECT_EQ(Refusal(mixed, "hag66@example.org"), xmpp::ErrorCondition::kNotAcceptable);
  driver_.settings().admits_mixed_scripts = true;
  EXPECT_EQ(Refusal(mixed, "hag66@example.org"), std::nullopt);
  // A nick that looks like another's is refused all the same.
  driver_.Put("paul", "paul@example.org/x");
  EXPECT_EQ(Refusal("p\u0430ul", "hag66@example.org"), xmpp::ErrorCondition::kConflict);
  EXPECT_EQ(Refusal(std::string(257, 'a'), "hag66@example.org"), xmpp::ErrorCondition::kNotAcceptable);
}

TEST_F(NicksTest, AreFreeAgainWhenTheyAreGivenUp) {
  Room& room = driver_.room();
  driver_.Put("Paul", "paul@example.org/x");
  room.SetReservedNick("paul@example.org", "Paul");
  room.RemoveOccupant("Paul");
  EXPECT_TRUE(room.IsOfAnother("Pau1", "hag66@example.org"));
  room.SetReservedNick("paul@example.org", "Saul");
  EXPECT_FALSE(room.IsOfAnother("Pau1", "hag66@example.org"));
  EXPECT_TRUE(room.IsOfAnother("Saul", "hag66@example.org"));
  room.ForgetAffiliated("paul@example.org");
  EXPECT_FALSE(room.IsOfAnother("Saul", "hag66@example.org"));
  driver_.Put("Paul", "paul@example.org/x");
  room.Rename("Paul", "Saul");
  EXPECT_FALSE(room.IsOfAnother("Paul", "hag66@example.org"));
  EXPECT_TRUE(room.IsOfAnother("Saul", "hag66@example.org"));
  EXPECT_TRUE(room.RemoveSession("paul@example.org/x"));
  EXPECT_FALSE(room.IsOfAnother("Saul", "hag66@example.org"));
}

TEST_F(NicksTest, OfAnAccountAreKnownByIt) {
  Room& room = driver_.room();
  driver_.Put("b", "hag66@example.org/x");
  driver_.Put("a", "hag66@example.org/y");
  driver_.Put("c", "paul@example.org/x");
  ASSERT_EQ(room.FindAccount("hag66@example.org").size(), 2u);
  EXPECT_EQ(room.FindAccount("hag66@example.org")[0]->nick(), "a");
  room.Rename("a", "d");
  EXPECT_EQ(room.FindAccount("hag66@example.org")[1]->nick(), "d");
  room.RemoveOccupant("d");
  EXPECT_TRUE(room.RemoveSession("hag66@example.org/x"));
  EXPECT_TRUE(room.FindAccount("hag66@example.org").empty());
}

TEST_F(NicksTest, AreKnownToTheNextOwner) {
  driver_.Put("Paul", "paul@example.org/x");
  driver_.room().SetReservedNick("saul@example.org", "Saul");
  const RoomChanges changes = driver_.room().TakeChanges();
  const Room again(StoredRoom{.room = changes.room,
                              .state = changes.state,
                              .affiliations = changes.affiliations,
                              .occupants = changes.occupants,
                              .history = {}});
  EXPECT_TRUE(again.IsOfAnother("Pau1", "hag66@example.org"));
  EXPECT_TRUE(again.IsOfAnother("Sau1", "hag66@example.org"));
  EXPECT_EQ(again.FindAccount("paul@example.org").size(), 1u);
}

TEST_F(NicksTest, ChangesAreCountedForAllOfAnAccountsNicks) {
  driver_.settings().max_changes = 3;
  driver_.Put("a", "hag66@example.org/x");
  driver_.Put("b", "hag66@example.org/y");
  driver_.Do(kNudge, [](Turn& turn) {
    for (int i = 0; i < 3; ++i) {
      const Changes changes(turn, "hag66@example.org");
      EXPECT_TRUE(changes.may_change());
      changes.Add(turn);
    }
    EXPECT_FALSE(Changes(turn, "hag66@example.org").may_change());
    EXPECT_TRUE(Changes(turn, "paul@example.org").may_change());
    // The one with the higher count goes first: what is kept is the account's.
    for (const std::string_view nick : {"a", "b"}) {
      KeepChangesOf(turn, *turn.room.FindNick(nick));
      turn.room.RemoveOccupant(nick);
    }
    EXPECT_FALSE(Changes(turn, "hag66@example.org").may_change());
    EXPECT_EQ(turn.room.state().recent_changes_size(), 1);
  });
}

TEST_F(NicksTest, WhatIsKeptOfThoseWhoHaveGoneIsBoundedAndForgotten) {
  const auto come_and_go = [&](int i) {
    const std::string nick = "nick" + std::to_string(i);
    driver_.Put(nick, nick + "@example.org/x");
    driver_.Do(kNudge, [&](Turn& turn) {
      Changes(turn, nick + "@example.org").Add(turn);
      KeepChangesOf(turn, *turn.room.FindNick(nick));
      turn.room.RemoveOccupant(nick);
    });
  };
  for (int i = 0; i < kMaxKeptChanges + 10; ++i) come_and_go(i);
  const auto& kept = driver_.room().state().recent_changes();
  ASSERT_EQ(kept.size(), kMaxKeptChanges);
  EXPECT_EQ(kept[0].jid(), "nick10@example.org");
  driver_.Pass(60'000);
  come_and_go(0);
  EXPECT_EQ(driver_.room().state().recent_changes_size(), 1);
}

}  // namespace
}  // namespace rookery::muc
