#include "domain/state/inbound_order.h"

#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

using Kind = Errand::Kind;

Errand To(std::string user) { return {Kind::kToUser, std::move(user)}; }
Errand Ask(std::string address) { return {Kind::kQuestion, std::move(address)}; }
Errand Change(std::string address) { return {Kind::kChange, std::move(address)}; }
const Errand kMany{Kind::kToMany, {}};

session::v1::ClientStanza Stanza(std::uint64_t count) {
  session::v1::ClientStanza stanza;
  stanza.set_count(count);
  return stanza;
}

TEST(InboundOrderTest, Rule1_WhatGoesIntoTheLog_ForAnythingThatGoesIntoTheLog) {
  for (const Errand& later : {To("a@x"), Change("x"), kMany})
    for (const Errand& earlier : {To("b@x"), Change("u@x"), kMany}) EXPECT_TRUE(MustWait(later, earlier));
}

TEST(InboundOrderTest, Rule2_RequestsToOneAddress) {
  EXPECT_TRUE(MustWait(Ask("x"), Ask("x")));
  EXPECT_TRUE(MustWait(Ask("x"), Change("x")));
  EXPECT_TRUE(MustWait(Change("x"), Ask("x")));
  EXPECT_FALSE(MustWait(Ask("y"), Ask("x")));
  EXPECT_FALSE(MustWait(Ask("y"), Change("x")));
  for (const Errand& other : {To("x"), kMany}) {
    EXPECT_FALSE(MustWait(other, Ask("x")));
    EXPECT_FALSE(MustWait(Ask("x"), other));
  }
}

TEST(InboundOrderTest, WhatWaits_ComesInOrderAsSoonAsItMay) {
  InboundOrder order;
  order.Begin(1, Ask("x"));
  order.Begin(2, kMany);
  ASSERT_TRUE(order.HasToWait(Ask("x")));
  order.Wait(Stanza(3), Ask("x"));
  order.Wait(Stanza(4), To("a@x"));
  order.Wait(Stanza(5), To("a@x"));
  EXPECT_FALSE(order.TakeNext());
  order.End(2);
  auto next = order.TakeNext();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->stanza.count(), 4u);
  next = order.TakeNext();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->stanza.count(), 5u);
  EXPECT_FALSE(order.TakeNext());
  order.End(1);
  EXPECT_EQ(order.TakeNext()->stanza.count(), 3u);
  EXPECT_TRUE(order.empty());
}

TEST(InboundOrderTest, OneThatTakesItsTime_IsInItsPlace) {
  InboundOrder order;
  order.Begin(1, Ask("x"));
  order.Wait(Stanza(2), Ask("x"));
  order.Wait(Stanza(3), Ask("x"));
  order.End(1);
  ASSERT_EQ(order.TakeNext()->stanza.count(), 2u);
  order.Begin(2, Ask("x"));
  EXPECT_FALSE(order.TakeNext());
  order.End(2);
  EXPECT_EQ(order.TakeNext()->stanza.count(), 3u);
}

TEST(InboundOrderTest, OneThatWaitsIsTakenOutBeforeItsTurn) {
  InboundOrder order;
  order.Begin(1, Ask("x"));
  order.Wait(Stanza(2), Ask("x"));
  order.Wait(Stanza(3), Ask("x"));
  EXPECT_EQ(order.FindWaiting(1), nullptr) << "it has begun";
  ASSERT_NE(order.FindWaiting(2), nullptr);
  EXPECT_EQ(order.Take(2)->stanza.count(), 2u);
  EXPECT_EQ(order.FindWaiting(2), nullptr);
  EXPECT_FALSE(order.Take(2));
  order.End(1);
  EXPECT_EQ(order.TakeNext()->stanza.count(), 3u);
  EXPECT_TRUE(order.empty());
}

}  // namespace
}  // namespace rookery::session_manager
