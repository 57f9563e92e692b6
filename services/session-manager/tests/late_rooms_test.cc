// The rooms of a session whose gateway comes late are asked whether it is in them (RM7).
#include "late_attach.h"

namespace rookery::session_manager {
namespace {

class MissedRoomsTest : public LateAttachTest {
 protected:
  MissedRoomsTest() {
    late_.Send(*bob, Presence({}, kOccupant));
    late_.Send(*bob, Presence({}, alice_));
    Settle();
    MoveWithoutIt();
    bob->inbox.clear();
  }
  std::vector<events::v1::RoomRecord> Said() const {
    return log_.RoomRecords(std::string(xmpp::BareOf(kOccupant)));
  }
  void ExpectSaidAgain() {
    ASSERT_EQ(Said().size(), 2u);
    const xmpp::Stanza again = Said().back().delivery().stanza();
    EXPECT_EQ(again.kind(), common::v1::STANZA_KIND_PRESENCE);
    EXPECT_EQ(again.type(), "probe");
    EXPECT_EQ(again.payload(), "") << "what others were told is not for rooms";
    EXPECT_EQ(again.from(), bob->jid);
    EXPECT_EQ(again.to(), kOccupant);
    session::v1::SessionManagerState state;
    ASSERT_TRUE(state.ParseFromString(bob->state));
    EXPECT_FALSE(state.rooms_missed());
    EXPECT_EQ(state.directed_size(), 2);
  }
  const std::string kOccupant = "coven@conference.localhost/bob";
};

TEST_F(MissedRoomsTest, RM7_ItsGatewayComesLate_ItsRoomsAreAskedWhetherItIsIn) {
  ItComes();
  ExpectSaidAgain();
}

TEST_F(MissedRoomsTest, RM7_AnOwnerInBetweenHasReadWithoutIt) {
  MoveOn();
  ExpectSaidAgain();
}

TEST_F(MissedRoomsTest, RM7_OnlyTheLogTellsOfThatOwner) {
  directory_.down = true;
  MoveOn();
  ExpectSaidAgain();
}

TEST_F(MissedRoomsTest, RM7_TheOwnerDiesBeforeItIsLive_TheNextOneKnows) {
  Revoke(1, 2);
  database_.down = true;
  Assign(1, 0);
  ASSERT_TRUE(RunUntil([&] {
    session::v1::SessionManagerState state;
    return state.ParseFromString(bob->state) && state.rooms_missed();
  }));
  ASSERT_FALSE(IsLive(1));
  Kill(0);
  database_.down = false;
  late_.Link(node(2));
  Assign(0, 2);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  ExpectSaidAgain();
}

TEST_F(LateAttachTest, RM10_WhoHasItsFullJidSinceStaysWithThoseWhoKnowOfIt) {
  const std::string both = "coven@conference.localhost/bob", only_old = "cave@conference.localhost/bob";
  late_.Send(*bob, Presence({}, both));
  late_.Send(*bob, Presence({}, only_old));
  late_.Send(*bob, Presence({}, alice->jid));
  Settle();
  roster_.Befriend(bob_, alice_);
  // Nobody knows of the session any more.
  directory_.shards.clear();
  MoveWithoutIt();
  Client& next = SignIn(gateway_, bob_, "b");
  ASSERT_FALSE(next.ended);
  gateway_.Send(next, Presence({}, "coven@conference.localhost/robert"));
  Settle();
  alice->inbox.clear();
  node(2).shard_log.member = false;  // no commit succeeds
  ItComes();
  EXPECT_TRUE(bob->ended);
  EXPECT_FALSE(next.ended);
  EXPECT_EQ(Told(*alice, next.jid, "unavailable"), 0);
  const auto unavailable_to = [&](const std::string& occupant) {
    const auto records = log_.RoomRecords(std::string(xmpp::BareOf(occupant)));
    return std::count_if(records.begin(), records.end(), [](const events::v1::RoomRecord& record) {
      return record.delivery().stanza().type() == "unavailable";
    });
  };
  EXPECT_EQ(unavailable_to(both), 0);
  EXPECT_EQ(unavailable_to(only_old), 1);
  // The next owner reads the end again.
  MoveOn();
  EXPECT_EQ(unavailable_to(both), 0);
  EXPECT_GE(unavailable_to(only_old), 2);
  EXPECT_FALSE(next.ended);
}

}  // namespace
}  // namespace rookery::session_manager
