#include "domain/room/room.h"

#include <gtest/gtest.h>

namespace rookery::muc {
namespace {

TEST(Room, RemembersWhatHasChangedSinceTheLastCheckpoint) {
  Room room("coven@conference.example.org");
  room.Create();
  room.AddOccupant("firstwitch");
  room.AddSession("firstwitch", "crone1@example.org/desktop");
  room.ChangeAffiliated("crone1@example.org").set_affiliation(v1::AFFILIATION_OWNER);

  RoomChanges changes = room.TakeChanges();
  EXPECT_TRUE(changes.is_new);
  EXPECT_EQ(changes.occupants.size(), 1u);
  EXPECT_EQ(changes.affiliations.size(), 1u);
  EXPECT_FALSE(room.has_changed());

  room.Rename("firstwitch", "oldhag");
  changes = room.TakeChanges();
  EXPECT_FALSE(changes.is_new);
  ASSERT_EQ(changes.occupants.size(), 1u);
  EXPECT_EQ(changes.occupants[0].nick(), "oldhag");
  EXPECT_EQ(changes.gone_nicks, std::vector<std::string>{"firstwitch"});
  EXPECT_TRUE(changes.affiliations.empty());
  EXPECT_EQ(room.FindSession("crone1@example.org/desktop")->nick(), "oldhag");
}

TEST(Room, WithItsLastSessionAnOccupantIsGone) {
  Room room("coven@conference.example.org");
  room.Create();
  room.AddOccupant("firstwitch");
  room.AddSession("firstwitch", "crone1@example.org/desktop");
  room.AddSession("firstwitch", "crone1@example.org/phone");
  EXPECT_EQ(room.everyone()->size(), 2u);
  EXPECT_FALSE(room.RemoveSession("crone1@example.org/desktop"));
  EXPECT_EQ(*room.everyone(), Recipients{"crone1@example.org/phone"});
  room.AddSession("firstwitch", "crone1@example.org/tablet");
  EXPECT_FALSE(room.RemoveSession("crone1@example.org/tablet"));
  EXPECT_TRUE(room.RemoveSession("crone1@example.org/phone"));
  EXPECT_EQ(room.FindNick("firstwitch"), nullptr);
}

TEST(Room, IsMadeAgainFromWhatWasStored) {
  Room room("coven@conference.example.org");
  room.Create();
  room.AddOccupant("firstwitch");
  room.AddSession("firstwitch", "crone1@example.org/desktop");
  room.ChangeAffiliated("wiccarocks@example.org").set_affiliation(v1::AFFILIATION_MEMBER);
  room.SetReservedNick("wiccarocks@example.org", "thirdwitch");
  v1::PastMessage message;
  message.set_archive_id(room.TakeArchiveId(7));
  room.Remember(message, 10, 10'000);
  const RoomChanges changes = room.TakeChanges();

  const Room again(StoredRoom{.room = changes.room,
                              .state = changes.state,
                              .affiliations = changes.affiliations,
                              .occupants = changes.occupants,
                              .history = changes.history});
  EXPECT_EQ(again.FindSession("crone1@example.org/desktop")->nick(), "firstwitch");
  EXPECT_EQ(again.FindReserved("thirdwitch")->jid(), "wiccarocks@example.org");
  EXPECT_EQ(again.history().front().archive_id(), 7u);
  EXPECT_EQ(again.state().last_archive_id(), 7u);
}

TEST(Room, ReplacesWhatItRemembersAndKnowsHowMuchThatIs) {
  Room room("coven@conference.example.org");
  room.Create();
  const auto message_of = [](std::uint64_t archive_id, std::size_t bytes) {
    v1::PastMessage message;
    message.set_archive_id(archive_id);
    message.mutable_stanza()->set_payload(std::string(bytes, 'x'));
    return message;
  };
  room.Remember(message_of(7, 5000), 10, 10'000);
  room.Remember(message_of(8, 4000), 10, 10'000);
  room.TakeChanges();
  room.ReplaceRemembered(message_of(7, 10));
  room.ReplaceRemembered(message_of(9, 10));
  EXPECT_EQ(room.FindRemembered(7)->stanza().payload().size(), 10u);
  EXPECT_EQ(room.FindRemembered(9), nullptr);
  const RoomChanges changes = room.TakeChanges();
  ASSERT_EQ(changes.history.size(), 1u);
  EXPECT_EQ(changes.history[0].archive_id(), 7u);
  room.Remember(message_of(9, 5000), 10, 10'000);
  EXPECT_EQ(room.history().size(), 3u);
  room.Remember(message_of(10, 5000), 10, 10'000);
  EXPECT_EQ(room.history().front().archive_id(), 10u);
}

}  // namespace
}  // namespace rookery::muc
