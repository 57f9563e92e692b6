#include <gmock/gmock.h>

#include <algorithm>
#include <stdexcept>

#include "domain/metrics.h"
#include "domain/presence/presence_tracker.h"
#include "presence_cluster.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_PRESENCE;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RosterAway : public PresenceCluster {
 protected:
  /// The owner of alice's shard dies, and a new process has its shards.
  void NextOwner(std::optional<std::size_t> most_owed = {}) {
    const int owner = owners_[0];
    Kill(owner, /*lose=*/true);
    log_.held = false;
    Node& next = AddNode();
    if (most_owed) next.settings.max_owed_presences = *most_owed;
    for (const auto& [shard, number] : std::map(owners_))
      if (number == owner) Assign(shard, static_cast<int>(nodes_.size()) - 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  }
  Client* alice = nullptr;
  Client* bob = nullptr;
};

/// alice and bob see each other; a new owner has alice's session, and the roster is away.
class RosterAwayTest : public RosterAway {
 protected:
  void SetUp() override {
    roster_.Befriend(alice_, bob_);
    bob = &SignIn(gateway_, bob_, "b");
    alice = &SignIn(gateway_, alice_, "a");
    NewOwner();
    roster_.down = true;
    bob->inbox.clear();
  }
  /// Whether all records of alice's shard are.
  bool IsFinished() {
    const Shard* const shard = nodes_.back()->domain.shards().Find(0);
    return shard != nullptr && shard->live() && shard->window.cursor() == shard->window.next_offset();
  }
  void NewOwner() {
    // The cursor first: what the log says again would load the roster.
    Elapse(std::chrono::seconds(1));
    NextOwner();
  }
};

TEST_F(RosterAwayTest, Unavailable_IsToldWhenTheRosterIsBack_Once) {
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  EXPECT_THAT(bob->inbox, IsEmpty());
  // It holds back nothing of hers.
  gateway_.Send(*bob, Message(alice_ + "/a", "m"));
  Settle();
  EXPECT_EQ(alice->MessageIds(), std::vector<std::string>{"m"});
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(From(*bob, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(RosterAwayTest, UnavailableThenAvailable_InThatOrder) {
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  roster_.down = false;
  gateway_.Send(*alice, Presence({}, {}, 5));
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "").empty(); }));
  Settle();
  std::vector<std::string> types;
  for (const xmpp::Stanza& stanza : bob->inbox)
    if (stanza.from() == alice_ + "/a" && stanza.type() != "probe") types.push_back(stanza.type());
  EXPECT_EQ(types, (std::vector<std::string>{"unavailable", ""}));
}

TEST_F(RosterAwayTest, TheSessionEnds_ToldWhenTheRosterIsBack) {
  gateway_.Send(*alice, Presence({}, eve_));
  Client& eve = SignIn(gateway_, eve_, "e", std::nullopt);
  gateway_.End(*alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_TRUE(alice->ended.has_value());
  EXPECT_THAT(bob->inbox, IsEmpty());
  (void)eve;
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
  Settle();
  EXPECT_EQ(From(*bob, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(RosterAwayTest, ManySessionsEnd_AllAreToldHoweverLongItTakes) {
  std::vector<std::string> contacts;
  std::vector<Client*> clients;
  roster_.down = false;
  for (int i = 2; i < 12; ++i) {
    contacts.push_back(UserIn(0, i));
    roster_.Befriend(contacts.back(), bob_);
    clients.push_back(&SignIn(gateway_, contacts.back(), "c"));
  }
  NewOwner();
  nodes_.back()->settings.max_owed_presences = 3;
  roster_.down = true;
  for (Client* client : clients) gateway_.End(*client, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  clock_.Advance(std::chrono::minutes(16));
  Settle();
  const Shard& shard = *nodes_.back()->domain.shards().Find(0);
  EXPECT_LT(shard.window.cursor(), shard.window.next_offset()) << "the ends are not finished";
  roster_.down = false;
  for (const std::string& contact : contacts)
    ASSERT_TRUE(RunUntil([&] { return From(*bob, contact + "/c", "unavailable").size() == 1; })) << contact;
  Settle();
  EXPECT_EQ(shard.window.cursor(), shard.window.next_offset());
}

TEST_F(RosterAwayTest, AskingThrowsForMany_AllAreToldAllTheSame) {
  std::vector<Client*> clients;
  roster_.down = false;
  for (int i = 2; i < 42; ++i) {
    const std::string contact = UserIn(0, i);
    roster_.Befriend(contact, bob_);
    clients.push_back(&SignIn(gateway_, contact, "c"));
  }
  NewOwner();
  roster_.held = true;
  for (Client* client : clients) gateway_.End(*client, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  const Domain& domain = nodes_.back()->domain;
  int thrown = 0;
  // As long as the shard is not acquired afresh.
  roster_.on_get = [&, epoch = domain.shards().Find(0)->epoch] {
    const Shard* const shard = domain.shards().Find(0);
    if (shard == nullptr || shard->epoch != epoch) return;
    ++thrown;
    throw std::runtime_error("not readable");
  };
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] {
    return std::all_of(clients.begin(), clients.end(),
                       [&](const Client* client) { return !From(*bob, client->jid, "unavailable").empty(); });
  }));
  EXPECT_GT(thrown, 0);
  EXPECT_TRUE(RunUntil([&] { return IsFinished(); })) << "the ends are finished";
}

TEST_F(RosterAwayTest, AskingThrows_TheContactIsTold) {
  gateway_.End(*alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  roster_.on_get = [&] {
    roster_.on_get = nullptr;
    throw std::runtime_error("not readable");
  };
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
  EXPECT_FALSE(roster_.on_get);
  EXPECT_TRUE(RunUntil([&] { return IsFinished(); }));
}

TEST_F(RosterAwayTest, TellingThrows_TheContactIsToldAllTheSame) {
  gateway_.End(*alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  log_.on_append = [&](events::Topic topic) {
    if (topic != events::Topic::kUsers) return;
    log_.on_append = nullptr;
    throw std::runtime_error("not appended");
  };
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
  EXPECT_FALSE(log_.on_append);
  EXPECT_TRUE(RunUntil([&] { return IsFinished(); }));
}

TEST_F(RosterAwayTest, TheOwnerDiesMeanwhile_TheNextOneTells) {
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  NewOwner();
  EXPECT_THAT(From(*bob, alice_ + "/a", "unavailable"), IsEmpty());
  // As after a freeze.
  Domain& domain = nodes_.back()->domain;
  domain.presence().OnShardLive(*domain.shards().Find(0));
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
  NewOwner();
  Settle();
  EXPECT_EQ(From(*bob, alice_ + "/a", "unavailable").size(), 1u);
}

TEST_F(RosterAwayTest, TheOwnerDiesBeforeTheLogHasIt_TheNextOneTells) {
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  const PresenceTracker& presence = nodes_.back()->domain.presence();
  ASSERT_TRUE(RunUntil([&] { return presence.IsRosterAway(alice_); }));
  log_.held = true;
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !presence.IsRosterAway(alice_); }));
  EXPECT_TRUE(StateOf(*alice).unavailable_untold());
  NextOwner();
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
  EXPECT_TRUE(RunUntil([&] { return !StateOf(*alice).unavailable_untold(); }));
}

// For the owner that comes when this one and the session's gateway have died.
TEST_F(RosterAwayTest, TheDirectorySaysThatTheContactSeesIt_UntilTheLogHasThatItIsGone) {
  const auto is_seen = [&] { return directory_.shards.at(0).sessions.at(alice_ + "/a").is_available; };
  gateway_.Send(*alice, Presence("unavailable"));
  Elapse(std::chrono::seconds(2));
  EXPECT_TRUE(is_seen());
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !StateOf(*alice).unavailable_untold(); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_FALSE(is_seen());
}

TEST_F(RosterAwayTest, ForHowLongItMayBe_TheContactIsTold) {
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  clock_.Advance(std::chrono::minutes(16));
  Settle();
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
}

// So most clients sign off.
TEST_F(RosterAwayTest, UnavailableAndTheEndOfTheStream_TheContactIsToldOnce) {
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  clock_.Advance(std::chrono::minutes(16));
  Settle();
  EXPECT_THAT(bob->inbox, IsEmpty());
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
  Settle();
  EXPECT_EQ(From(*bob, alice_ + "/a", "unavailable").size(), 1u);
  EXPECT_TRUE(RunUntil([&] { return IsFinished(); }));
}

TEST_F(RosterAwayTest, UnavailableAndTheEndOfTheStream_TheNextOwnerTells) {
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  NewOwner();
  Settle();
  EXPECT_THAT(bob->inbox, IsEmpty());
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
}

TEST_F(RosterAwayTest, UnavailableWhileTooMuchIsOwed_TheContactIsToldAllTheSame) {
  Elapse(std::chrono::seconds(1));
  NextOwner(/*most_owed=*/0);
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  Settle();
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "unavailable").empty(); }));
}

TEST_F(RosterAwayTest, Probe_IsAnsweredWhenTheRosterIsBack) {
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  EXPECT_THAT(bob->inbox, IsEmpty());
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "").empty(); }));
  Client& eve = SignIn(gateway_, eve_, "e");
  roster_.down = true;
  NewOwner();
  gateway_.Send(eve, Presence("probe", alice_));
  Settle();
  roster_.down = false;
  gateway_.Send(*bob, Presence("probe", alice_));
  ASSERT_TRUE(RunUntil([&] { return From(*bob, alice_ + "/a", "").size() == 2; }));
  EXPECT_THAT(eve.inbox, IsEmpty());
}

TEST_F(RosterAwayTest, ProbeAfterALongTime_IsAnsweredWhenTheRosterIsBack) {
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  clock_.Advance(std::chrono::minutes(16));
  gateway_.Send(*bob, Presence("probe", alice_));
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "").empty(); }));
}

TEST_F(RosterAwayTest, MoreProbesThanAreNoted_AllAreAnsweredWhenTheRosterIsBack) {
  roster_.Befriend(alice_, eve_);
  Client& eve = SignIn(gateway_, eve_, "e", std::nullopt);
  for (int i = 0; i < 101; ++i) gateway_.Send(eve, Presence("probe", alice_));
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "").empty(); }));
}

// Only the first one waits for the roster.
TEST_F(RosterAwayTest, ManyPresences_NoneHoldsBackWhatTheClientSendsNext) {
  const auto refusals = [&] { return Only(alice->inbox, STANZA_KIND_PRESENCE, "error").size(); };
  const PresenceTracker& presence = nodes_.back()->domain.presence();
  gateway_.Send(*alice, Presence());
  ASSERT_TRUE(RunUntil([&] { return refusals() == 1; }));
  for (int i = 0; i < 9; ++i) gateway_.Send(*alice, Presence());
  gateway_.Send(*alice, Message(bob_ + "/b", "m"));
  Settle();
  EXPECT_EQ(bob->MessageIds(), std::vector<std::string>{"m"});
  EXPECT_EQ(refusals(), 10u);
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !presence.IsRosterAway(alice_); }));
  gateway_.Send(*alice, Presence({}, {}, 7));
  EXPECT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "").empty(); }));
}

/// alice's client says that it is available while the roster is away.
class PresenceDue : public RosterAway {
 protected:
  PresenceDue() {
    roster_.Befriend(alice_, bob_);
    bob = &SignIn(gateway_, bob_, "b");
    roster_.down = true;
    alice = &gateway_.Start(alice_, "a");
    Settle();
    bob->inbox.clear();
  }
  void SayAvailable() {
    gateway_.Send(*alice, Presence({}, {}, 3));
    ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
    EXPECT_THAT(From(*bob, alice_ + "/a", ""), IsEmpty());
  }
  std::size_t Refusals() const { return Only(alice->inbox, STANZA_KIND_PRESENCE, "error").size(); }
};

TEST_F(PresenceDue, TheRosterIsBack_TheClientIsThere_AndHasWhatWaited) {
  SayAvailable();
  gateway_.Send(*bob, Message(alice_, "m1"));
  Settle();
  EXPECT_EQ(Refusals(), 0u);
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return From(*bob, alice_ + "/a", "").size() == 1; }));
  ASSERT_TRUE(RunUntil([&] { return From(*alice, bob_ + "/b", "").size() == 1; }))
      << "its probes are answered";
  ASSERT_TRUE(RunUntil([&] { return alice->MessageIds() == std::vector<std::string>{"m1"}; }));
  EXPECT_FALSE(StateOf(*alice).has_presence_due());
  EXPECT_EQ(StateOf(*alice).priority(), 3);
}

TEST_F(PresenceDue, ItsOwnerDies_TheNextOwnerGoesOn) {
  SayAvailable();
  NextOwner();
  roster_.down = false;
  EXPECT_TRUE(RunUntil([&] { return From(*bob, alice_ + "/a", "").size() == 1; }));
}

TEST_F(PresenceDue, ItsOwnerDiesBeforeTheLogHasIt_TheNextOneSaysIt) {
  SayAvailable();
  log_.held = true;
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return StateOf(*alice).available(); }));
  NextOwner();
  EXPECT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "").empty(); }));
  EXPECT_TRUE(RunUntil([&] { return !From(*alice, bob_ + "/b", "").empty(); })) << "its probes are answered";
  EXPECT_TRUE(RunUntil([&] { return !StateOf(*alice).presence_missed(); }));
}

TEST_F(PresenceDue, TooMuchIsOwedAlreadyByTheNextOwner_TheClientMayTryAgain) {
  SayAvailable();
  NextOwner(/*most_owed=*/0);
  ASSERT_TRUE(RunUntil([&] { return Refusals() == 1; }));
  EXPECT_FALSE(StateOf(*alice).has_presence_due());
}

TEST_F(PresenceDue, TheClientHasGoneMeanwhile_NobodySeesIt) {
  SayAvailable();
  gateway_.Send(*alice, Presence("unavailable"));
  ASSERT_TRUE(RunUntil([&] { return alice->confirmed == alice->sent; }));
  roster_.down = false;
  Client& desk = SignIn(gateway_, alice_, "desk");
  ASSERT_TRUE(RunUntil([&] { return From(*bob, alice_ + "/desk", "").size() == 1; }));
  (void)desk;
  EXPECT_THAT(From(*bob, alice_ + "/a", ""), IsEmpty());
}

TEST_F(PresenceDue, TheClientSaysItAgain_ItIsSaidOnce) {
  SayAvailable();
  roster_.down = false;
  gateway_.Send(*alice, Presence({}, {}, 4));
  ASSERT_TRUE(RunUntil([&] { return !From(*bob, alice_ + "/a", "").empty(); }));
  Elapse(std::chrono::seconds(5));
  EXPECT_EQ(From(*bob, alice_ + "/a", "").size(), 1u);
  EXPECT_EQ(StateOf(*alice).priority(), 4);
}

TEST_F(PresenceDue, TooMuchIsOwedAlready_TheClientMayTryAgain) {
  for (auto& node : nodes_) node->settings.max_owed_presences = 0;
  gateway_.Send(*alice, Presence());
  ASSERT_TRUE(RunUntil([&] { return Refusals() == 1; }));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_PRESENCE, "error")[0].payload(), HasSubstr("type=\"wait\""));
  roster_.down = false;
  gateway_.Send(*alice, Presence());
  EXPECT_TRUE(RunUntil([&] { return From(*bob, alice_ + "/a", "").size() == 1; }));
}

}  // namespace
}  // namespace rookery::session_manager
