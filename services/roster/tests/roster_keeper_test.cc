#include "domain/roster_keeper.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <utility>

#include "keeper_scenarios.h"
#include "memory_roster_store.h"

namespace rookery::roster {
namespace {

class FakeFixture : public ::testing::Test {
 protected:
  asio::io_context& io() { return io_; }
  MemoryRosterStore& store() { return store_; }

 private:
  asio::io_context io_;
  MemoryRosterStore store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, KeeperScenarios, FakeFixture);

class KeeperQuestions : public KeeperScenarios<FakeFixture> {};

TEST_F(KeeperQuestions, OnlyABlockListTakesOneMoreThanTheRoster) {
  v1::GetRosterRequest request;
  request.set_user(kUser);
  request.set_with_settings(true);
  const auto read_for_it = [&] {
    const int before = store().settings_read;
    EXPECT_TRUE(Run(keeper_.Get(request)).ok());
    return store().settings_read - before;
  };
  EXPECT_EQ(read_for_it(), 0);
  ASSERT_TRUE(SetVcard("v", "abc").ok());
  EXPECT_EQ(read_for_it(), 0);
  ASSERT_TRUE(Block({"a@b"}).ok());
  EXPECT_EQ(read_for_it(), 1);
}

class KeeperRaces : public KeeperScenarios<FakeFixture> {};

// Two callers at a change of owner: both changes hold.
TEST_F(KeeperRaces, ALostRaceIsRunAgainOnWhatTheOtherLeft) {
  bool is_done = false;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    Contact contact;
    contact.jid = kContact;
    contact.listed = true;
    contact.name = "from the other";
    contact.revision = 7;
    store().rosters[kUser].contacts.push_back(contact);
  };
  const auto out = Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->push().item().name(), "from the other");
  EXPECT_TRUE(Item().pending_out());
}

// An owner that was frozen and its successor act on the same stanza at once.
TEST_F(KeeperRaces, TheSameRequestTwiceAtOnce_OneChangeAndOneAnswer) {
  id_ = "0123/7";
  bool is_done = false;
  v1::ProcessOutboundSubscriptionResponse other;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    other = *Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  };
  const auto out = Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->SerializeAsString(), other.SerializeAsString());
  EXPECT_TRUE(out->route());
  EXPECT_TRUE(out->has_push());
}

// One of two calls reads before there is a contact, and is refused; the other one reads after it.
TEST_F(KeeperRaces, TheSameRequestTwiceAtOnce_RefusedOnce_IsNotMade) {
  bool is_done = false;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    id_ = "0123/8";
    EXPECT_TRUE(Set(kContact, "R").ok());
  };
  id_ = "0123/7";
  EXPECT_EQ(Remove(kContact).status().code(), absl::StatusCode::kNotFound);
  id_ = "0123/7";
  EXPECT_EQ(Remove(kContact).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Item().name(), "R");
}

// The other way round: what was refused has been made by the other call.
TEST_F(KeeperRaces, TheSameRequestTwiceAtOnce_MadeByOne_IsNotRefused) {
  bool is_done = false;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    id_ = "0123/8";
    EXPECT_TRUE(Set(kContact, "R").ok());
    id_ = "0123/7";
    EXPECT_TRUE(Remove(kContact).ok());
  };
  id_ = "0123/7";
  const auto removed = Remove(kContact);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_TRUE(removed->has_push());
}

TEST_F(KeeperRaces, BlockedByTwoAtOnce_BothHold) {
  bool is_done = false;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    store().block_lists[kUser] = {{"other@x"}, 1};
  };
  const auto blocked = Block({"a@b"});
  ASSERT_TRUE(blocked.ok()) << blocked.status();
  EXPECT_EQ(Blocked(), (std::vector<std::string>{"other@x", "a@b"}));
}

// Whoever was quicker may have been the one who came later. Nothing is made on top of it unasked.
TEST_F(KeeperRaces, AVcardThatLosesARaceIsNotMade) {
  bool is_done = false;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    store().vcards[kUser] = {"other", {"2", 1}};
  };
  id_ = "0123/7";
  EXPECT_EQ(SetVcard("mine", "1").status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Vcard(), "other");
  // Asked again, it is.
  ASSERT_TRUE(SetVcard("mine", "1").ok());
  EXPECT_EQ(Vcard(), "mine");
}

// It stood still between reading and storing. Its request has long been answered by another, and who has
// asked has gone on: it is neither made nor decided anew.
TEST_F(KeeperRaces, StoodStillForTooLong_NothingIsDone) {
  ASSERT_TRUE(Set(kContact, "before").ok());
  ASSERT_TRUE(Block({"a@b"}).ok());
  std::int64_t now = 0;
  store().now_ms = [&] { return now; };
  store().meddle = [&] { now += store().fresh_for_ms + 1; };
  id_ = "0123/7";
  const auto too_late = absl::StatusCode::kFailedPrecondition;
  EXPECT_EQ(Set(kContact, "after").status().code(), too_late);
  EXPECT_EQ(Remove(kContact).status().code(), too_late);
  EXPECT_EQ(Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), too_late);
  EXPECT_EQ(In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), too_late);
  EXPECT_EQ(Block({"c@d"}).status().code(), too_late);
  EXPECT_EQ(Block({"a@b"}).status().code(), too_late);  // which changes nothing
  EXPECT_EQ(Unblock({}).status().code(), too_late);
  EXPECT_EQ(SetVcard("v", "1").status().code(), too_late);
  EXPECT_EQ(Delete().status().code(), too_late);
  id_.clear();
  EXPECT_EQ(Delete().status().code(), too_late);
  EXPECT_EQ(Item().name(), "before");
  EXPECT_EQ(Blocked(), std::vector<std::string>{"a@b"});
  EXPECT_EQ(Vcard(), "");
  EXPECT_TRUE(store().answers.empty());
}

TEST_F(KeeperRaces, NotForEver) {
  ASSERT_TRUE(Set(kContact, "x").ok());
  store().meddle = [&] { ++store().rosters[kUser].contacts[0].revision; };
  EXPECT_EQ(Set(kContact, "y").status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Remove(kContact).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), absl::StatusCode::kAborted);
  store().meddle = [&] { ++store().block_lists[kUser].revision; };
  EXPECT_EQ(Block({"a@b"}).status().code(), absl::StatusCode::kAborted);
}

TEST_F(KeeperRaces, TheStoreAway) {
  store().is_away = true;
  const auto away = absl::StatusCode::kUnavailable;
  EXPECT_EQ(Set(kContact, "y").status().code(), away);
  EXPECT_EQ(Remove(kContact).status().code(), away);
  EXPECT_EQ(Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), away);
  EXPECT_EQ(In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), away);
  v1::GetRosterRequest request;
  request.set_user(kUser);
  EXPECT_EQ(Run(keeper_.Get(request)).status().code(), away);
  request.set_known_version(3);
  EXPECT_EQ(Run(keeper_.Get(request)).status().code(), away);
  EXPECT_EQ(Delete().status().code(), away);
  EXPECT_EQ(Block({"a@b"}).status().code(), away);
  EXPECT_EQ(Unblock({}).status().code(), away);
  EXPECT_EQ(SetVcard("v", "1").status().code(), away);
  v1::GetVcardRequest vcard;
  vcard.set_user(kUser);
  EXPECT_EQ(Run(keeper_.GetVcard(vcard)).status().code(), away);
  EXPECT_EQ(Settings().status().code(), away);
  id_ = "1";
  EXPECT_EQ(Delete().status().code(), away);
}

}  // namespace
}  // namespace rookery::roster
