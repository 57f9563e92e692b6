// What a gateway says is handled one by one: what fails there is of one session, or of the link.
#include <gmock/gmock.h>

#include <stdexcept>
#include <utility>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"
#include "domain/metrics.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FailedActionsTest : public Cluster {
 protected:
  // Both are users of one shard, on one link.
  FailedActionsTest() : Cluster(1), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    Assign(0, 0);
    Assign(1, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(0, 1);
    carol_ = UserIn(1);
    roster_.Befriend(alice_, carol_);
    carol = &SignIn(other_, carol_, "c");
    alice = &SignIn(gateway_, alice_, "a");
    bob = &SignIn(gateway_, bob_, "b");
    carol->inbox.clear();
  }
  /// Whatever leads to a message of that id fails.
  void Fail(const std::string& id) {
    log_.on_user_record = [id](const events::v1::UserRecord& record) {
      if (record.delivery().stanza().id() == id) throw std::runtime_error("half-way");
    };
  }
  double failures() { return node(0).owner.metrics().failed_steps.Value(); }
  Gateway& gateway_;
  Gateway& other_;
  std::string alice_, bob_, carol_;
  Client* alice = nullptr;
  Client* bob = nullptr;
  Client* carol = nullptr;
};

TEST_F(FailedActionsTest, AStanzaFails_ItsSessionEnds_AndNobodyElseNotices) {
  Fail("bad");
  gateway_.Send(*bob, Message(carol_, "m1"));
  gateway_.Send(*alice, Message(carol_, "bad"));
  gateway_.Send(*alice, Message(carol_, "behind it"));  // which she will send again
  gateway_.Send(*bob, Message(carol_, "m2"));
  Settle();
  ASSERT_TRUE(alice->ended);
  EXPECT_EQ(alice->ended->condition(), "internal-server-error");
  EXPECT_LT(alice->confirmed, alice->sent - 1);
  EXPECT_EQ(Only(carol->inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u) << "her contacts hear of it";
  EXPECT_THAT(carol->MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_FALSE(bob->ended);
  EXPECT_EQ(bob->confirmed, bob->sent);
  EXPECT_FALSE(gateway_.IsClosed(node(0)));
  EXPECT_EQ(node(0).domain.metrics().stanzas_failed.Value(), 1);
  EXPECT_EQ(node(0).domain.shards().Find(0)->epoch, 0) << "it is not acquired afresh";
}

TEST_F(FailedActionsTest, TheEndOfASessionFails_ItIsEndedAllTheSame) {
  bool has_failed = false;
  log_.on_user_record = [&](const events::v1::UserRecord& record) {
    if (record.has_session_ended() && !std::exchange(has_failed, true)) throw std::runtime_error("half-way");
  };
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_TRUE(has_failed);
  EXPECT_EQ(Only(carol->inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
  EXPECT_EQ(failures(), 1);
}

TEST_F(FailedActionsTest, OneOfThoseThatWaitedForTheirShardFails_TheOthersAreHandled) {
  database_.down = true;
  node(0).owner.NoteStepFailed(*node(0).domain.shards().Find(0), "test", std::runtime_error("half-way"));
  ASSERT_TRUE(RunUntil([&] {
    const Shard* const shard = node(0).domain.shards().Find(0);
    return shard != nullptr && shard->epoch > 0;
  }));
  const std::int64_t epoch = node(0).domain.shards().Find(0)->epoch;
  Client& first = gateway_.Start(alice_, "first");
  Client& second = gateway_.Start(bob_, "second");
  Settle();
  gateway_.on_add = [&] {
    gateway_.on_add = nullptr;
    throw std::runtime_error("half-way");
  };
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Settle();
  EXPECT_FALSE(gateway_.on_add);
  EXPECT_FALSE(first.started);
  EXPECT_TRUE(first.ended || first.start_failure);
  EXPECT_TRUE(second.started);
  EXPECT_EQ(node(0).domain.shards().Find(0)->epoch, epoch);
  EXPECT_FALSE(alice->ended);
}

TEST_F(FailedActionsTest, AStartFails_ItIsRefused) {
  int calls = 0;
  gateway_.on_add = [&] {
    if (++calls == 1) throw std::runtime_error("half-way");
  };
  Client& next = gateway_.Start(bob_, "next");
  Settle();
  EXPECT_TRUE(next.start_failure || next.ended);
  EXPECT_FALSE(gateway_.IsClosed(node(0)));
  EXPECT_FALSE(bob->ended);
}

TEST_F(FailedActionsTest, TheHelloFails_TheLinkIsClosed) {
  gateway_.Unlink(node(0));
  gateway_.on_add = [] { throw std::runtime_error("half-way"); };
  gateway_.Link(node(0));
  EXPECT_TRUE(gateway_.IsClosed(node(0)));
  gateway_.Unlink(node(0));
  gateway_.on_add = nullptr;
  gateway_.Link(node(0));
  Settle();
  EXPECT_FALSE(gateway_.IsClosed(node(0)));
  gateway_.Send(*alice, Message(carol_, "m1"));
  Settle();
  EXPECT_THAT(carol->MessageIds(), ElementsAre("m1"));
}

TEST_F(FailedActionsTest, AnAttachmentFails_ItsSessionEnds_AndTheOthersAreHandled) {
  gateway_.Unlink(node(0));
  Elapse(settings_.link_grace + std::chrono::seconds(1));
  ASSERT_EQ(Only(carol->inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
  int calls = 0;
  gateway_.on_add = [&] {
    // After the hello: alice is told that her session is over.
    if (++calls == 2) throw std::runtime_error("half-way");
  };
  gateway_.Link(node(0));
  Settle();
  ASSERT_TRUE(alice->ended);
  EXPECT_EQ(alice->ended->condition(), "internal-server-error");
  ASSERT_TRUE(bob->ended);
  EXPECT_EQ(bob->ended->condition(), "reset");
  EXPECT_EQ(Only(carol->inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 1u);
  EXPECT_FALSE(gateway_.IsClosed(node(0)));
  EXPECT_EQ(failures(), 1);
}

}  // namespace
}  // namespace rookery::session_manager
