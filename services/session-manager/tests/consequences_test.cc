// Records that follow from a cause, and those of them that the log does not take.
#include <gmock/gmock.h>

#include "cluster.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_PRESENCE;
using session::v1::END_REASON_CLOSED;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ConsequencesTest : public Cluster {
 protected:
  ConsequencesTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
  }
  /// The types of what bob has heard of alice's presence.
  static std::vector<std::string> PresenceTypes(const Client& client) {
    std::vector<std::string> types;
    for (const auto& stanza : client.inbox)
      if (stanza.kind() == STANZA_KIND_PRESENCE) types.push_back(stanza.type());
    return types;
  }
  /// How many ends of sessions the log of alice's shard has.
  std::size_t Ends() {
    std::size_t ends = 0;
    for (const auto& record : log_.Records(0)) ends += record.has_session_ended() ? 1 : 0;
    return ends;
  }
  const Shard& ShardOfAlice() { return *node(0).domain.shards().Find(0); }
  bool IsAllFinished(const Shard& shard) const { return shard.window.cursor() == shard.window.next_offset(); }
  Gateway& gateway_;
  std::string alice_, bob_;
};

TEST_F(ConsequencesTest, RefusedAppend_TheSenderHasAnError_NotAnAcknowledgementAlone) {
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  absl::Status refusal = absl::InvalidArgumentError("too large");
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.delivery().stanza().id() == "refused" ? refusal : absl::OkStatus();
  };
  gateway_.Send(alice, Message(bob_, "refused"));
  gateway_.Send(alice, Message(bob_, "taken"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ElementsAre("taken"));
  auto errors = Only(alice.Take(), common::v1::STANZA_KIND_MESSAGE, "error");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].id(), "refused");
  EXPECT_NE(errors[0].payload().find("policy-violation"), std::string::npos);
  EXPECT_EQ(alice.confirmed, alice.sent);

  refusal = absl::PermissionDeniedError("no right to write");
  gateway_.Send(alice, Message(bob_, "refused"));
  Settle();
  errors = Only(alice.Take(), common::v1::STANZA_KIND_MESSAGE, "error");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_NE(errors[0].payload().find("internal-server-error"), std::string::npos);
}

TEST_F(ConsequencesTest, ManyRefusedRecordsThatAreHeld_AllAreSaidAgain) {
  roster_.Befriend(alice_, bob_);
  node(0).settings.max_refused_records = 2;
  std::vector<Client*> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(&SignIn(gateway_, alice_, "r" + std::to_string(i)));
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.inbox.clear();
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_fanout() && is_refused ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  for (Client* client : clients) gateway_.End(*client, session::v1::END_REASON_CLOSED);
  Settle();
  const Shard& shard = *node(0).domain.shards().Find(0);
  EXPECT_LT(shard.window.cursor(), shard.window.next_offset());
  is_refused = false;
  ASSERT_TRUE(RunUntil([&] { return shard.window.cursor() == shard.window.next_offset(); }));
  Settle();
  EXPECT_EQ(Only(bob.inbox, common::v1::STANZA_KIND_PRESENCE, "unavailable").size(), 5u);
}

TEST_F(ConsequencesTest, RefusedError_IsSaidAgain) {
  Client& alice = SignIn(gateway_, alice_, "a");
  int refusals = 2;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.delivery().stanza().type() == "error" && refusals-- > 0
               ? absl::PermissionDeniedError("not yet")
               : absl::OkStatus();
  };
  gateway_.Send(alice, Iq("get", bob_ + "/nobody", "q", "query", "jabber:iq:version"));
  Settle();
  const Shard& shard = *node(0).domain.shards().Find(1);
  EXPECT_LT(shard.window.cursor(), shard.window.next_offset());
  ASSERT_TRUE(RunUntil([&] { return !Only(alice.inbox, common::v1::STANZA_KIND_IQ, "error").empty(); }));
  EXPECT_EQ(shard.window.cursor(), shard.window.next_offset());
}

TEST_F(ConsequencesTest, SaidAgain_PresenceKeepsItsOrder) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  bob.inbox.clear();
  bool is_refused = true;
  int of_the_first = 0;
  log_.refuse = [&](std::uint32_t partition, const events::v1::UserRecord& record) {
    if (partition != 1 || !record.has_fanout()) return absl::OkStatus();
    // The session's own end comes first, and is refused for longer.
    const bool is_first = record.fanout().stanza().from() == alice.jid;
    const bool is_not_yet = is_refused || (is_first && ++of_the_first < 4);
    return is_not_yet ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  gateway_.End(alice, END_REASON_CLOSED);
  Settle();
  Client& again = SignIn(gateway_, alice_, "another");
  is_refused = false;
  ASSERT_TRUE(RunUntil([&] { return node(0).domain.follow_ups().waiting() == 0; }));
  Settle();
  std::vector<std::string> from;
  for (const auto& stanza : Only(bob.inbox, STANZA_KIND_PRESENCE)) from.push_back(stanza.from());
  EXPECT_THAT(from, ElementsAre(alice.jid, again.jid));
  EXPECT_THAT(PresenceTypes(bob), ElementsAre("unavailable", ""));
}

TEST_F(ConsequencesTest, RefusedEndOfASession_IsSaidAgain) {
  Client& alice = SignIn(gateway_, alice_, "a");
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_session_ended() && is_refused ? absl::PermissionDeniedError("not yet")
                                                    : absl::OkStatus();
  };
  gateway_.End(alice, END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(node(0).domain.table().size(), 1u);
  is_refused = false;
  ASSERT_TRUE(RunUntil([&] { return node(0).domain.table().size() == 0; }));
  EXPECT_EQ(Ends(), 1u);
}

TEST_F(ConsequencesTest, TheEndOfASessionIsTooLarge_ItEndsWithoutThoseToWhomItHasDirectedPresence) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& alice = SignIn(gateway_, alice_, "a");
  gateway_.Send(alice, xmpp::MakePresence("", alice.jid, UserIn(1, 1) + "/nobody"));
  Settle();
  bob.inbox.clear();
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.session_ended().directed().empty() ? absl::OkStatus()
                                                     : absl::InvalidArgumentError("too large");
  };
  gateway_.End(alice, END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(Ends(), 1u);
  EXPECT_THAT(PresenceTypes(bob), ElementsAre("unavailable"));
  EXPECT_EQ(node(0).domain.table().size(), 1u) << "bob's";
  EXPECT_TRUE(IsAllFinished(ShardOfAlice()));
  EXPECT_EQ(node(0).owner.metrics().records_lost.Value(), 0);
}

TEST_F(ConsequencesTest, TheEndOfASessionIsTooLargeHoweverShortItIs_IsLostAndNotSaidForEver) {
  Client& alice = SignIn(gateway_, alice_, "a");
  int attempts = 0;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    if (!record.has_session_ended()) return absl::OkStatus();
    ++attempts;
    return absl::InvalidArgumentError("too large");
  };
  gateway_.End(alice, END_REASON_CLOSED);
  Elapse(std::chrono::minutes(1));
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(node(0).owner.metrics().records_lost.Value(), 1);
  EXPECT_EQ(node(0).domain.follow_ups().waiting(), 0u);
}

}  // namespace
}  // namespace rookery::session_manager
