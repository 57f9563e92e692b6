// Which stored messages a session has been given whose gateway comes late (SL12).
#include "domain/delivery/late_claim.h"

#include <gtest/gtest.h>

#include <memory>

#include "domain/delivery/late_sessions.h"

namespace rookery::session_manager {
namespace {

class LateClaimTest : public ::testing::Test {
 protected:
  LateClaimTest() {
    session.jid = xmpp::Jid::FromTrusted("bob@localhost/b");
    session.state.set_start_offset(10);
    session.late_offset = session.last_offset = 20;
  }
  void Unacknowledged(std::int64_t offset, std::uint64_t stored_id = 0) {
    UnackedPacket packet;
    packet.seq = ++session.last_seq;
    packet.offset = offset;
    packet.stored_id = stored_id;
    session.unacked.push_back(std::move(packet));
  }
  Session session;
};

TEST_F(LateClaimTest, OnlyWhatItCanHaveBeenGiven) {
  EXPECT_EQ(ClaimOf(session, 10, "bob@localhost"), LateClaim::kNone) << "before it began";
  EXPECT_EQ(ClaimOf(session, 11, "bob@localhost"), LateClaim::kAcknowledged);
  EXPECT_EQ(ClaimOf(session, 20, "bob@localhost/b"), LateClaim::kAcknowledged);
  EXPECT_EQ(ClaimOf(session, 21, "bob@localhost"), LateClaim::kNone) << "newer than all that it has";
}

TEST_F(LateClaimTest, ASessionThatWasThereInTimeClaimsNothing) {
  session.late_offset = -1;
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kNone);
}

TEST_F(LateClaimTest, NotAnotherSessionsMessages) {
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost/desk"), LateClaim::kNone);
  Unacknowledged(15);  // its carbon copy
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost/desk"), LateClaim::kNone);
}

TEST_F(LateClaimTest, NotWhatWentToTheStoreWhileItWasThere) {
  auto& range = *session.state.add_passed_over();
  range.set_first(14);
  range.set_last(16);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kNone);
  EXPECT_EQ(ClaimOf(session, 17, "bob@localhost"), LateClaim::kAcknowledged);
}

TEST_F(LateClaimTest, OfNegativePriority_OnlyWhatIsForItsFullJid) {
  session.state.set_priority(-1);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kNone);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost/b"), LateClaim::kAcknowledged);
}

TEST_F(LateClaimTest, APacketWithoutItsStanza_WaitsForTheRow) {
  Unacknowledged(15);
  EXPECT_EQ(ClaimOf(session, 15, "bob@localhost"), LateClaim::kUnacknowledged);
  ASSERT_NE(FindEmptyPacket(session, 15), nullptr);
  FindEmptyPacket(session, 15)->delivery = std::make_shared<Delivery>();
  EXPECT_EQ(FindEmptyPacket(session, 15), nullptr);
}

}  // namespace
}  // namespace rookery::session_manager
