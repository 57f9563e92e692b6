// The order of what one session sends, and which of it must wait (README.md, "Order").
#include <gmock/gmock.h>

#include <stdexcept>

#include "cluster.h"
#include "domain/metrics.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_PRESENCE;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kRoster = "jabber:iq:roster";
constexpr std::string_view kPing = "urn:xmpp:ping";

class ClientOrderTest : public Cluster {
 protected:
  // Both users are of one shard: what is said to bob is read beside what alice says to herself.
  ClientOrderTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(0, 1);
    roster_.Befriend(alice_, bob_);
    bob = &SignIn(gateway_, bob_, "b");
  }
  static xmpp::Stanza SetItem(const std::string& id, const std::string& jid) {
    xmpp::Stanza set = Iq("set", {}, id, "query", kRoster);
    xmpp::Element query("query", kRoster);
    query.Add("item").SetAttr("jid", jid);
    xmpp::SetPayload(set, query);
    return set;
  }
  static std::vector<std::string> Answers(const Client& client) {
    std::vector<std::string> ids;
    for (const xmpp::Stanza& stanza : Only(client.inbox, STANZA_KIND_IQ, "result"))
      ids.push_back(stanza.id());
    return ids;
  }
  static bool Sees(const Client& client, const std::string& jid) {
    const auto presences = Only(client.inbox, STANZA_KIND_PRESENCE, "");
    return std::any_of(presences.begin(), presences.end(),
                       [&](const auto& presence) { return presence.from() == jid; });
  }
  double OutOfOrder(int number) { return node(number).domain.metrics().records_out_of_order.Value(); }

  Gateway& gateway_;
  std::string alice_, bob_;
  Client* bob = nullptr;
};

TEST_F(ClientOrderTest, O1_TheSettingsAreNotKnown_AChangeWaitsForTheMessagesBeforeIt) {
  for (const bool is_block : {false, true}) {
    const std::string suffix = is_block ? "-b" : "-r";
    const int dead = is_block ? 1 : 0;
    if (is_block) AddNode();
    Client& alice = SignIn(gateway_, alice_, "phone" + suffix);
    Client& tablet = SignIn(gateway_, alice_, "tablet" + suffix);
    Carbons(tablet);
    bob->inbox.clear();
    // The next owner reads nothing again that it would have to know settings for before it goes live.
    node(dead).owner.CommitCursors();
    Settle();
    // Nobody owns the shard: the next owner is sent all of this again, and knows nothing of alice. What she
    // has set comes with her roster, too.
    roster_.settings_held = roster_.held = true;
    Kill(dead);
    gateway_.Send(alice, Message(bob_, "m1" + suffix));
    gateway_.Send(alice, Message(alice_, "note" + suffix));
    gateway_.Send(alice, is_block ? Block("spam@localhost", "s") : SetItem("s", "carol@localhost"));
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, dead + 1);
    ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
    Settle();
    EXPECT_THAT(bob->MessageIds(), IsEmpty()) << "it waits for what alice has set";
    roster_.settings_held = roster_.held = false;
    ASSERT_TRUE(RunUntil([&] { return alice.confirmed == alice.sent && !Answers(alice).empty(); }));
    EXPECT_THAT(bob->MessageIds(), ElementsAre("m1" + suffix));
    EXPECT_THAT(tablet.MessageIds(), ::testing::Contains("note" + suffix));
    EXPECT_TRUE(std::any_of(tablet.inbox.begin(), tablet.inbox.end(), [&](const auto& stanza) {
      return stanza.payload().find("urn:xmpp:carbons:2") != std::string::npos;
    })) << "the copy of what alice has sent";
    EXPECT_EQ(OutOfOrder(dead + 1), 0);
  }
  EXPECT_TRUE(roster_.rosters[alice_].contains("carol@localhost"));
  EXPECT_THAT(roster_.blocked[alice_], ElementsAre("spam@localhost"));
}

TEST_F(ClientOrderTest, HandlingAStanzaThatWaitedForTheSettingsFails_ItsSessionEnds_OthersGoOn) {
  const std::string carol = UserIn(0, 2);
  roster_.settings_held = true;
  Client& phone = SignIn(gateway_, alice_, "phone", std::nullopt);
  Client& tablet = SignIn(gateway_, alice_, "tablet", std::nullopt);
  Client& other = SignIn(gateway_, carol, "c", std::nullopt);
  const std::int64_t epoch = node(0).domain.shards().Find(0)->epoch;
  gateway_.Send(phone, Message(bob_, "poison"));
  gateway_.Send(phone, Message(bob_, "behind-it"));
  gateway_.Send(tablet, Message(bob_, "m1"));
  gateway_.Send(other, Message(bob_, "m2"));
  Settle();
  ASSERT_THAT(bob->MessageIds(), IsEmpty());
  log_.on_append = [&](events::Topic) {
    log_.on_append = nullptr;
    throw std::runtime_error("half-way");
  };
  roster_.settings_held = false;
  ASSERT_TRUE(RunUntil([&] { return bob->MessageIds().size() >= 2; }));
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(bob->MessageIds(), ::testing::UnorderedElementsAre("m1", "m2"));
  ASSERT_TRUE(phone.ended);
  EXPECT_EQ(phone.ended->condition(), "internal-server-error");
  EXPECT_FALSE(tablet.ended);
  EXPECT_FALSE(other.ended);
  EXPECT_EQ(node(0).domain.metrics().stanzas_failed.Value(), 1);
  EXPECT_EQ(node(0).domain.shards().Find(0)->epoch, epoch) << "it is not acquired afresh";
}

TEST_F(ClientOrderTest, O1_AChangeBehindInitialPresence_EverybodySeesTheSession) {
  Client& tablet = SignIn(gateway_, alice_, "tablet");
  Client& phone = SignIn(gateway_, alice_, "phone", std::nullopt);
  bob->inbox.clear();
  roster_.held = true;
  gateway_.Send(phone, Presence());
  gateway_.Send(phone, SetItem("s", "carol@localhost"));
  gateway_.Send(phone, Block("spam@localhost", "b"));
  Settle();
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return phone.confirmed == phone.sent && Answers(phone).size() == 2; }));
  EXPECT_TRUE(Sees(*bob, phone.jid));
  EXPECT_TRUE(Sees(tablet, phone.jid));
  EXPECT_TRUE(Sees(phone, phone.jid));
  EXPECT_TRUE(Sees(phone, bob->jid)) << "its probes";
  EXPECT_EQ(OutOfOrder(0), 0);
}

TEST_F(ClientOrderTest, O1_AChangeThatWaits_HoldsBackWhatGoesIntoTheLogAfterIt) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  gateway_.Send(alice, Message(bob_, "warm-up"));
  Settle();
  bob->inbox.clear();
  roster_.held = true;
  gateway_.Send(alice, Iq("get", {}, "q1", "query", kRoster));
  gateway_.Send(alice, SetItem("s", "carol@localhost"));
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  EXPECT_THAT(bob->MessageIds(), IsEmpty());
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return alice.confirmed == alice.sent && Answers(alice).size() == 2; }));
  EXPECT_THAT(Answers(alice), ElementsAre("q1", "s"));
  EXPECT_TRUE(roster_.rosters[alice_].contains("carol@localhost"));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(OutOfOrder(0), 0);
}

TEST_F(ClientOrderTest, O1_AQuestionBehindAChange_WaitsForThePresenceBetweenThem) {
  Client& phone = SignIn(gateway_, alice_, "phone", std::nullopt);
  bob->inbox.clear();
  roster_.held = true;
  gateway_.Send(phone, Iq("get", {}, "q1", "query", kRoster));
  gateway_.Send(phone, SetItem("s", "carol@localhost"));
  gateway_.Send(phone, Presence());
  gateway_.Send(phone, Iq("get", {}, "q2", "query", kRoster));
  gateway_.Send(phone, Message(bob_, "m1"));
  Settle();
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return phone.confirmed == phone.sent && Answers(phone).size() == 3; }));
  EXPECT_THAT(Answers(phone), ElementsAre("q1", "s", "q2"));
  for (const xmpp::Stanza& answer : Only(phone.inbox, STANZA_KIND_IQ, "result")) {
    if (answer.id() != "q2") continue;
    EXPECT_THAT(answer.payload(), ::testing::HasSubstr("carol@localhost"));
  }
  EXPECT_TRUE(Sees(*bob, phone.jid));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  EXPECT_EQ(OutOfOrder(0), 0);
}

TEST_F(ClientOrderTest, O2_AQuestion_WaitsForNothingThatGoesIntoTheLog_AndHoldsUpNothing) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  gateway_.Send(alice, Message(bob_, "warm-up"));
  Settle();
  bob->inbox.clear();
  roster_.held = true;
  gateway_.Send(alice, Iq("get", {}, "q1", "query", kRoster));
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Presence({}, {}, 3));
  Settle();
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
  EXPECT_TRUE(Sees(*bob, alice.jid));
  Client& tablet = SignIn(gateway_, alice_, "tablet", std::nullopt);
  gateway_.Send(tablet, Presence());
  gateway_.Send(tablet, Iq("get", "localhost", "q2", "ping", kPing));
  gateway_.Send(tablet, Iq("get", {}, "q3", "ping", kPing));
  Settle();
  EXPECT_THAT(Answers(tablet), ElementsAre("q2", "q3"));
  roster_.held = false;
  EXPECT_TRUE(RunUntil([&] { return alice.confirmed == alice.sent && tablet.confirmed == tablet.sent; }));
}

TEST_F(ClientOrderTest, O2_AQuestionThatHasWaited_IsAnsweredWhateverAnotherDeviceChanges) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  Client& tablet = SignIn(gateway_, alice_, "tablet");
  gateway_.Send(alice, Message(bob_, "warm-up"));
  Settle();
  bob->inbox.clear();
  roster_.held = true;
  gateway_.Send(alice, Iq("get", {}, "q1", "query", kRoster));
  gateway_.Send(alice, Iq("get", {}, "q2", "ping", kPing));
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  ASSERT_THAT(bob->MessageIds(), ElementsAre("m1"));
  // A change to the same address is on its way into the log when the turn of the second question comes.
  log_.held = true;
  gateway_.Send(tablet, SetItem("s", "carol@localhost"));
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return Answers(alice).size() == 2; }));
  EXPECT_THAT(Answers(alice), ElementsAre("q1", "q2"));
  log_.held = false;
  ASSERT_TRUE(RunUntil([&] { return alice.confirmed == alice.sent && Answers(tablet).size() == 1; }));
  EXPECT_THAT(Answers(alice), ElementsAre("q1", "q2"));
  EXPECT_EQ(OutOfOrder(0), 0);
}

TEST_F(ClientOrderTest,
       TheLogRefusesAMessageThatWentByWayOfItsSendersShard_ItsSenderHearsOfIt_AndOrderIsKept) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  alice.inbox.clear();
  bob->inbox.clear();
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    const std::string& id = record.delivery().stanza().id();
    const bool is_error = record.delivery().stanza().type() == "error";
    return is_refused && !is_error && (id == "m1" || id == "q1") ? absl::PermissionDeniedError("not yet")
                                                                 : absl::OkStatus();
  };
  // Behind a change to the same address.
  gateway_.Send(alice, Presence("subscribe", bob_));
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Iq("get", bob->jid, "q1", "ping", kPing));
  Settle();
  is_refused = false;
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  Elapse(std::chrono::seconds(5));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m2"));
  const auto errors = Only(alice.inbox, common::v1::STANZA_KIND_MESSAGE, "error");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].id(), "m1");
  EXPECT_NE(errors[0].payload().find("internal-server-error"), std::string::npos);
  EXPECT_EQ(Only(alice.inbox, STANZA_KIND_IQ, "error").size(), 1u);
  EXPECT_EQ(alice.confirmed, alice.sent);
  const Shard& shard = *node(0).domain.shards().Find(0);
  EXPECT_EQ(shard.window.cursor(), shard.window.next_offset());
}

TEST_F(ClientOrderTest, O4_AQuestionBehindAChange_TheNextOwnerGivesNewerOnesMeanwhile_ItIsAnswered) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  gateway_.Send(alice, Presence());
  Settle();
  roster_.held = true;
  gateway_.Send(alice, SetItem("s", "carol@localhost"));
  gateway_.Send(alice, Iq("get", {}, "q", "query", kRoster));
  Settle();
  Kill(0);
  for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  gateway_.Send(*bob, Message(alice.jid, "m1"));
  Settle();
  ASSERT_THAT(alice.MessageIds(), ElementsAre("m1"));
  EXPECT_THAT(Answers(alice), ElementsAre("s"));
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return Answers(alice).size() >= 2; }));
  EXPECT_THAT(Answers(alice), ElementsAre("s", "q"));
}

// The log refuses one and takes the next; the owner dies before the gateway has heard of it, and the next
// owner is sent both.
TEST_F(ClientOrderTest,
       TheLogRefusesAMessage_ItsOwnerDiesBeforeItsSenderHears_TheNextOwnerSaysItAndItIsRead) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  bob->inbox.clear();
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.delivery().stanza().id() == "m1" ? absl::PermissionDeniedError("not yet")
                                                   : absl::OkStatus();
  };
  gateway_.Send(alice, Message(bob_, "m1"));
  gateway_.Send(alice, Message(bob_, "m2"));
  // All but what goes to the gateway.
  for (bool moved = true; moved;) {
    io_.restart();
    moved = io_.poll() > 0;
    moved = PumpLog() || moved;
  }
  const auto records = log_.Records(0);
  ASSERT_TRUE(std::any_of(records.begin(), records.end(),
                          [](const auto& record) { return record.delivery().stanza().id() == "m2"; }));
  log_.refuse = nullptr;
  Kill(0);
  for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && alice.confirmed == alice.sent; }));
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m2", "m1"));
  EXPECT_THAT(Only(alice.inbox, common::v1::STANZA_KIND_MESSAGE, "error"), IsEmpty());
}

TEST_F(ClientOrderTest, O3_ARecordBehindThoseOfALaterStanza_IsAppliedAllTheSame) {
  Client& alice = SignIn(gateway_, alice_, "phone");
  const auto session = node(0).domain.table().Find(SessionId(alice.id));
  gateway_.Send(alice, Message(bob_, "m1"));
  Settle();
  ASSERT_TRUE(session->inbound.NoteRecord(alice.sent + 2));
  gateway_.Send(alice, Message(bob_, "m2"));
  Settle();
  EXPECT_EQ(OutOfOrder(0), 2) << "the message, and alice's copy of it";
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(alice.confirmed, alice.sent);
}

}  // namespace
}  // namespace rookery::session_manager
