// Private messages of occupants, which a room says to sessions of one user.
#include <gmock/gmock.h>

#include "domain/state/session.h"
#include "room_cluster.h"

namespace rookery::session_manager {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class PrivateMessagesTest : public RoomCluster {};

TEST_F(PrivateMessagesTest, RM9_APrivateMessageIsInTheArchiveOnce_AndEachOfItsSessionsHasItsId) {
  Client& one = SignIn(gateway_, bob_, "one");
  Client& two = SignIn(gateway_, bob_, "two");
  Client& other = SignIn(gateway_, bob_, "other");
  Carbons(other);
  other.inbox.clear();
  xmpp::Stanza message = PrivateMessage("m1");
  xmpp::Element forged("stanza-id", "urn:xmpp:sid:0");
  forged.SetAttr("id", "forged").SetAttr("by", bob_);
  xmpp::AddPayload(message, forged);
  Say(1, Fanout(10, message, {one.jid, two.jid}));
  ASSERT_THAT(log_.messages, SizeIs(1));
  const events::v1::MessageEvent& event = log_.messages[0];
  EXPECT_EQ(event.owner(), bob_);
  EXPECT_EQ(event.direction(), events::v1::MESSAGE_DIRECTION_RECEIVED);
  EXPECT_EQ(event.stanza().from(), kNick);
  EXPECT_EQ(event.stanza().to(), one.jid);
  EXPECT_THAT(event.stanza().payload(), Not(HasSubstr("stanza-id")));
  for (const Client* client : {&one, &two}) {
    ASSERT_THAT(client->MessageIds(), ElementsAre("m1"));
    EXPECT_EQ(client->inbox.back().to(), client->jid);
    EXPECT_THAT(client->inbox.back().payload(),
                AllOf(HasSubstr("<stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" +
                                std::to_string(event.archive_id()) + "\" by=\"" + bob_ + "\"/>"),
                      Not(HasSubstr("forged"))));
  }
  EXPECT_THAT(other.inbox, IsEmpty());
  EXPECT_THAT(Ghosts(), IsEmpty());
}

TEST_F(PrivateMessagesTest, RM9_APrivateMessageToWhoIsNotThereIsAnswered_AndKeptNowhere) {
  Client& other = SignIn(gateway_, bob_, "other");
  xmpp::Stanza normal = PrivateMessage("m2");
  normal.clear_type();
  xmpp::Stanza headline = PrivateMessage("m3");
  headline.set_type("headline");
  Say(1, Fanout(10, PrivateMessage("m1"), {bob_ + "/away"}));
  Say(1, Fanout(11, normal, {UserIn(1, 5) + "/x"}));
  Say(1, Fanout(12, headline, {bob_ + "/away"}));
  EXPECT_THAT(Ghosts(), ElementsAre(bob_ + "/away", UserIn(1, 5) + "/x"));
  for (const xmpp::Stanza& error : Heard(kRoom)) {
    EXPECT_EQ(error.to(), kNick);
    // By which the room knows that it was private.
    EXPECT_TRUE(xmpp::Has(error, common::v1::STANZA_TRAIT_MUC_USER));
    EXPECT_THAT(error.payload(), AllOf(HasSubstr("service-unavailable"), Not(HasSubstr("text of"))));
  }
  EXPECT_THAT(HeardIds(kRoom), ElementsAre("m1", "m2"));
  EXPECT_THAT(log_.messages, IsEmpty());
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(other.MessageIds(), IsEmpty());
  // One to all is none.
  Say(1, Fanout(13, Groupchat("m4"), {bob_ + "/away"}));
  EXPECT_FALSE(xmpp::Has(Heard(kRoom).back(), common::v1::STANZA_TRAIT_MUC_USER));
}

TEST_F(PrivateMessagesTest, RM9_TheOwnerDies_APrivateMessageIsTheSame) {
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.EnableStreamManagement(bob);
  Settle();
  bob.acks = false;
  Say(1, Fanout(10, PrivateMessage("m1"), {bob.jid, bob_ + "/away"}));
  MoveTo(1, 0);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(Ghosts(), ElementsAre(bob_ + "/away"));
  ASSERT_THAT(log_.messages, Not(IsEmpty()));
  for (const events::v1::MessageEvent& event : log_.messages) {
    EXPECT_EQ(event.archive_id(), log_.messages[0].archive_id());
    EXPECT_EQ(event.source_offset(), log_.messages[0].source_offset());
  }
  const auto session = SessionOf(bob, 0);
  ASSERT_EQ(session->unacked.size(), 1u);
  EXPECT_THAT(session->unacked.front().delivery->stanza.payload(), HasSubstr("<stanza-id "));
}

}  // namespace
}  // namespace rookery::session_manager
