#include "domain/outbound_window.h"

#include <gtest/gtest.h>

namespace rookery::gateway {
namespace {

using Ack = OutboundWindow::Ack;
using Arrival = OutboundWindow::Arrival;

void Give(OutboundWindow& window, int packets) {
  for (int i = 0; i < packets; ++i) window.Add(static_cast<std::int64_t>(window.last_seq()) + 100, 0, {});
}

TEST(OutboundWindow, PacketsAreTakenInOrderAndOnce) {
  OutboundWindow window;
  EXPECT_EQ(window.Classify(1), Arrival::kNext);
  EXPECT_EQ(window.Classify(2), Arrival::kGap);
  Give(window, 1);
  EXPECT_EQ(window.Classify(1), Arrival::kDuplicate);
  EXPECT_EQ(window.Classify(2), Arrival::kNext);
}

TEST(OutboundWindow, WithoutStreamManagementTheKernelSettles) {
  OutboundWindow window;
  Give(window, 3);
  EXPECT_EQ(window.unacked().size(), 3u);
  EXPECT_TRUE(window.Drained());
  EXPECT_EQ(window.acked_seq(), 3u);
  EXPECT_TRUE(window.unacked().empty());
  EXPECT_FALSE(window.Drained());
}

TEST(OutboundWindow, Xep0198_4_HIsZeroWhenEnabled) {
  OutboundWindow window;
  Give(window, 5);
  window.EnableStreamManagement(true);
  EXPECT_EQ(window.base_seq(), 5u);
  EXPECT_EQ(window.sent_h(), 0u);
  Give(window, 2);
  EXPECT_EQ(window.sent_h(), 2u);
  EXPECT_EQ(window.Acknowledge(1), Ack::kAdvanced);
  EXPECT_EQ(window.acked_seq(), 6u);
}

TEST(OutboundWindow, WhatWasGivenBeforeEnableIsStillTheKernelsToSettle) {
  OutboundWindow window;
  Give(window, 2);
  window.EnableStreamManagement(false);
  Give(window, 2);
  EXPECT_TRUE(window.Drained());
  EXPECT_EQ(window.acked_seq(), 2u);
  EXPECT_EQ(window.unacked().size(), 2u);
  EXPECT_FALSE(window.Drained());
  EXPECT_EQ(window.Acknowledge(2), Ack::kAdvanced);
  EXPECT_EQ(window.acked_seq(), 4u);
}

TEST(OutboundWindow, AnAckSettlesWhatWasGivenBeforeEnableToo) {
  OutboundWindow window;
  Give(window, 2);
  window.EnableStreamManagement(false);
  Give(window, 1);
  EXPECT_EQ(window.Acknowledge(1), Ack::kAdvanced);
  EXPECT_EQ(window.acked_seq(), 3u);
}

TEST(OutboundWindow, Xep0198_4_AnEarlierHIsIgnored) {
  OutboundWindow window;
  window.EnableStreamManagement(true);
  Give(window, 5);
  EXPECT_EQ(window.Acknowledge(4), Ack::kAdvanced);
  EXPECT_EQ(window.Acknowledge(4), Ack::kUnchanged);
  EXPECT_EQ(window.Acknowledge(2), Ack::kUnchanged);
  EXPECT_EQ(window.Acknowledge(0), Ack::kUnchanged);
  EXPECT_EQ(window.acked_seq(), 4u);
}

TEST(OutboundWindow, Xep0198_6_MoreThanWasSentIsTooHigh) {
  OutboundWindow window;
  window.EnableStreamManagement(true);
  Give(window, 5);
  EXPECT_EQ(window.Acknowledge(6), Ack::kTooHigh);
  EXPECT_EQ(window.Acknowledge(0xffffffffU), Ack::kTooHigh);
  EXPECT_EQ(window.acked_seq(), 0u);
  EXPECT_EQ(window.Acknowledge(3), Ack::kAdvanced);
  EXPECT_EQ(window.Acknowledge(0xfffffffeU), Ack::kTooHigh);
  EXPECT_EQ(window.Acknowledge(0x80000001U), Ack::kTooHigh);
}

TEST(OutboundWindow, Xep0198_4_HWrapsAt32BitsTheCountsDoNot) {
  OutboundWindow window;
  const std::uint64_t base = 7;
  const std::uint64_t acked = base + 0xfffffffeULL;  // h was 2^32-2
  window.Restore(base, acked, 77);
  EXPECT_EQ(window.last_offset(), 77);
  Give(window, 4);  // h 2^32-1, 0, 1, 2
  EXPECT_EQ(window.sent_h(), 2u);
  EXPECT_EQ(window.Acknowledge(0xffffffffU), Ack::kAdvanced);
  EXPECT_EQ(window.acked_seq(), acked + 1);
  EXPECT_EQ(window.Acknowledge(1), Ack::kAdvanced);
  EXPECT_EQ(window.acked_seq(), acked + 3);
  EXPECT_EQ(window.Acknowledge(0xfffffff0U), Ack::kUnchanged);  // an old one, from before the wrap
  EXPECT_EQ(window.Acknowledge(3), Ack::kTooHigh);
  EXPECT_EQ(window.Acknowledge(2), Ack::kAdvanced);
}

TEST(OutboundWindow, WhatIsDispensable_IsNoSignThatASessionWasGivenWhatWasAddressedToIt) {
  OutboundWindow window;
  window.Add(17, 0, {}, /*dispensable=*/false);
  window.Add(30, 0, {}, /*dispensable=*/true);
  EXPECT_EQ(window.last_offset(), 30);
  EXPECT_EQ(window.last_primary(), 17);
  window.Restore(0, 2, 40);
  EXPECT_EQ(window.last_primary(), 40);
}

TEST(OutboundWindow, KeepsStanzasOnlyWhereTheyAreNowhereElse) {
  OutboundWindow window;
  xmpp::Stanza stanza;
  stanza.set_payload("<body>x</body>");
  window.Add(17, 0, stanza);
  window.Add(-1, 4, stanza);
  EXPECT_EQ(window.kept_bytes(), 0u);
  window.Add(-1, 0, stanza);
  EXPECT_GT(window.kept_bytes(), 0u);
  ASSERT_NE(window.unacked()[2].stanza, nullptr);
  EXPECT_EQ(window.unacked()[2].stanza->payload(), "<body>x</body>");
  EXPECT_EQ(window.unacked()[0].stanza, nullptr);
  EXPECT_EQ(window.last_offset(), 17);
  window.Drained();
  EXPECT_EQ(window.kept_bytes(), 0u);
}

}  // namespace
}  // namespace rookery::gateway
