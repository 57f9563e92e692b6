#include "domain/outbound/directory_writer.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "cluster.h"

namespace rookery::session_manager {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class DirectoryWriterTest : public Cluster {
 protected:
  DirectoryWriterTest() : Cluster(2), one_(AddGateway("gw-1")), two_(AddGateway("gw-2")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
    Flush();
  }
  void Flush() {
    for (auto& node : nodes_)
      if (node->alive && !node->frozen) node->domain.directory().Flush();
    Settle();
  }
  Gateway& one_;
  Gateway& two_;
  std::string alice_, bob_;
};

TEST_F(DirectoryWriterTest, StartAndEnd) {
  Client& alice = SignIn(one_, alice_, "a");
  SignIn(two_, bob_, "b");
  EXPECT_THAT(directory_.All(), IsEmpty());
  Flush();
  EXPECT_THAT(directory_.All(),
              ::testing::UnorderedElementsAre(Pair(alice_ + "/a", "gw-1"), Pair(bob_ + "/b", "gw-2")));
  one_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  Flush();
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(bob_ + "/b", "gw-2")));
}

TEST_F(DirectoryWriterTest, WhatBeganAndEndedBetweenTwoWrites) {
  Client& first = SignIn(one_, alice_, "a");
  one_.End(first, session::v1::END_REASON_CLOSED);
  Settle();
  // The same address again, on the other gateway.
  SignIn(two_, alice_, "a");
  Flush();
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(alice_ + "/a", "gw-2")));
}

TEST_F(DirectoryWriterTest, NothingHappens_NothingIsWritten) {
  SignIn(one_, alice_, "a");
  Flush();
  const int writes = directory_.writes;
  for (int i = 0; i < 5; ++i) Flush();
  EXPECT_EQ(directory_.writes, writes);
}

TEST_F(DirectoryWriterTest, AwayAndResumed) {
  Client& alice = SignIn(one_, alice_, "a");
  one_.EnableStreamManagement(alice);
  one_.End(alice, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  Flush();
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(alice_ + "/a", "")));
  two_.Resume(alice, 0);
  Settle();
  Flush();
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(alice_ + "/a", "gw-2")));
}

TEST_F(DirectoryWriterTest, TheDirectoryWasEmptied_ListedAgainThoughNothingHappens) {
  SignIn(one_, alice_, "a");
  SignIn(two_, bob_, "b");
  Flush();
  directory_.shards.clear();
  Elapse(std::chrono::seconds(4));
  EXPECT_THAT(directory_.All(), SizeIs(2));
}

TEST_F(DirectoryWriterTest, TheDirectoryWasAway_AllIsWrittenLater) {
  Client& alice = SignIn(one_, alice_, "a");
  Flush();
  directory_.down = true;
  one_.End(alice, session::v1::END_REASON_CLOSED);
  Settle();
  Flush();
  SignIn(two_, bob_, "b");
  Elapse(std::chrono::seconds(3));
  const int writes = directory_.writes;
  for (int i = 0; i < 5; ++i) Flush();  // not at every turn
  EXPECT_EQ(directory_.writes, writes);
  directory_.down = false;
  Elapse(std::chrono::seconds(3));
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(bob_ + "/b", "gw-2")));
}

TEST_F(DirectoryWriterTest, AnExceptionEndsEachWriteOfAShard_TheShardAndOthersGoOn_AllIsWrittenLater) {
  Client& alice = SignIn(one_, alice_, "a");
  Flush();
  directory_.on_write = [](const SessionDirectory::Changes& changes) {
    if (changes.shard == 0) throw std::runtime_error("half-way");
  };
  const std::int64_t epoch = node(0).domain.shards().Find(0)->epoch;
  one_.End(alice, session::v1::END_REASON_CLOSED);
  SignIn(one_, alice_, "b");
  SignIn(two_, bob_, "b");
  Flush();
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(alice_ + "/a", "gw-1"), Pair(bob_ + "/b", "gw-2")));
  const int writes = directory_.writes;
  for (int i = 0; i < 5; ++i) Flush();  // not at every turn
  EXPECT_EQ(directory_.writes, writes);
  Elapse(std::chrono::seconds(3));
  ASSERT_TRUE(IsLive(0));
  EXPECT_EQ(node(0).domain.shards().Find(0)->epoch, epoch) << "it is not acquired afresh";
  directory_.on_write = {};
  Elapse(std::chrono::seconds(3));
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(alice_ + "/b", "gw-1"), Pair(bob_ + "/b", "gw-2")));
}

TEST_F(DirectoryWriterTest, ANewOwnerForgetsWhatItDoesNotHave) {
  Client& alice = SignIn(one_, alice_, "a");
  SignIn(one_, alice_, "b");
  Flush();
  // While nobody owns the shard, one of the two goes.
  Kill(0);
  alice.forgotten = true;
  Assign(0, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0); }));
  Flush();
  EXPECT_THAT(directory_.All(), SizeIs(2)) << "its gateway may still bring it";
  Elapse(settings_.link_grace + std::chrono::seconds(2));
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(alice_ + "/b", "gw-1")));
}

TEST_F(DirectoryWriterTest, AnOlderOwnerIsRefused) {
  SignIn(one_, alice_, "a");
  Flush();
  directory_.shards[0].epoch = 1'000'000;
  SignIn(one_, alice_, "b");
  Flush();
  EXPECT_THAT(directory_.All(), ElementsAre(Pair(alice_ + "/a", "gw-1")));
  const int writes = directory_.writes;
  SignIn(one_, alice_, "c");
  Flush();
  EXPECT_EQ(directory_.writes, writes);
}

TEST_F(DirectoryWriterTest, ManySessions_InWritesOfBoundedSize) {
  node(0).settings.max_sessions_per_user = 10'000;
  for (int i = 0; i < 1'200; ++i) one_.Start(alice_, "r" + std::to_string(i));
  Settle();
  const int writes = directory_.writes;
  Flush();
  EXPECT_THAT(directory_.All(), SizeIs(1'200));
  EXPECT_EQ(directory_.writes - writes, 3);
}

}  // namespace
}  // namespace rookery::session_manager
