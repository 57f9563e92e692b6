// Rules P1 to P3 of src/domain/delivery/README.md: where a message is, at every moment.
#include "delivery_rules.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MessagePlaces : public DeliveryRules {
 protected:
  std::int64_t NextOffset() const { return static_cast<std::int64_t>(log_.users[1].size()); }
  /// Whether the record of bob's shard is read again by whoever owns the shard next.
  bool IsInLog(std::int64_t offset) { return BobsShard().window.cursor() <= offset; }
  bool IsInStore(const std::string& id) const {
    const auto is_it = [&](const WaitingStore::SharedStanza& stanza) { return stanza && stanza->id() == id; };
    if (const auto rows = database_.offline.find(bob_); rows != database_.offline.end())
      for (const auto& [name, row] : rows->second)
        if (!row.given_at_ms && is_it(row.stanza)) return true;
    for (const auto& [session, rows] : database_.packets)
      for (const auto& [seq, row] : rows)
        if (session.owner == bob_ && is_it(row.packet.stanza)) return true;
    return false;
  }
};

// ---- P1 -------------------------------------------------------------------------

/// Goes on by single steps, and what is to be looked at is looked at after each.
class SingleSteps : public MessagePlaces {
 protected:
  void Look() {
    ++steps;
    if (on_step) on_step();
  }
  /// Until nothing moves any more.
  void Run() {
    for (bool moved = true; moved;) {
      io_.restart();
      moved = io_.poll_one() > 0;
      Look();
      if (moved) continue;
      moved = PumpLog();
      Look();
      for (auto& gateway : gateways_) {
        moved = gateway->Pump() || moved;
        Look();
      }
    }
  }
  void Pass(std::chrono::milliseconds time) {
    for (; time.count() > 0; time -= std::chrono::milliseconds(500)) {
      clock_.Advance(std::chrono::milliseconds(500));
      for (auto& node : nodes_) {
        if (!node->alive) continue;
        node->Sweep();
        Look();
        node->owner.CommitCursors();
        Look();
      }
      Run();
    }
  }
  /// m1 comes for bob, whose client says nothing, is stored under his session, which ends, and comes to the
  /// next one, whose connection is lost, and to the one after that, which takes it.
  void Play() {
    gateway_.Send(*alice, Message(bob_, "m1"));
    Run();
    Pass(settings_.window_time + std::chrono::seconds(1));
    other_.End(*first, END_REASON_CLOSED);
    Run();
    Pass(std::chrono::seconds(1));
    other_.Send(*second, Presence());
    Run();
    Pass(settings_.window_time + std::chrono::seconds(1));
    other_.End(*second, END_REASON_CONNECTION_LOST);
    Run();
    Pass(std::chrono::seconds(1));
    other_.Send(*third, Presence());
    Run();
    Pass(std::chrono::seconds(2));
  }
  void Begin() {
    first = &Available("first", /*acks=*/false);
    second = &SignIn(other_, bob_, "second", std::nullopt);
    third = &SignIn(other_, bob_, "third", std::nullopt);
    second->acks = false;
    Elapse(std::chrono::seconds(1));
  }
  int steps = 0;
  std::function<void()> on_step;
  Client *first = nullptr, *second = nullptr, *third = nullptr;
};

TEST_F(SingleSteps, P1_AfterEachStep_ItIsInTheLog_InTheStore_OrWithItsClient) {
  Begin();
  const std::int64_t offset = NextOffset();
  bool is_said = false;
  on_step = [&] {
    is_said = is_said || NextOffset() > offset;
    if (!is_said || HasFailure()) return;
    const std::vector<std::string> taken = third->MessageIds();
    EXPECT_TRUE(IsInLog(offset) || IsInStore("m1") || !taken.empty()) << "after step " << steps;
  };
  Play();
  EXPECT_FALSE(IsInLog(offset));
  EXPECT_FALSE(IsInStore("m1"));
  EXPECT_THAT(second->MessageIds(), ElementsAre("m1")) << "it was on its way";
  EXPECT_THAT(third->MessageIds(), ElementsAre("m1"));
  EXPECT_GT(steps, 100);
}

/// The owner dies after one of the steps.
class LastStep : public SingleSteps, public ::testing::WithParamInterface<int> {};

TEST_P(LastStep, P1_WhicheverIsTheLastOneOfTheOwner_TheNextOneHasIt) {
  struct Dead {};
  Begin();
  const std::int64_t offset = NextOffset();
  on_step = [&, left = GetParam()]() mutable {
    if (NextOffset() > offset && left-- == 0) throw Dead{};
  };
  try {
    Play();
  } catch (const Dead&) {
  }
  on_step = {};
  Move();
  third->acks = true;
  if (third->MessageIds().empty()) {
    for (Client* client : {first, second})
      if (!client->ended && !client->pending_end) other_.End(*client, END_REASON_CLOSED);
    other_.Send(*third, Presence());
    ASSERT_TRUE(Eventually([&] { return !third->MessageIds().empty(); }));
  }
  EXPECT_THAT(third->MessageIds(), ElementsAre("m1"));
  ASSERT_TRUE(Eventually([&] { return Unfinished() == 0 && database_.Waiting(bob_) == 0; }));
  EXPECT_THAT(NextSession(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Every, LastStep, ::testing::Range(0, 200, 5));

// ---- P2 -------------------------------------------------------------------------

TEST_F(MessagePlaces, P2_EveryOwnerAndEveryRepetitionWritesTheSameRow) {
  const std::int64_t offset = NextOffset();
  database_.ambiguous = true;
  Say("m1", bob_);
  int statements = 0;
  database_.on_call = [&](std::string_view call) { statements += call == "StoreOffline" ? 1 : 0; };
  ASSERT_TRUE(RunUntil([&] { return statements == 2; })) << "the answers are lost";
  Move();
  ASSERT_TRUE(Eventually([&] { return Unfinished() == 0; }));
  ASSERT_EQ(database_.offline[bob_].size(), 1u);
  EXPECT_EQ(database_.offline[bob_].begin()->first, static_cast<std::uint64_t>(offset) + 1);
  EXPECT_THAT(NextSession(), ElementsAre("m1"));
}

TEST_F(MessagePlaces, P2_ASessionThatEndsLeavesItUnderTheSameName) {
  Client& bob = Available("b", /*acks=*/false);
  const std::int64_t offset = NextOffset();
  Say("m1", bob_);
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_TRUE(IsInStore("m1"));
  Kill(1);
  other_.End(bob, END_REASON_CLOSED);
  Assign(1, 2);
  ASSERT_TRUE(Eventually([&] { return IsLive(1) && database_.Waiting(bob_) == 1; }));
  EXPECT_EQ(database_.offline[bob_].begin()->first, static_cast<std::uint64_t>(offset) + 1);
}

// ---- P3 -------------------------------------------------------------------------

TEST_F(MessagePlaces, P3_ItsSessionEnds_ItsRecordIsHeldUntilTheStoreHasIt) {
  Client& bob = Available("b", /*acks=*/false);
  const std::int64_t offset = NextOffset();
  Say("m1", bob_);
  bool is_open = false;
  Gate("StoreOffline", is_open);
  other_.End(bob, END_REASON_CLOSED);
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(2));
  EXPECT_TRUE(IsInLog(offset));
  EXPECT_FALSE(IsInStore("m1"));
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return !IsInLog(offset); }));
  EXPECT_TRUE(IsInStore("m1"));
  Repair();
}

TEST_F(MessagePlaces, P3_APushHoldsTheRecordOfTheChange) {
  Client& bob = Available("b");
  other_.Send(bob, Iq("get", {}, "roster", "query", "jabber:iq:roster"));
  Settle();
  Elapse(std::chrono::seconds(1));
  bob.acks = false;
  const std::int64_t offset = NextOffset();
  xmpp::Stanza set = Iq("set", {}, "set", "query", "jabber:iq:roster");
  xmpp::Element query("query", "jabber:iq:roster");
  query.Add("item").SetAttr("jid", "carol@localhost");
  xmpp::SetPayload(set, query);
  other_.Send(bob, set);
  ASSERT_TRUE(RunUntil([&] { return Only(bob.inbox, common::v1::STANZA_KIND_IQ, "set").size() == 1; }));
  EXPECT_TRUE(IsInLog(offset));
  other_.Deliver(bob, bob.last_seq);
  Settle();
  EXPECT_FALSE(IsInLog(offset));
}

}  // namespace
}  // namespace rookery::session_manager
