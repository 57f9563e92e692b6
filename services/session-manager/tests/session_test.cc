#include "domain/state/session.h"

#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

TEST(InboundLedger, ConfirmsInOrderOnly) {
  InboundLedger ledger;
  EXPECT_EQ(ledger.Receive(), 1u);
  EXPECT_EQ(ledger.Receive(), 2u);
  EXPECT_FALSE(ledger.Close(2));
  EXPECT_EQ(ledger.confirmed(), 0u);
  EXPECT_TRUE(ledger.Close(1));
  EXPECT_EQ(ledger.confirmed(), 2u);
  EXPECT_EQ(ledger.received(), 2u);
}

TEST(InboundLedger, WaitsForEveryEffect) {
  InboundLedger ledger;
  ledger.Receive();
  ledger.Open(1);
  ledger.Open(1);
  EXPECT_FALSE(ledger.Close(1));
  EXPECT_FALSE(ledger.Close(1));
  EXPECT_TRUE(ledger.Close(1));
}

TEST(InboundLedger, ResetGoesOnFromThere) {
  InboundLedger ledger;
  ledger.Receive();
  ledger.Reset(1'000'000'000'000);
  EXPECT_EQ(ledger.received(), 1'000'000'000'000u);
  EXPECT_EQ(ledger.Receive(), 1'000'000'000'001u);
  // Effects of before are no longer ours to count.
  EXPECT_FALSE(ledger.Close(5));
  EXPECT_TRUE(ledger.Close(1'000'000'000'001));
}

TEST(InboundLedger, ManyInFlight) {
  InboundLedger ledger;
  for (std::uint64_t n = 1; n <= 1'000; ++n) EXPECT_EQ(ledger.Receive(), n);
  for (std::uint64_t n = 1; n <= 500; ++n) EXPECT_TRUE(ledger.Close(n));
  for (std::uint64_t n = 1'000; n > 501; --n) EXPECT_FALSE(ledger.Close(n));
  for (std::uint64_t n = 1'001; n <= 1'100; ++n) EXPECT_EQ(ledger.Receive(), n);
  EXPECT_TRUE(ledger.Close(501));
  EXPECT_EQ(ledger.confirmed(), 1'000u);
  EXPECT_EQ(ledger.received(), 1'100u);
}

UnackedPacket Packet(std::uint64_t seq) {
  UnackedPacket packet;
  packet.seq = seq;
  return packet;
}

TEST(UnackedQueue, OldestFirst) {
  UnackedQueue queue;
  EXPECT_TRUE(queue.empty());
  for (std::uint64_t seq = 1; seq <= 1'000; ++seq) queue.push_back(Packet(seq));
  for (std::uint64_t seq = 1; seq <= 900; ++seq) {
    ASSERT_EQ(queue.front().seq, seq);
    ASSERT_EQ(queue.size(), 1'001 - seq);
    queue.pop_front();
  }
  std::uint64_t expected = 901;
  for (const UnackedPacket& packet : queue) EXPECT_EQ(packet.seq, expected++);
  EXPECT_EQ(expected, 1'001u);
}

TEST(UnackedQueue, APoppedPacketLetsGoOfItsStanza) {
  UnackedQueue queue;
  auto delivery = std::make_shared<Delivery>();
  UnackedPacket packet = Packet(1);
  packet.delivery = delivery;
  queue.push_back(std::move(packet));
  queue.push_back(Packet(2));
  queue.pop_front();
  EXPECT_EQ(delivery.use_count(), 1);
  queue.pop_front();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.begin(), queue.end());
}

}  // namespace
}  // namespace rookery::session_manager
