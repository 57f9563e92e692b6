// Rules W1 to W4, W7 and W8 of src/domain/delivery/README.md: what waits for a user, and how it is handed
// out.
#include "delivery_rules.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using session::v1::END_REASON_CLOSED;
using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(DeliveryRules, W1_OnItsWayIntoASlowStore_GivenFromMemoryBeforeWhatCameLater) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  Stop("StoreOffline");
  Say("m1", bob_);
  Say("m2", bob_);
  other_.Send(bob, Presence());
  Settle();
  Say("m3", bob_);
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
}

TEST_F(DeliveryRules, W1_TheStoreIsAway_TheNewerWaitsForTheOlder) {
  Say("m1", bob_);  // in the store
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  database_.down = true;
  Say("m2", bob_);
  other_.Send(bob, Presence());
  Settle();
  Say("m3", bob_);
  Elapse(std::chrono::seconds(10));
  EXPECT_THAT(bob.MessageIds(), IsEmpty());
  database_.down = false;
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 3; }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 0 && Unfinished() == 0; }));
  EXPECT_THAT(NextSession(), IsEmpty());
}

TEST_F(DeliveryRules, W8_ANewOwnersStoreIsSlow_TheNewerWaitsForWhatWasReadAgain) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  Kill(1);
  for (const char* id : {"m1", "m2"}) Say(id, bob_);
  bool is_open = false;
  Gate("StoreOffline", is_open);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  other_.Send(bob, Presence());
  Settle();
  Say("m3", bob_);
  EXPECT_THAT(bob.MessageIds(), IsEmpty());
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 3; }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
  Repair();
}

TEST_F(DeliveryRules, W1_ANewOwnersStoreIsSlow_TheSuccessorOfASessionHasWhatWasReadAgainFirst) {
  Client& old = Available("b");
  Kill(1);
  old.acks = false;
  for (const char* id : {"m1", "m2", "m3"}) Say(id, bob_);
  bool is_open = false;
  Gate("StoreOffline", is_open);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  for (const char* id : {"m4", "m5"}) Say(id, bob_);
  other_.End(old, END_REASON_CLOSED);
  Client& bob = other_.Start(bob_, "b");
  Settle();
  ASSERT_TRUE(bob.started);
  other_.Send(bob, Presence());
  Settle();
  Elapse(std::chrono::seconds(1));
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 5; }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3", "m4", "m5"));
}

TEST_F(DeliveryRules, W1_WhatWasReadAgainIsBeingWritten_NothingNewerGoesBeforeIt) {
  Say("m1", bob_);
  Elapse(std::chrono::seconds(1));
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  database_.down = true;
  other_.Send(bob, Presence());
  Settle();
  Kill(1);
  Say("m2", bob_);
  Repair();
  bool is_written = false, is_read = false;
  database_.on_slow = [&](std::string_view name) -> Task<void> {
    while ((name == "StoreOffline" && !is_written) || (name == "LoadOffline" && !is_read))
      co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Say("m3", bob_);
  is_read = true;
  ASSERT_TRUE(RunUntil([&] { return !bob.MessageIds().empty(); }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  is_written = true;
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 3; }));
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1", "m2", "m3"));
}

TEST_F(DeliveryRules, W1_MoreThanAPageWaitsInASlowStore_NothingOvertakes) {
  for (int i = 0; i < 100; ++i) Say("a" + std::to_string(i), bob_);
  ASSERT_EQ(database_.Waiting(bob_), 100u);
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  Kill(1);
  Say("m1", bob_);
  bool is_open = false;
  Gate("StoreOffline", is_open);
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  other_.Send(bob, Presence());
  Settle();
  Say("m2", bob_);
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 100; })) << bob.MessageIds().size();
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 102; }));
  EXPECT_EQ(bob.MessageIds()[100], "m1");
  EXPECT_EQ(bob.MessageIds()[101], "m2");
  Repair();
}

TEST_F(DeliveryRules, W1_WrittenWhileTheClientTakesWhatCameBefore_NothingNewerGoesBeforeIt) {
  bool is_written = false, is_read = false;
  database_.on_slow = [&](std::string_view name) -> Task<void> {
    while ((name == "StoreOffline" && !is_written) || (name == "LoadOffline" && !is_read))
      co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  std::vector<std::string> all;
  for (int i = 0; i < 400; ++i) {
    all.push_back("m" + std::to_string(i));
    gateway_.Send(*alice, Message(bob_, all.back()));
  }
  Settle();
  Client& bob = Available("b", /*acks=*/false);
  // Nobody asks the store to keep this one: somebody is there.
  all.emplace_back("last");
  Say("last", bob_);
  is_read = true;
  ASSERT_TRUE(Eventually([&] { return !bob.MessageIds().empty(); }));
  const std::size_t given = bob.MessageIds().size();
  ASSERT_LT(given, 400u);
  is_written = true;
  ASSERT_TRUE(Eventually([&] { return database_.Waiting(bob_) >= 400 - given; }));
  bob.acks = true;
  other_.Deliver(bob, bob.last_seq);
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == all.size(); })) << bob.MessageIds().size();
  EXPECT_EQ(bob.MessageIds(), all);
  Repair();
}

TEST_F(DeliveryRules, W1_ASessionLeavesOlderOnesMeanwhile_TheyGoBeforeTheRest) {
  Client& old = SignIn(other_, bob_, "old", std::nullopt);
  old.acks = false;
  other_.Send(old, Presence({}, {}, -1));
  Settle();
  Say("old", bob_ + "/old");
  for (int i = 0; i < 400; ++i) gateway_.Send(*alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  Client& bob = Available("b", /*acks=*/false);
  const std::size_t given = bob.MessageIds().size();
  ASSERT_LT(given, 400u);
  other_.End(old, END_REASON_CLOSED);
  Elapse(std::chrono::seconds(1));
  bob.acks = true;
  other_.Deliver(bob, bob.last_seq);
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 401; })) << bob.MessageIds().size();
  EXPECT_EQ(bob.MessageIds()[given], "old");
  EXPECT_EQ(bob.MessageIds().back(), "m399");
}

TEST_F(DeliveryRules, W1_ASessionLeavesOneFromTheMiddle_ItKeepsItsPlace) {
  Client& old = SignIn(other_, bob_, "old", std::nullopt);
  old.acks = false;
  other_.Send(old, Presence({}, {}, -1));
  Settle();
  std::vector<std::string> all;
  for (int i = 0; i < 400; ++i) {
    all.push_back("m" + std::to_string(i));
    gateway_.Send(*alice, Message(i == 300 ? bob_ + "/old" : bob_, all.back()));
  }
  Settle();
  Client& bob = Available("b", /*acks=*/false);
  ASSERT_LT(bob.MessageIds().size(), 300u);
  other_.End(old, END_REASON_CLOSED);
  Elapse(std::chrono::seconds(1));
  bob.acks = true;
  other_.Deliver(bob, bob.last_seq);
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == 400; })) << bob.MessageIds().size();
  EXPECT_EQ(bob.MessageIds(), all);
}

TEST_F(DeliveryRules, W1_ASessionLeavesOlderOnesWhileTheStoreIsAsked_TheyGoBeforeTheRest) {
  Client& old = SignIn(other_, bob_, "old", std::nullopt);
  old.acks = false;
  other_.Send(old, Presence({}, {}, -1));
  Settle();
  Say("old", bob_ + "/old");
  const std::size_t page = node(2).settings.hand_out_page;
  for (std::size_t i = 0; i < page * 2; ++i) Say("m" + std::to_string(i), bob_);
  Move();  // what the session has may have been given to another one: it goes through the store
  int reads = 0;
  bool is_open = false, is_written = false;
  database_.on_slow = [&](std::string_view name) -> Task<void> {
    if (name == "LoadOffline") ++reads;
    while ((name == "LoadOffline" && reads > 1 && !is_open) || (name == "StoreOffline" && !is_written))
      co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Client& bob = Available("b");
  ASSERT_TRUE(RunUntil([&] { return bob.MessageIds().size() == page && reads > 1; }));
  other_.End(old, END_REASON_CLOSED);
  Settle();
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return reads > 2; }));
  is_written = true;
  ASSERT_TRUE(Eventually([&] { return bob.MessageIds().size() == page * 2 + 1; }));
  EXPECT_EQ(bob.MessageIds()[page], "old");
  Repair();
}

TEST_F(DeliveryRules, W1_TheReceiverGoesWhileTheStoreIsAsked_TheNewerWaitsForTheOlderAtTheNextOne) {
  Say("m1", bob_);
  bool is_open = false;
  Gate("LoadOffline", is_open);
  Client& bob = Available("b");
  Say("m2", bob_);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Settle();
  Client& again = Available("b");
  Say("m3", bob_);
  EXPECT_THAT(again.MessageIds(), IsEmpty());
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return again.MessageIds().size() == 3; }));
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2", "m3"));
  Repair();
}

TEST_F(DeliveryRules, W1_ItsClientLeavesBeforeItHasWhatWaits_TheNewerComesAfterItAtTheResumption) {
  Say("m1", bob_);
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  other_.EnableStreamManagement(bob);
  database_.down = true;
  other_.Send(bob, Presence());
  Settle();
  Say("m2", bob_);
  other_.End(bob, END_REASON_CONNECTION_LOST);
  Elapse(std::chrono::seconds(5));
  Say("m3", bob_ + "/b");
  Say("m4", bob_);
  database_.down = false;
  Elapse(std::chrono::seconds(5));
  Client& again = other_.Resume(bob, 0);
  ASSERT_TRUE(Eventually([&] { return again.MessageIds().size() == 4; }));
  EXPECT_THAT(again.MessageIds(), ElementsAre("m1", "m2", "m3", "m4"));
}

TEST_F(DeliveryRules, W2_NothingWaitsInTheStore_ItsAbsenceHoldsUpNobody) {
  Client& phone = Available("phone");
  Client& desk = SignIn(other_, bob_, "desk", 5);
  desk.acks = false;
  database_.down = true;
  Say("m1", bob_);
  EXPECT_THAT(desk.MessageIds(), ElementsAre("m1"));
  other_.End(desk, END_REASON_CLOSED);
  Settle();
  Say("m2", bob_);
  EXPECT_THAT(phone.MessageIds(), ElementsAre("m1", "m2"));
}

TEST_F(DeliveryRules, W3_ASlowClientHoldsUpNothingElseOfItsUser) {
  for (int i = 0; i < 400; ++i) gateway_.Send(*alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  ASSERT_EQ(database_.Waiting(bob_), 400u);
  Client& phone = Available("phone", /*acks=*/false);
  ASSERT_LT(phone.MessageIds().size(), 400u);
  Client& desk = SignIn(other_, bob_, "desk", -1);
  Say("d1", bob_ + "/desk");
  EXPECT_THAT(desk.MessageIds(), ElementsAre("d1"));
  gateway_.Send(*alice, Iq("get", bob_ + "/phone", "q", "query", "jabber:iq:version"));
  Settle();
  // One that was sent after them, to the same session, waits too, but not for long.
  EXPECT_EQ(Only(phone.inbox, STANZA_KIND_IQ).size(), 0u);
  Elapse(settings_.window_time + std::chrono::seconds(1));
  EXPECT_EQ(Only(phone.inbox, STANZA_KIND_IQ).size(), 1u);
  Say("last", bob_);
  phone.acks = true;
  other_.Deliver(phone, phone.last_seq);
  ASSERT_TRUE(Eventually([&] { return phone.MessageIds().size() == 401; }));
  EXPECT_EQ(phone.MessageIds().back(), "last");
  EXPECT_TRUE(Eventually([&] { return database_.Waiting(bob_) == 0; }));
}

TEST_F(DeliveryRules, W3_TheAnswerToItsClientWaitsForNothing_AndWhatItPassesIsGivenByTheNextOwner) {
  for (int i = 0; i < 400; ++i) gateway_.Send(*alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  Client& phone = Available("phone", /*acks=*/false);
  ASSERT_LT(phone.MessageIds().size(), 400u);
  gateway_.Send(*alice, Iq("get", bob_ + "/phone", "q", "query", "jabber:iq:version"));
  Settle();
  xmpp::Stanza set = Iq("set", {}, "set", "query", "jabber:iq:roster");
  xmpp::Element query("query", "jabber:iq:roster");
  query.Add("item").SetAttr("jid", "carol@example.com");
  xmpp::SetPayload(set, query);
  other_.Send(phone, set);
  Settle();
  const auto has = [&](const std::string& id) {
    return std::any_of(phone.inbox.begin(), phone.inbox.end(),
                       [&](const auto& stanza) { return stanza.id() == id; });
  };
  EXPECT_TRUE(has("set"));
  EXPECT_FALSE(has("q"));
  Move();
  phone.acks = true;
  other_.Deliver(phone, phone.last_seq);
  ASSERT_TRUE(Eventually([&] { return phone.MessageIds().size() == 400 && has("q"); }));
}

TEST_F(DeliveryRules, W7_TheStoreWasNeverAsked_ItIsTakenBack) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  bool is_open = false;
  int statements = 0;
  Gate("StoreOffline", is_open);
  database_.on_call = [&](std::string_view call) { statements += call == "StoreOffline" ? 1 : 0; };
  Say("c1", UserIn(1, 1));  // what the store is asked meanwhile
  Say("m1", bob_);
  other_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return Unfinished() == 0; }));
  EXPECT_EQ(statements, 1);
  EXPECT_THAT(NextSession(), IsEmpty());
  Repair();
}

TEST_F(DeliveryRules, W7_TheStoreWasAsked_ItIsNotTakenBack_ButMarked) {
  Client& bob = SignIn(other_, bob_, "b", std::nullopt);
  bool is_open = false;
  Gate("StoreOffline", is_open);
  Say("m1", bob_);
  other_.Send(bob, Presence());
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("m1"));
  is_open = true;
  ASSERT_TRUE(Eventually([&] { return Unfinished() == 0; }));
  ASSERT_EQ(database_.offline[bob_].size(), 1u);
  EXPECT_TRUE(database_.offline[bob_].begin()->second.given_at_ms);
  EXPECT_THAT(NextSession(), IsEmpty());
  Repair();
}

TEST_F(DeliveryRules, W4_WhatNobodyTakesInTimeLeavesTheWindow) {
  for (int i = 0; i < 400; ++i) gateway_.Send(*alice, Message(bob_, "m" + std::to_string(i)));
  Settle();
  Client& phone = Available("phone", /*acks=*/false);
  Say("last", bob_);
  EXPECT_GT(Unfinished(), 0u);
  // Presence waits its turn first.
  Elapse(settings_.window_time * 2 + std::chrono::seconds(2));
  EXPECT_EQ(Unfinished(), 0u);
  phone.acks = true;
  other_.Deliver(phone, phone.last_seq);
  ASSERT_TRUE(Eventually([&] { return phone.MessageIds().size() == 401; }));
  EXPECT_EQ(phone.MessageIds().back(), "last");
}

}  // namespace
}  // namespace rookery::session_manager
