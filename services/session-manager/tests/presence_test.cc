#include <gmock/gmock.h>

#include "domain/metrics.h"
#include "domain/presence/presence_tracker.h"
#include "presence_cluster.h"
#include "rookery/sharding/follow_up_writer.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_PRESENCE;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using PresenceTest = PresenceCluster;

TEST_F(PresenceTest, InitialPresence_BroadcastAndProbe) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  gateway_.Send(alice, Presence());
  Settle();
  ASSERT_EQ(From(bob, alice_ + "/a", "").size(), 1u);
  EXPECT_EQ(From(alice, bob_ + "/b", "").size(), 1u);
  // The sending resource gets its own too (RFC 6121 section 4.4.2).
  EXPECT_EQ(From(alice, alice_ + "/a", "").size(), 1u);
}

class PresenceOwnerDeath : public PresenceTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(All, PresenceOwnerDeath, ::testing::Bool(), [](const auto& is_lost) {
  return is_lost.param ? "BeforeTheLogHasIt" : "WhenTheLogHasIt";
});

TEST_P(PresenceOwnerDeath, InitialPresence_TheNextOwnerLetsThemSeeEachOther) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  log_.held = true;
  gateway_.Send(alice, Presence());
  Settle();  // the gateway knows that she is available, and has no confirmation
  Kill(0, /*lose=*/GetParam());
  log_.held = false;
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Settle();
  // Perhaps twice: her presence comes to the next owner in the session's state and as a stanza.
  EXPECT_FALSE(From(alice, bob_ + "/b", "").empty());
  EXPECT_FALSE(From(bob, alice_ + "/a", "").empty());
}

TEST_F(PresenceTest, Unavailable_TheOwnerDiesBeforeTheLogHasIt_TheNextOneTells) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& eve = SignIn(gateway_, UserIn(2, 5), "e");
  gateway_.Send(alice, Presence({}, eve.jid));
  Settle();
  log_.held = true;
  gateway_.Send(alice, Presence("unavailable"));
  Settle();
  Kill(0);
  log_.held = false;
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Settle();
  EXPECT_EQ(From(bob, alice.jid, "unavailable").size(), 1u);
  EXPECT_EQ(From(eve, alice.jid, "unavailable").size(), 1u);
}

// ---- what the log does not take -----------------------------------------------

TEST_F(PresenceTest, RefusedBroadcastAndProbe_AreSaidAgain_Once) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  int refusals = 4;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_fanout() && refusals-- > 0 ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  gateway_.Send(alice, Presence());
  Settle();
  EXPECT_LT(alice.confirmed, alice.sent);
  ASSERT_TRUE(RunUntil([&] {
    return From(bob, alice_ + "/a", "").size() == 1 && From(alice, bob_ + "/b", "").size() == 1 &&
           From(alice, alice_ + "/a", "").size() == 1;
  }));
  Settle();
  EXPECT_EQ(alice.confirmed, alice.sent);
  EXPECT_THAT(Only(alice.inbox, STANZA_KIND_PRESENCE, "error"), IsEmpty());
}

TEST_F(PresenceTest, RefusedBroadcast_TheShardMovesBeforeItIsSaid_TheNextOwnerSaysIt) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  bob.inbox.clear();
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_fanout() && is_refused ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  gateway_.Send(alice, Presence({}, {}, 7));
  // Its number is higher than that of what was refused, in the same partition.
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  Kill(0);
  is_refused = false;
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  ASSERT_TRUE(RunUntil([&] { return !From(bob, alice_ + "/a", "").empty(); }));
  Settle();
  EXPECT_EQ(alice.confirmed, alice.sent);
}

TEST_F(PresenceTest, RefusedUnavailable_TheShardMovesBeforeItIsSaid_TheNextOwnerSaysIt) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_fanout() && is_refused ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  gateway_.Send(alice, Presence("unavailable"));
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  Kill(0);
  is_refused = false;
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  ASSERT_TRUE(RunUntil([&] { return !From(bob, alice_ + "/a", "unavailable").empty(); }));
}

TEST_F(PresenceTest, RefusedUnavailable_PresenceSentDirectlyMeanwhile_IsNotSaidAfterIt) {
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  xmpp::Stanza directed = Presence();
  directed.set_to(bob_ + "/b");
  gateway_.Send(alice, directed);
  Settle();
  int refusals = 1;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    const bool is_to_bob = record.has_fanout() && record.fanout().recipients(0) == bob_ + "/b";
    return is_to_bob && refusals-- > 0 ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  gateway_.Send(alice, Presence("unavailable"));
  gateway_.Send(alice, directed);
  Settle();
  const auto& refused = node(0).domain.follow_ups();
  ASSERT_EQ(refused.waiting(), 1u);
  ASSERT_TRUE(RunUntil([&] { return refused.waiting() == 0; }));
  EXPECT_THAT(From(bob, alice_ + "/a", "unavailable"), IsEmpty());
}

/// Presence of alice's that the log takes only when she has said, with another stanza, that bob is to see
/// nothing of her any more. eve sees it.
class RefusedPresence : public PresenceTest {
 protected:
  void ExpectItIsNotSaidToBobAfter(const xmpp::Stanza& stanza) {
    roster_.Befriend(alice_, bob_);
    roster_.Befriend(alice_, eve_);
    Client& bob = SignIn(gateway_, bob_, "b");
    Client& eve = SignIn(gateway_, eve_, "e");
    Client& alice = SignIn(gateway_, alice_, "a");
    int refusals = 3;  // to the shards of all three
    log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
      const bool is_presence =
          record.has_fanout() && record.fanout().stanza().payload().find("tea") != std::string::npos;
      return is_presence && refusals-- > 0 ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
    };
    xmpp::Stanza presence = Presence();
    xmpp::Element status("status", "jabber:client");
    status.SetText("tea");
    xmpp::SetPayload(presence, status);
    bob.inbox.clear();
    eve.inbox.clear();
    gateway_.Send(alice, presence);
    gateway_.Send(alice, stanza);
    Settle();
    const auto& refused = node(0).domain.follow_ups();
    ASSERT_TRUE(RunUntil([&] { return refused.waiting() == 0; }));
    Settle();
    EXPECT_THAT(From(bob, alice_ + "/a", ""), IsEmpty());
    EXPECT_EQ(From(bob, alice_ + "/a", "unavailable").size(), 1u);
    EXPECT_EQ(From(eve, alice_ + "/a", "").size(), 1u);
  }
};

TEST_F(RefusedPresence, AContactIsNotSubscribedAnyMore_ItIsNotSaidToIt) {
  ExpectItIsNotSaidToBobAfter(Presence("unsubscribed", bob_));
}

TEST_F(RefusedPresence, AContactIsBlockedMeanwhile_ItIsNotSaidToIt) {
  ExpectItIsNotSaidToBobAfter(Block(bob_));
}

TEST_F(PresenceTest, RefusedUnavailableOfABlock_IsSaidAgain) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    const bool is_goodbye = (record.has_delivery() && record.delivery().stanza().type() == "unavailable") ||
                            (record.has_fanout() && record.fanout().stanza().type() == "unavailable");
    return is_goodbye && is_refused ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  gateway_.Send(alice, Block(bob_));
  Settle();
  EXPECT_THAT(From(bob, alice_ + "/a", "unavailable"), IsEmpty());
  is_refused = false;
  EXPECT_TRUE(RunUntil([&] { return From(bob, alice_ + "/a", "unavailable").size() == 1; }));
}

TEST_F(PresenceTest, RefusedUnavailableOfAnEnd_IsSaidAgain) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_fanout() && is_refused ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  const Shard& shard = *node(0).domain.shards().Find(0);
  EXPECT_LT(shard.window.cursor(), shard.window.next_offset());
  is_refused = false;
  ASSERT_TRUE(RunUntil([&] { return From(bob, alice_ + "/a", "unavailable").size() == 1; }));
  EXPECT_EQ(shard.window.cursor(), shard.window.next_offset());
}

TEST_F(PresenceTest, RefusedUnavailable_BackMeanwhile_IsNotSaidAfterIt) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  int refusals = 1;
  log_.refuse = [&](std::uint32_t partition, const events::v1::UserRecord& record) {
    return partition == 2 && record.fanout().stanza().type() == "unavailable" && refusals-- > 0
               ? absl::PermissionDeniedError("not yet")
               : absl::OkStatus();
  };
  const auto& refused = node(0).domain.follow_ups();
  // Who does not come back is said to be gone.
  gateway_.Send(alice, Presence("unavailable"));
  Settle();
  ASSERT_EQ(refused.waiting(), 1u);
  ASSERT_TRUE(RunUntil([&] { return refused.waiting() == 0; }));
  EXPECT_EQ(From(bob, alice_ + "/a", "unavailable").size(), 1u);
  gateway_.Send(alice, Presence());
  Settle();
  bob.inbox.clear();
  refusals = 1;
  gateway_.Send(alice, Presence("unavailable"));
  gateway_.Send(alice, Presence({}, {}, 5));
  Settle();
  const Shard& shard = *node(0).domain.shards().Find(0);
  ASSERT_EQ(From(bob, alice_ + "/a", "").size(), 1u);
  ASSERT_EQ(refused.waiting(), 1u);
  ASSERT_TRUE(RunUntil([&] { return refused.waiting() == 0; }));
  EXPECT_THAT(From(bob, alice_ + "/a", "unavailable"), IsEmpty());
  EXPECT_EQ(shard.window.cursor(), shard.window.next_offset());
}

// ---- what was missed ----------------------------------------------------------

TEST_F(PresenceTest, TheLogLosesWhatContactsSaid_BothAreToldAnew) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  ASSERT_TRUE(RunUntil([&] { return log_.in_flight.empty(); }));
  // Bob's shard has read that alice is there and asks for him, not that she has gone; the log loses all of
  // it.
  const std::size_t before = log_.users[2].size() - 2;
  node(1).frozen = true;
  gateway_.Send(alice, Presence("unavailable"));
  Settle();
  log_.users[2].resize(before);
  node(1).frozen = false;
  bob.inbox.clear();
  alice.inbox.clear();
  Settle();
  ASSERT_TRUE(RunUntil([&] { return IsLive(2) && !From(bob, alice_, "unavailable").empty(); }));
  EXPECT_THAT(From(bob, alice_ + "/a", ""), IsEmpty());
  gateway_.Send(alice, Presence());
  Settle();
  EXPECT_EQ(From(bob, alice_ + "/a", "").size(), 1u);
  EXPECT_FALSE(node(1).domain.shards().Find(2)->users.at(bob_)->sessions.front()->state.presence_missed());
}

TEST_F(PresenceTest, OwnOtherResourcesSeeEachOther) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = gateway_.Start(alice_, "two");
  Settle();
  gateway_.Send(two, Presence());
  Settle();
  EXPECT_EQ(From(one, alice_ + "/two", "").size(), 1u);
  EXPECT_EQ(From(two, alice_ + "/one", "").size(), 1u);
}

TEST_F(PresenceTest, TheAnswerToAnEarlierSessionsProbe_ComesToTheNextOneOfItsName_WhichHearsWhenItIsOver) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = gateway_.Start(alice_, "a");  // not available yet
  Settle();
  // As if the one before it had asked.
  events::v1::UserRecord probe;
  probe.mutable_origin()->set_topic(events::v1::TOPIC_USERS);
  probe.mutable_origin()->set_epoch(node(0).domain.shards().Find(0)->epoch);
  probe.mutable_origin()->mutable_log()->set_offset(1'000'000);
  probe.mutable_origin()->mutable_log()->set_part(1);
  *probe.mutable_delivery()->mutable_stanza() = Presence("probe", bob_);
  probe.mutable_delivery()->mutable_stanza()->set_from(alice_ + "/a");
  log_.users[2].push_back(probe.SerializeAsString());
  Settle();
  ASSERT_EQ(From(alice, bob_ + "/b", "").size(), 1u);
  gateway_.Send(bob, Presence("unsubscribed", alice_));
  Settle();
  EXPECT_FALSE(From(alice, bob_ + "/b", "unavailable").empty());
}

TEST_F(PresenceTest, WhoIsNotAvailable_HearsOfNobodyElse) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  gateway_.Send(bob, Presence("unsubscribed", alice_));
  Settle();
  EXPECT_THAT(Only(alice.inbox, STANZA_KIND_PRESENCE, "unavailable"), IsEmpty());
}

TEST_F(PresenceTest, StrangersSeeNothing) {
  roster_.Befriend(alice_, bob_);
  Client& eve = SignIn(gateway_, eve_, "e");
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  for (Client* client : {&eve, &bob}) {
    client->inbox.clear();
    gateway_.Send(*client, Presence("probe", alice_));
  }
  Settle();
  EXPECT_EQ(From(bob, alice_ + "/a", "").size(), 1u);
  gateway_.Send(alice, Presence({}, {}, 3));
  Settle();
  EXPECT_EQ(From(bob, alice_ + "/a", "").size(), 2u);
  EXPECT_THAT(eve.inbox, IsEmpty());
}

TEST_F(PresenceTest, UpdatesReachSubscribers_OnlyFrom) {
  roster_.rosters[alice_][bob_].to = true;  // alice sees bob, not the other way
  roster_.rosters[bob_][alice_].from = true;
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence({}, {}, 3));
  gateway_.Send(bob, Presence({}, {}, 4));
  Settle();
  EXPECT_THAT(From(bob, alice_ + "/a", ""), IsEmpty());
  EXPECT_EQ(From(alice, bob_ + "/b", "").size(), 1u);
}

TEST_F(PresenceTest, UnavailableOnEveryWayASessionEnds) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  for (const int way : {0, 1, 2, 3}) {
    Client& alice = SignIn(gateway_, alice_, "a");
    bob.inbox.clear();
    switch (way) {
      case 0:
        gateway_.Send(alice, Presence("unavailable"));
        break;
      case 1:
        gateway_.End(alice, session::v1::END_REASON_CLOSED);
        break;
      case 2:
        gateway_.End(alice, session::v1::END_REASON_CONNECTION_LOST);
        break;
      default:
        gateway_.Start(alice_, "a");
        break;
    }
    Settle();
    EXPECT_EQ(From(bob, alice_ + "/a", "unavailable").size(), 1u) << "way " << way;
    if (way == 0) {
      // The end after it says nothing new.
      gateway_.End(alice, session::v1::END_REASON_CLOSED);
      Settle();
      EXPECT_EQ(From(bob, alice_ + "/a", "unavailable").size(), 1u);
    }
  }
}

TEST_F(PresenceTest, ResumableSessionStaysAvailableUntilItsTimeIsOver) {
  settings_.resume_timeout = std::chrono::seconds(10);
  for (auto& node : nodes_) node->settings.resume_timeout = std::chrono::seconds(10);
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.EnableStreamManagement(alice);
  gateway_.End(alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  bob.inbox.clear();
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(bob.inbox, IsEmpty());
  Elapse(std::chrono::seconds(7));
  EXPECT_EQ(From(bob, alice_ + "/a", "unavailable").size(), 1u);
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_TRUE(database_.last.contains(alice_));
}

TEST_F(PresenceTest, Directed_IsCleanedUp) {
  Client& eve = SignIn(gateway_, eve_, "e");
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence({}, eve_ + "/e"));
  Settle();
  EXPECT_EQ(From(eve, alice_ + "/a", "").size(), 1u);
  gateway_.End(alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_EQ(From(eve, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(PresenceTest, Directed_WithoutInitialPresence_IsCleanedUpToo) {
  Client& eve = SignIn(gateway_, eve_, "e");
  Client& alice = SignIn(gateway_, alice_, "a", std::nullopt);
  gateway_.Send(alice, Presence({}, eve_ + "/e"));
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(From(eve, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(PresenceTest, Directed_WithoutInitialPresence_ToAContactOfAnotherResource_IsCleanedUpToo) {
  roster_.Befriend(alice_, eve_);
  Client& eve = SignIn(gateway_, eve_, "e");
  SignIn(gateway_, alice_, "home");
  Client& alice = SignIn(gateway_, alice_, "a", std::nullopt);
  gateway_.Send(alice, Presence({}, eve_));
  Settle();
  ASSERT_EQ(From(eve, alice_ + "/a", "").size(), 1u);
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(From(eve, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(PresenceTest, Directed_TakenBackIsNotSaidTwice) {
  Client& eve = SignIn(gateway_, eve_, "e");
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence({}, eve_));
  gateway_.Send(alice, Presence("unavailable", eve_));
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(From(eve, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(PresenceTest, Directed_TakenBackIsRefused_TheEndOfTheSessionSaysIt) {
  Client& eve = SignIn(gateway_, eve_, "e");
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence({}, eve_));
  Settle();
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.delivery().stanza().type() == "unavailable" ? absl::PermissionDeniedError("not yet")
                                                              : absl::OkStatus();
  };
  gateway_.Send(alice, Presence("unavailable", eve_));
  Settle();
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "error").size(), 1u);
  log_.refuse = {};
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(From(eve, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(PresenceTest, Directed_SaidAgainWhileItIsTakenBack_IsCleanedUp) {
  Client& eve = SignIn(gateway_, eve_, "e");
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence({}, eve_));
  Settle();
  log_.held = true;
  gateway_.Send(alice, Presence("unavailable", eve_));
  gateway_.Send(alice, Presence({}, eve_));
  Settle();
  log_.held = false;
  Settle();
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(From(eve, alice_ + "/a", "unavailable").size(), 2u);
}

TEST_F(PresenceTest, Directed_IsBounded) {
  node(0).settings.max_directed_presence = 2;
  Client& alice = SignIn(gateway_, alice_, "a");
  for (int i = 0; i < 3; ++i) gateway_.Send(alice, Presence({}, UserIn(2, i)));
  Settle();
  ASSERT_EQ(alice.inbox.size(), 1u);
  EXPECT_THAT(alice.inbox[0].payload(), HasSubstr("resource-constraint"));
}

TEST_F(PresenceTest, Directed_LongAddressesAreBoundedToo_AlsoThoseOfTheLastTime) {
  constexpr int kMany = 100;
  Client& alice = SignIn(gateway_, alice_, "a");
  const auto send_many = [&](char letter) {
    alice.inbox.clear();
    for (int i = 0; i < kMany; ++i)
      gateway_.Send(alice, Presence({}, UserIn(2) + "/" + std::to_string(i) + std::string(1'000, letter)));
    Settle();
    const std::size_t refused = Only(alice.inbox, STANZA_KIND_PRESENCE, "error").size();
    EXPECT_LT(StateOf(alice).ByteSizeLong(), 66 * 1024u);
    EXPECT_THAT(alice.inbox.back().payload(), HasSubstr("resource-constraint"));
    EXPECT_EQ(alice.confirmed, alice.sent);
    return refused;
  };
  const std::size_t refused = send_many('x');
  EXPECT_EQ(static_cast<int>(refused), kMany - StateOf(alice).directed_size());
  EXPECT_GT(StateOf(alice).directed_size(), 60);
  // Addresses that it has told count until it is available again: its unavailability may have to be said once
  // more.
  gateway_.Send(alice, Presence("unavailable"));
  Settle();
  EXPECT_EQ(send_many('y'), static_cast<std::size_t>(kMany));
  gateway_.Send(alice, Presence());
  Settle();
  EXPECT_EQ(send_many('z'), refused);
}

TEST_F(PresenceTest, Directed_OfAllSessionsOfAUserTogetherIsBounded) {
  constexpr int kSessions = 8;
  std::size_t told = 0, refused = 0;
  for (int session = 0; session < kSessions; ++session) {
    Client& alice = SignIn(gateway_, alice_, "a" + std::to_string(session));
    alice.inbox.clear();
    for (int i = 0; i < 60; ++i)
      gateway_.Send(alice, Presence({}, UserIn(2) + "/" + std::to_string(i) + std::string(1'000, 'x')));
    Settle();
    refused += Only(alice.inbox, STANZA_KIND_PRESENCE, "error").size();
    const session::v1::SessionManagerState state = StateOf(alice);
    for (const std::string& address : state.directed()) told += address.size();
  }
  EXPECT_GT(refused, 0u);
  EXPECT_LE(told, 256 * 1024u);
  EXPECT_GT(told, 240 * 1024u);
}

TEST_F(PresenceTest, ForEverybody_IsBounded_AndTheOneBeforeHolds) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a", 3);
  const auto say = [&](std::size_t bytes) {
    alice.inbox.clear();
    bob.inbox.clear();
    xmpp::Stanza presence = Presence();
    presence.set_payload("<status>" + std::string(bytes, 'x') + "</status>");
    gateway_.Send(alice, std::move(presence));
    Settle();
  };
  say(16'000);
  EXPECT_EQ(From(bob, alice.jid, "").size(), 1u);
  say(17'000);
  EXPECT_THAT(From(bob, alice.jid, ""), IsEmpty());
  const auto errors = Only(alice.inbox, STANZA_KIND_PRESENCE, "error");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0].payload(), HasSubstr("policy-violation"));
  EXPECT_TRUE(StateOf(alice).available());
  EXPECT_LT(StateOf(alice).ByteSizeLong(), 17'000u);
  // Whoever goes is heard, whatever is said with it: nothing of it is kept.
  xmpp::Stanza unavailable = Presence("unavailable");
  unavailable.set_payload("<status>" + std::string(17'000, 'x') + "</status>");
  gateway_.Send(alice, std::move(unavailable));
  Settle();
  EXPECT_EQ(From(bob, alice.jid, "unavailable").size(), 1u);
}

TEST_F(PresenceTest, WhatChangesInOneTurn_IsPublishedOnce) {
  Client& alice = SignIn(gateway_, alice_, "a");
  const int before = alice.states;
  for (int i = 0; i < 20; ++i) gateway_.Send(alice, Presence({}, UserIn(2, i)));
  Settle();
  EXPECT_EQ(alice.states, before + 1);
  EXPECT_EQ(StateOf(alice).directed_size(), 20);
  EXPECT_EQ(alice.confirmed, alice.sent);
}

TEST_F(PresenceTest, ToABareJid_AllAvailableAlsoNegative) {
  Client& positive = SignIn(gateway_, bob_, "pos", 1);
  Client& negative = SignIn(gateway_, bob_, "neg", -1);
  Client& quiet = SignIn(gateway_, bob_, "quiet", std::nullopt);
  Client& alice = SignIn(gateway_, alice_, "a");
  for (Client* client : {&positive, &negative, &quiet}) client->inbox.clear();
  gateway_.Send(alice, Presence({}, bob_));
  Settle();
  EXPECT_EQ(From(positive, alice_ + "/a", "").size(), 1u);
  EXPECT_EQ(From(negative, alice_ + "/a", "").size(), 1u);
  EXPECT_THAT(quiet.inbox, IsEmpty());
}

TEST_F(PresenceTest, Priority_Limits) {
  Client& alice = SignIn(gateway_, alice_, "a", std::nullopt);
  const auto send = [&](const std::string& priority) {
    xmpp::Stanza presence = Presence();
    xmpp::Element element("priority", "jabber:client");
    element.SetText(priority);
    xmpp::SetPayload(presence, element);
    alice.inbox.clear();
    gateway_.Send(alice, presence);
    Settle();
    return Only(alice.inbox, STANZA_KIND_PRESENCE, "error").empty();
  };
  EXPECT_TRUE(send("-128"));
  EXPECT_TRUE(send("127"));
  EXPECT_TRUE(send(" +5"));
  EXPECT_FALSE(send("128"));
  EXPECT_FALSE(send("-129"));
  EXPECT_FALSE(send("high"));
  EXPECT_FALSE(send("5x"));
  EXPECT_FALSE(send("99999999999999999999"));
  EXPECT_FALSE(send("+-5"));
}

TEST_F(PresenceTest, UnknownTypeIsRefused) {
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, Presence("invisible"));
  gateway_.Send(alice, Presence("subscribe"));
  Settle();
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "error").size(), 2u);
  EXPECT_EQ(alice.confirmed, 3u);
}

TEST_F(PresenceTest, Broadcast_DoesNotOvertakeWhatTheSameSenderSentBefore) {
  // Something of alice's waits for bob's roster: an order that is lost here leaves bob with a
  // contact that he sees for ever.
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  bob.inbox.clear();
  roster_.stuck = alice_;
  gateway_.Send(alice, Presence("subscribe", bob_));
  Settle();
  gateway_.Send(alice, Message(bob_ + "/b", "m2"));
  gateway_.Send(alice, Presence({}, {}, 7));
  gateway_.Send(alice, Message(bob_ + "/b", "m3"));
  Settle();
  EXPECT_THAT(bob.inbox, IsEmpty());
  roster_.stuck.clear();
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() == 2; }));
  std::vector<std::string> order;
  for (const xmpp::Stanza& stanza : bob.inbox)
    if (stanza.from() == alice_ + "/a")
      order.push_back(stanza.kind() == STANZA_KIND_PRESENCE
                          ? (stanza.payload().find('7') != std::string::npos ? "p" : "probe")
                          : stanza.id());
  std::erase(order, "probe");
  ASSERT_GE(order.size(), 3u);
  EXPECT_EQ(order[0], "m2");
  EXPECT_EQ(order[1], "p");
}

TEST_F(PresenceTest, Probe_OneFanoutToSeveralUsersWithoutContacts_EachAnswers) {
  // After a change of owner nobody's roster is loaded: answers come from turns of their own,
  // and must not look like repetitions of each other.
  const std::string carol = UserIn(2, 1);
  roster_.Befriend(alice_, bob_);
  roster_.Befriend(alice_, carol);
  SignIn(gateway_, bob_, "b");
  SignIn(gateway_, carol, "c");
  Kill(1);
  AddNode();
  Assign(2, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(2); }));
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  gateway_.Send(alice, Presence());
  Settle();
  EXPECT_EQ(From(alice, bob_ + "/b", "").size(), 1u);
  EXPECT_EQ(From(alice, carol + "/c", "").size(), 1u);
}

// ---- appendix E of the feature list -------------------------------------------

TEST_F(PresenceTest, InitialPresence_InOrder_Requests_ThenOfflineMessages) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& eve = SignIn(gateway_, eve_, "e");
  gateway_.Send(bob, Message(alice_, "waits"));
  gateway_.Send(eve, Presence("subscribe", alice_));
  Settle();
  bob.inbox.clear();
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  gateway_.Send(alice, Presence());
  Settle();
  EXPECT_EQ(From(bob, alice_ + "/a", "").size(), 1u);
  EXPECT_EQ(From(alice, bob_ + "/b", "").size(), 1u);
  std::vector<std::string> order;
  for (const xmpp::Stanza& stanza : alice.inbox) {
    if (stanza.type() == "subscribe") order.push_back("request");
    if (stanza.kind() == common::v1::STANZA_KIND_MESSAGE) order.push_back(stanza.id());
  }
  EXPECT_EQ(order, (std::vector<std::string>{"request", "waits"}));
}

TEST_F(PresenceTest, PendingRequests_ToEachNewAvailableResource_UntilAnswered) {
  Client& eve = SignIn(gateway_, eve_, "e");
  gateway_.Send(eve, Presence("subscribe", alice_));
  Settle();
  for (const char* resource : {"one", "two"}) {
    Client& alice = gateway_.Start(alice_, resource);
    Settle();
    gateway_.Send(alice, Presence());
    Settle();
    EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u) << resource;
    // An update is no new session.
    gateway_.Send(alice, Presence({}, {}, 3));
    Settle();
    EXPECT_EQ(Only(alice.inbox, STANZA_KIND_PRESENCE, "subscribe").size(), 1u) << resource;
    if (alice.jid.ends_with("two")) gateway_.Send(alice, Presence("unsubscribed", eve_));
    Settle();
  }
  Client& third = gateway_.Start(alice_, "three");
  Settle();
  gateway_.Send(third, Presence());
  Settle();
  EXPECT_THAT(Only(third.inbox, STANZA_KIND_PRESENCE, "subscribe"), IsEmpty());
}

TEST_F(PresenceTest, NegativePriority_NoOfflineMessages) {
  Client& bob = SignIn(gateway_, bob_, "b");
  gateway_.Send(bob, Message(alice_, "waits"));
  Settle();
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  gateway_.Send(alice, Presence({}, {}, -1));
  Settle();
  EXPECT_THAT(alice.MessageIds(), IsEmpty());
  gateway_.Send(alice, Presence({}, {}, 0));
  Settle();
  EXPECT_EQ(alice.MessageIds(), std::vector<std::string>{"waits"});
}

TEST_F(PresenceTest, InitialPresence_ProbesToAndBoth_BroadcastsToFromAndBoth) {
  const std::string to = UserIn(2, 1), from = UserIn(2, 2);
  roster_.rosters[alice_][to].to = true;
  roster_.rosters[to][alice_].from = true;
  roster_.rosters[alice_][from].from = true;
  roster_.rosters[from][alice_].to = true;
  Client& seen = SignIn(gateway_, to, "t");
  Client& seeing = SignIn(gateway_, from, "f");
  Client& alice = gateway_.Start(alice_, "a");
  Settle();
  gateway_.Send(alice, Presence());
  Settle();
  EXPECT_EQ(From(alice, to + "/t", "").size(), 1u);
  EXPECT_THAT(From(alice, from + "/f", ""), IsEmpty());
  EXPECT_EQ(From(seeing, alice_ + "/a", "").size(), 1u);
  EXPECT_THAT(From(seen, alice_ + "/a", ""), IsEmpty());
}

TEST_F(PresenceTest, RemovedContact_UnavailableExactlyOnce) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  bob.inbox.clear();
  xmpp::Stanza iq = Iq("set", {}, "r", "query", "jabber:iq:roster");
  xmpp::Element query("query", "jabber:iq:roster");
  query.Add("item").SetAttr("jid", bob_).SetAttr("subscription", "remove");
  xmpp::SetPayload(iq, query);
  gateway_.Send(alice, iq);
  Settle();
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(From(bob, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(PresenceTest, EventsForOthersToRead) {
  Client& alice = SignIn(gateway_, alice_, "a", 3);
  ASSERT_FALSE(log_.presences.empty());
  EXPECT_TRUE(log_.presences.back().available());
  EXPECT_EQ(log_.presences.back().priority(), 3);
  gateway_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_FALSE(log_.presences.back().available());
}

}  // namespace
}  // namespace rookery::session_manager
