// A message went to several devices of a user, and the store has packets of it: it is one message, whichever
// device has it in the end (src/domain/delivery/README.md, P4).
#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/delivery/delivery_state.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// The parameter: the phone's rows come first, or the desk's, when a shard is loaded.
class PacketRowsTest : public Cluster, public ::testing::WithParamInterface<bool> {
 protected:
  PacketRowsTest() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice = &SignIn(gateway_, UserIn(0), "a");
    bob_ = UserIn(1);
    phone = &Begin(gateway_, "phone", GetParam() ? 'a' : 'b');
    desk = &Begin(other_, "desk", GetParam() ? 'b' : 'a');
  }
  Client& Begin(Gateway& gateway, const std::string& resource, char id) {
    Client& client = gateway.Start(bob_, resource, std::string(16, id));
    Settle();
    gateway.Send(client, Presence());
    Settle();
    client.acks = false;
    return client;
  }
  void Say(const std::string& id, const std::string& to) {
    gateway_.Send(*alice, Message(to, id));
    Settle();
  }
  void Die() {
    Kill(1);
    database_.down = false;
  }
  void Move() {
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  void StoreAll() {
    Elapse(settings_.window_time + std::chrono::seconds(2));
    ASSERT_GE(database_.Packets(bob_, phone->id), 1u);
    ASSERT_GE(database_.Packets(bob_, desk->id), 1u);
  }
  void DeskHasAll() {
    other_.Deliver(*desk, desk->last_seq);
    desk->acks = true;
    Settle();
  }
  void PhoneCloses() {
    gateway_.End(*phone, END_REASON_CLOSED);
    Settle();
    Elapse(std::chrono::seconds(2));
  }
  void ExpectNobodyIsGivenMore() {
    EXPECT_THAT(desk->MessageIds(), ElementsAre("m1"));
    EXPECT_EQ(database_.Waiting(bob_), 0u);
    EXPECT_EQ(database_.Packets(bob_, phone->id), 0u);
    Client& next = Begin(gateway_, "next", 'n');
    Elapse(std::chrono::seconds(1));
    EXPECT_THAT(next.MessageIds(), IsEmpty());
  }
  Gateway& gateway_;
  Gateway& other_;
  std::string bob_;
  Client* alice = nullptr;
  Client* phone = nullptr;
  Client* desk = nullptr;
};

TEST_P(PacketRowsTest, P4_TheDeskHasIt_ThePhonesSessionEnds_NotGivenAgain) {
  Say("m1", bob_);
  StoreAll();
  DeskHasAll();
  PhoneCloses();
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_TheDeskHasIt_ThePhonesSessionEndsAtTheNextOwner_NotGivenAgain) {
  Say("m1", bob_);
  StoreAll();
  DeskHasAll();
  Die();
  Move();
  PhoneCloses();
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_TheDeskHasIt_ThePhonesGatewayDiesWithTheOwner_NotGivenAgain) {
  Say("m1", bob_);
  StoreAll();
  DeskHasAll();
  phone->forgotten = true;
  Die();
  Move();
  Elapse(std::chrono::seconds(10));
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_OnlyThePhonesRowIsWritten_AndThePhonesGatewayDiesWithTheOwner_NotGivenAgain) {
  Say("m0", bob_ + "/phone");
  Elapse(settings_.window_time - std::chrono::seconds(1));
  Say("m1", bob_);
  Elapse(std::chrono::milliseconds(1'500));
  ASSERT_EQ(database_.Packets(bob_, phone->id), 3u);  // the desk's presence, too
  ASSERT_EQ(database_.Packets(bob_, desk->id), 0u);
  Die();
  DeskHasAll();
  phone->forgotten = true;
  Move();
  Elapse(std::chrono::seconds(10));
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m1", "m0"));
  EXPECT_EQ(database_.Packets(bob_, phone->id), 0u);
}

TEST_P(PacketRowsTest, P4_OnlyThePhonesRowIsWritten_AndTheDeskNeverGotIt_GivenToIt) {
  Say("m0", bob_ + "/phone");
  Elapse(settings_.window_time - std::chrono::seconds(1));
  other_.SetCongested(node(1), true);
  Say("m1", bob_);
  Elapse(std::chrono::milliseconds(1'500));
  ASSERT_EQ(database_.Packets(bob_, phone->id), 3u);  // the desk's presence, too
  Die();
  phone->forgotten = true;
  Move();
  Elapse(std::chrono::seconds(10));
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m0", "m1"));
  EXPECT_EQ(database_.Packets(bob_, phone->id), 0u);
}

TEST_P(PacketRowsTest, P4_TheDeskHasItAtTheNextOwner_NotGivenAgain) {
  Say("m1", bob_);
  StoreAll();
  Die();
  Move();
  DeskHasAll();
  PhoneCloses();
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_TheDeskHasItWhileNobodyOwnsTheShard_NotGivenAgain) {
  Say("m1", bob_);
  StoreAll();
  Die();
  DeskHasAll();
  Move();
  PhoneCloses();
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_TheDeskHasItWhileNobodyOwnsTheShard_NorAtTheOwnerAfterThat) {
  Say("m1", bob_);
  StoreAll();
  Die();
  DeskHasAll();
  Move();
  Kill(2);
  Assign(1, AddNode().number);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  PhoneCloses();
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_TheDeskHasItWhileNobodyOwnsTheShard_ThePhonesGatewayIsDead_NotGivenAgain) {
  Say("m1", bob_);
  StoreAll();
  phone->forgotten = true;
  Die();
  DeskHasAll();
  Move();
  Elapse(std::chrono::seconds(10));
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_TheDeskHasItAndTheStoreIsAway_TheRecordIsReadAgain_NotGivenAgain) {
  Say("m0", bob_ + "/phone");
  Elapse(settings_.window_time - std::chrono::milliseconds(500));
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  ASSERT_GE(database_.Packets(bob_, phone->id), 2u);
  ASSERT_EQ(database_.Packets(bob_, desk->id), 0u);
  database_.down = true;
  DeskHasAll();
  Elapse(std::chrono::seconds(3));
  Die();
  Move();
  gateway_.Deliver(*phone, phone->last_seq - 1);
  PhoneCloses();
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, P4_TheDeskHasItAndTheStoreIsBack_TheRecordIsFinished) {
  Say("m0", bob_ + "/phone");
  Elapse(settings_.window_time - std::chrono::milliseconds(500));
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  Shard& shard = *node(1).domain.shards().Find(1);
  database_.down = true;
  DeskHasAll();
  EXPECT_LT(shard.window.cursor(), shard.window.next_offset()) << "the phone's row does not say so";
  database_.down = false;
  EXPECT_TRUE(RunUntil([&] {
    Elapse(std::chrono::milliseconds(500));
    return shard.window.cursor() == shard.window.next_offset();
  }));
}

TEST_P(PacketRowsTest, P4_NobodyHasIt_BothSessionsEndAtTheNextOwner_KeptOnce) {
  Say("m1", bob_);
  StoreAll();
  Die();
  Move();
  PhoneCloses();
  EXPECT_EQ(database_.Waiting(bob_), 0u) << "the desk may have it yet";
  other_.End(*desk, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(2));
  Client& next = Begin(gateway_, "next", 'n');
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(next.MessageIds(), ElementsAre("m1"));
}

TEST_P(PacketRowsTest, P4_ThePhonesGatewayDiesWithTheOwner_TheDeskKeepsIt) {
  Say("m1", bob_);
  StoreAll();
  phone->forgotten = true;
  Die();
  Move();
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  DeskHasAll();
  Elapse(std::chrono::seconds(10));
  ExpectNobodyIsGivenMore();
}

TEST_P(PacketRowsTest, E1_TheGatewayOfOneDiesWithTheOwner_TheRecordIsReadAgain_TheOtherKeepsIt) {
  Say("m0", bob_ + "/phone");
  Elapse(settings_.window_time - std::chrono::milliseconds(500));
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  ASSERT_GE(database_.Packets(bob_, phone->id), 2u);
  ASSERT_EQ(database_.Packets(bob_, desk->id), 0u);
  phone->forgotten = true;
  Die();
  Move();
  DeskHasAll();
  Elapse(std::chrono::seconds(10));
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m1", "m0")) << "the one that the phone alone had goes on";
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_P(PacketRowsTest, P5_ADeviceThatCameLater_WasNotGivenIt) {
  Say("m1", bob_);
  Client& late = Begin(other_, "late", 'l');
  late.acks = true;
  Say("m2", late.jid);
  ASSERT_THAT(late.MessageIds(), ElementsAre("m2"));
  Die();
  Move();
  PhoneCloses();
  other_.End(*desk, END_REASON_CLOSED);
  Settle();
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(late.MessageIds(), ElementsAre("m2", "m1"));
}

TEST_P(PacketRowsTest, P5_ADeviceThatWasNotAvailableThen_WasNotGivenIt) {
  desk->acks = true;
  other_.Send(*desk, Presence("unavailable"));
  Settle();
  Say("m1", bob_);
  other_.Send(*desk, Presence());
  Settle();
  Say("m2", desk->jid);
  ASSERT_THAT(desk->MessageIds(), ElementsAre("m2"));
  Die();
  Move();
  PhoneCloses();
  EXPECT_THAT(desk->MessageIds(), ElementsAre("m2", "m1"));
}

INSTANTIATE_TEST_SUITE_P(, PacketRowsTest, ::testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "PhoneFirst" : "DeskFirst");
});

}  // namespace
}  // namespace rookery::session_manager
