// Nobody takes all the room for what waits for the store, and what is refused is refused for good: rules S7
// and S8 of src/domain/delivery/README.md.
#include "domain/delivery/store_shares.h"

#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/delivery/delivery_state.h"

namespace rookery::session_manager {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(StoreShares, S7_ASenderHasHalfOfWhatOthersLeaveARecipient) {
  StoreShares shares({{8, 10'000}, {100, 100'000}, {4, 10'000}});
  const auto take = [&](std::string_view recipient, std::string_view sender) {
    const bool fits = shares.Fits(recipient, sender, 10);
    if (fits) shares.Add(recipient, sender, {1, 10});
    return fits;
  };
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(take("bob@x", "a@x")) << i;
  EXPECT_FALSE(take("bob@x", "a@x"));
  EXPECT_TRUE(take("bob@x", "b@x"));
  EXPECT_TRUE(take("bob@x", "b@x"));
  EXPECT_FALSE(take("bob@x", "b@x"));
  EXPECT_TRUE(take("carol@x", "a@x")) << "another recipient";
  shares.Subtract("bob@x", "a@x", {1, 10});
  EXPECT_TRUE(take("bob@x", "c@x"));
}

TEST(StoreShares, S7_ASendersShareIsOfAllRecipients) {
  StoreShares shares({{100, 100'000}, {3, 1'000}, {4, 10'000}});
  for (const char* recipient : {"a@x", "b@x", "c@x"}) shares.Add(recipient, "s@x", {1, 10});
  EXPECT_FALSE(shares.Fits("d@x", "s@x", 10));
  EXPECT_TRUE(shares.Fits("d@x", "t@x", 10));
  shares.Subtract("b@x", "s@x", {1, 10});
  EXPECT_TRUE(shares.Fits("d@x", "s@x", 10));
  EXPECT_FALSE(shares.Fits("d@x", "s@x", 981)) << "bytes";
}

TEST(StoreShares, S7_OneAlwaysFits_AndNothingIsKeptOfWhatIsOver) {
  StoreShares shares({{0, 0}, {0, 0}, {4, 1'000}});
  EXPECT_TRUE(shares.Fits("bob@x", "a@x", 1'000'000));
  shares.Add("bob@x", "a@x", {1, 1'000'000});
  EXPECT_FALSE(shares.Fits("bob@x", "b@x", 1));
  shares.Add("bob@x", {}, {3, 300});
  EXPECT_EQ(shares.LeftForPackets("bob@x").rows, 0u);
  EXPECT_EQ(shares.LeftForPackets("carol@x").rows, 4u);
  shares.Subtract("bob@x", "a@x", {1, 1'000'000});
  EXPECT_EQ(shares.LeftForPackets("bob@x").rows, 1u);
  EXPECT_EQ(shares.LeftForPackets("bob@x").bytes, 700u);
  shares.Subtract("bob@x", {}, {3, 300});
  EXPECT_TRUE(shares.empty());
}

/// PostgreSQL is away. 40 rows may wait for one recipient, 20 of one sender.
class StoreAway : public Cluster {
 protected:
  static constexpr int kOfSender = 20;
  StoreAway() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    for (int i = 0; i < 3; ++i) node(i).settings.max_store_waiting = 320;
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    alice = &SignIn(gateway_, alice_, "a");
  }
  /// Whoever is available by then is known to have nothing waiting.
  void GoAway() { database_.down = true; }
  void Say(Client& from, const std::string& to, const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) gateway_.Send(from, Message(to, prefix + std::to_string(i)));
    Settle();
  }
  static std::vector<std::string> Ids(const std::string& prefix, int from, int to) {
    std::vector<std::string> ids;
    for (int i = from; i < to; ++i) ids.push_back(prefix + std::to_string(i));
    return ids;
  }
  /// Returns the ids that the client was told are refused, in order.
  static std::vector<std::string> Refused(const Client& client) {
    std::vector<std::string> ids;
    for (const xmpp::Stanza& stanza : client.inbox) {
      if (stanza.type() != "error") continue;
      EXPECT_THAT(stanza.payload(), HasSubstr("resource-constraint"));
      EXPECT_THAT(stanza.payload(), HasSubstr("type=\"wait\""));
      ids.push_back(stanza.id());
    }
    return ids;
  }
  void Move() {
    Kill(1);
    database_.down = false;
    Assign(1, 2);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Elapse(std::chrono::seconds(1));
  }
  Shard& BobsShard() { return *node(owners_[1]).domain.shards().Find(1); }
  bool IsIdle() { return BobsShard().window.next_offset() == BobsShard().window.cursor(); }
  bool IsPaused() { return node(owners_[1]).shard_log.paused.contains(1); }
  bool Eventually(const std::function<bool()>& done) {
    return RunUntil([&] {
      if (!done()) Elapse(std::chrono::milliseconds(500));
      return done();
    });
  }
  std::vector<std::string> NextSession() {
    Client& next = SignIn(other_, bob_, "next", std::nullopt);
    other_.Send(next, Presence());
    Settle();
    Elapse(std::chrono::seconds(1));
    return next.MessageIds();
  }

  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_;
  Client* alice = nullptr;
};

TEST_F(StoreAway, S7_TheStoreIsThereAndSlow_NobodyIsRefused) {
  bool is_open = false;
  database_.on_slow = [&is_open](std::string_view call) -> Task<void> {
    while (call == "StoreOffline" && !is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Say(*alice, bob_, "m", 3 * kOfSender);
  EXPECT_THAT(Refused(*alice), IsEmpty());
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  EXPECT_EQ(database_.Waiting(bob_), 3u * kOfSender);
}

TEST_F(StoreAway, S7_OneSenderFloods_NobodyElseWaits) {
  Client& carol = SignIn(gateway_, UserIn(0, 1), "c");
  Client& dave = SignIn(other_, UserIn(1, 500), "d");
  GoAway();
  for (int i = 1; i <= 40; ++i) Say(*alice, UserIn(1, i), "m" + std::to_string(i) + "-", 10);
  EXPECT_EQ(Refused(*alice).size(), 400u - kOfSender);
  EXPECT_EQ(node(1).domain.metrics().store_no_room.Value(), 400 - kOfSender);
  EXPECT_FALSE(IsPaused());
  // Others are heard, and what they send to the absent is kept.
  Say(carol, dave.user, "d", 5);
  EXPECT_THAT(dave.MessageIds(), ElementsAreArray(Ids("d", 0, 5)));
  Say(carol, UserIn(1, 1), "c", 5);
  EXPECT_THAT(Refused(carol), IsEmpty());
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  std::size_t waiting = 0;
  for (int i = 1; i <= 40; ++i) waiting += database_.Waiting(UserIn(1, i));
  EXPECT_EQ(waiting, kOfSender + 5u) << "what was not refused";
  EXPECT_EQ(Refused(*alice).size(), 400u - kOfSender) << "nor told twice";
}

TEST_F(StoreAway, S7_OneRecipientIsFlooded_OthersAreNot) {
  std::vector<Client*> senders;
  for (int n = 1; n <= 10; ++n) senders.push_back(&SignIn(gateway_, UserIn(0, n), "s"));
  GoAway();
  std::size_t refused = 0;
  for (Client* sender : senders) {
    Say(*sender, bob_, "m", 15);
    refused += Refused(*sender).size();
  }
  Say(*alice, UserIn(1, 1), "m", 5);
  EXPECT_THAT(Refused(*alice), IsEmpty());
  EXPECT_GE(refused, 150u - 40u);
  EXPECT_FALSE(IsPaused());
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  EXPECT_EQ(database_.Waiting(bob_), 150u - refused);
  EXPECT_EQ(database_.Waiting(UserIn(1, 1)), 5u);
}

TEST_F(StoreAway, S7_SilentClientsLeaveRoomToMessages) {
  std::vector<Client*> silent;
  for (int n = 1; n <= 30; ++n) {
    Client& client = SignIn(other_, UserIn(1, n), "s");
    other_.EnableStreamManagement(client);
    client.acks = false;
    silent.push_back(&client);
  }
  GoAway();
  for (const Client* client : silent) Say(*alice, client->jid, client->user, 40);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  EXPECT_LE(BobsShard().delivery->writer->rows(), 200u) << "of 1,200 packets";
  EXPECT_FALSE(IsPaused());
  Say(*alice, bob_, "m", 5);
  EXPECT_THAT(Refused(*alice), IsEmpty());
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return IsIdle(); })) << "all of them are in the store, or the cursor stays";
  EXPECT_EQ(database_.Waiting(bob_), 5u);
  for (const Client* client : silent) EXPECT_EQ(database_.Packets(client->user, client->id), 40u);
}

TEST_F(StoreAway, S8_TheNextOwnerReadsAllOfItAgain_RefusedStaysRefused) {
  GoAway();
  Say(*alice, bob_, "m", 30);
  ASSERT_THAT(Refused(*alice), ElementsAreArray(Ids("m", kOfSender, 30)));
  Move();
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  EXPECT_EQ(database_.Waiting(bob_), static_cast<std::size_t>(kOfSender));
  EXPECT_THAT(NextSession(), ElementsAreArray(Ids("m", 0, kOfSender)));
  EXPECT_EQ(Refused(*alice).size(), 10u) << "told once";
}

TEST_F(StoreAway, S8_AnOwnerInBetweenHasStoredIt_ItIsTakenBack) {
  GoAway();
  Say(*alice, bob_, "m", 30);
  const events::v1::MessageRefused* last = nullptr;
  std::vector<events::v1::UserRecord> records = log_.Records(1);
  for (const auto& record : records)
    if (record.has_message_refused()) last = &record.message_refused();
  ASSERT_NE(last, nullptr);
  const auto id = static_cast<std::uint64_t>(last->offset()) + 1;
  database_.offline[bob_][id].stanza = std::make_shared<xmpp::Stanza>(Message(bob_, "m29"));
  Move();
  EXPECT_THAT(NextSession(), ElementsAreArray(Ids("m", 0, kOfSender)));
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(StoreAway, S8_TheOwnerDiesBeforeTheLogKnows_NothingIsRefused) {
  log_.refuse = [](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_message_refused() ? absl::InternalError("refused") : absl::OkStatus();
  };
  GoAway();
  Say(*alice, bob_, "m", 30);
  EXPECT_THAT(Refused(*alice), IsEmpty()) << "not before it is on record";
  Move();
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  EXPECT_THAT(NextSession(), ElementsAreArray(Ids("m", 0, 30)));
  EXPECT_THAT(Refused(*alice), IsEmpty());
}

TEST_F(StoreAway, S8_TheRecordComesBehindTheNextOwnersFence_ItCountsForNobody) {
  GoAway();
  Say(*alice, bob_, "m", 30);
  std::string late;
  for (std::string& value : log_.users[1]) {
    events::v1::UserRecord record;
    if (record.ParseFromString(value) && record.has_message_refused()) late = value;
  }
  ASSERT_FALSE(late.empty());
  // As if the log had got it only now: behind the fence of its own successor it is somebody else's.
  const std::size_t refused = Refused(*alice).size();
  Move();
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  log_.users[1].push_back(late);
  Settle();
  EXPECT_EQ(Refused(*alice).size(), refused);
}

TEST_F(StoreAway, S8_TheLogWillNeverKnow_ItIsKeptAfterAll) {
  node(1).settings.max_refused_records = 0;
  log_.refuse = [](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_message_refused() ? absl::InternalError("refused") : absl::OkStatus();
  };
  GoAway();
  Say(*alice, bob_, "m", 30);
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  EXPECT_EQ(database_.Waiting(bob_), 30u);
  EXPECT_THAT(Refused(*alice), IsEmpty());
}

TEST_F(StoreAway, S8_WhoBecomesAvailableMeanwhile_IsNotGivenWhatIsRefused) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  GoAway();
  Say(*alice, bob_, "m", 30);
  other_.Send(bob, Presence());
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == static_cast<std::size_t>(kOfSender); }));
  ASSERT_TRUE(Eventually([&] { return IsIdle(); }));
  EXPECT_THAT(bob.MessageIds(), ElementsAreArray(Ids("m", 0, kOfSender)));
  EXPECT_THAT(Refused(*alice), ElementsAreArray(Ids("m", kOfSender, 30)));
}

}  // namespace
}  // namespace rookery::session_manager
