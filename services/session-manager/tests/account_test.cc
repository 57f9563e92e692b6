#include <gmock/gmock.h>

#include "cluster.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_PRESENCE;
using session::v1::GatewayAction;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AccountTest : public Cluster {
 protected:
  AccountTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
  }
  session::v1::SessionManagerAction Do(const std::string& user, const GatewayAction& action) {
    gateway_.others.clear();
    gateway_.Post(user, action);
    Settle();
    EXPECT_EQ(gateway_.others.size(), 1u);
    if (gateway_.others.empty()) return {};
    // The answer to that, and to nothing else.
    const session::v1::SessionManagerAction& answer = gateway_.others.front();
    if (action.has_create()) {
      EXPECT_TRUE(answer.has_created());
      EXPECT_EQ(answer.created().request_id(), action.create().request_id());
    } else {
      EXPECT_TRUE(answer.has_credentials());
      EXPECT_EQ(answer.credentials().request_id(), action.credentials_lookup().request_id());
    }
    return answer;
  }
  GatewayAction Create(const std::string& user, const std::string& password) {
    GatewayAction action;
    action.mutable_create()->set_request_id(7);
    action.mutable_create()->set_user(user);
    action.mutable_create()->set_password(password);
    return action;
  }
  GatewayAction LookUp(const std::string& user) {
    GatewayAction action;
    action.mutable_credentials_lookup()->set_request_id(9);
    action.mutable_credentials_lookup()->set_user(user);
    return action;
  }
  xmpp::Stanza Register(const std::function<void(xmpp::Element&)>& fill) {
    xmpp::Stanza iq = Iq("set", {}, "r", "query", "jabber:iq:register");
    xmpp::Element query("query", "jabber:iq:register");
    fill(query);
    xmpp::SetPayload(iq, query);
    return iq;
  }
  Gateway& gateway_;
  std::string alice_, bob_;
};

TEST_F(AccountTest, CreatedOnceAndFound) {
  EXPECT_FALSE(Do(alice_, Create("new@localhost", "secret")).created().has_failure());
  const auto again = Do(alice_, Create("new@localhost", "other"));
  EXPECT_EQ(again.created().failure().condition(), "conflict");
  EXPECT_EQ(again.created().request_id(), 7u);
  const auto found = Do(alice_, LookUp("new@localhost"));
  ASSERT_EQ(found.credentials().keys_size(), 1);
  EXPECT_EQ(found.credentials().keys(0).stored_key(), "secret");
}

TEST_F(AccountTest, UnknownUser_NoKeysAndNoFailure) {
  const auto found = Do(alice_, LookUp("nobody@localhost"));
  ASSERT_TRUE(found.has_credentials());
  EXPECT_FALSE(found.credentials().has_failure());
  EXPECT_EQ(found.credentials().keys_size(), 0);
}

TEST_F(AccountTest, StoreAway_Temporary) {
  database_.down = true;
  EXPECT_TRUE(Do(alice_, LookUp(alice_)).credentials().failure().temporary());
  EXPECT_TRUE(Do(alice_, Create("new@localhost", "x")).created().failure().temporary());
}

TEST_F(AccountTest, AC8_TheStoresAnswerIsLost_ItIsCreatedAllTheSame) {
  database_.on_call = [&](std::string_view call) { database_.ambiguous = call == "Create"; };
  // Nor does it say at once what it has.
  int finds = 0;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    database_.down = call == "Find" && ++finds == 2;
    co_return;
  };
  gateway_.Post(alice_, Create("new@localhost", "secret"));
  ASSERT_TRUE(RunUntil([&] { return !gateway_.others.empty(); }));
  EXPECT_FALSE(gateway_.others.front().created().has_failure());
  EXPECT_EQ(database_.accounts["new@localhost"][0].stored_key(), "secret");
}

TEST_F(AccountTest, AC8_TheAnswerIsLost_AndAnotherHasTheName_ItIsTaken) {
  database_.on_call = [&, is_first = true](std::string_view call) mutable {
    if (call != "Create") return;
    database_.down = std::exchange(is_first, false);
    if (database_.down) database_.accounts["new@localhost"].emplace_back();
  };
  gateway_.Post(alice_, Create("new@localhost", "secret"));
  ASSERT_TRUE(RunUntil([&] { return !gateway_.others.empty(); }));
  EXPECT_EQ(gateway_.others.front().created().failure().condition(), "conflict");
}

TEST_F(AccountTest, PasswordThatIsNone) {
  EXPECT_EQ(Do(alice_, Create("new@localhost", "bad")).created().failure().condition(), "not-acceptable");
}

TEST_F(AccountTest, RegistrationOff) {
  node(0).settings.registration = false;
  EXPECT_EQ(Do(alice_, Create("new@localhost", "x")).created().failure().condition(), "not-allowed");
}

TEST_F(AccountTest, ChangedPassword_SignsTheOthersOut) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = SignIn(gateway_, alice_, "two");
  const std::string local = alice_.substr(0, alice_.find('@'));
  gateway_.Send(one, Register([&](xmpp::Element& query) {
                  query.Add("username").SetText(local);
                  query.Add("password").SetText("fresh");
                }));
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  ASSERT_TRUE(two.ended);
  EXPECT_EQ(two.ended->condition(), "reset");
  EXPECT_FALSE(one.ended);
  EXPECT_EQ(database_.accounts[alice_][0].stored_key(), "fresh");
}

TEST_F(AccountTest, AuthenticatedBeforeThePasswordChanged_NoSessionIsBegunOrResumed) {
  database_.accounts[alice_] = {session::v1::ScramKey()};
  database_.accounts[alice_][0].set_stored_key("old");
  const std::uint64_t version = Do(alice_, LookUp(alice_)).credentials().version();
  Client& in_time = gateway_.Start(alice_, "one", {}, {0, version});
  Settle();
  ASSERT_TRUE(in_time.started);
  gateway_.EnableStreamManagement(in_time);
  gateway_.End(in_time, session::v1::END_REASON_CONNECTION_LOST);
  Client& owner = SignIn(gateway_, alice_, "owner");
  gateway_.Send(owner, Register([&](xmpp::Element& query) {
                  query.Add("username").SetText(alice_.substr(0, alice_.find('@')));
                  query.Add("password").SetText("fresh");
                }));
  Settle();
  Client& late = gateway_.Start(alice_, "two", {}, {0, version});
  Client& resumed = gateway_.Resume(in_time, 0, {}, {0, version});
  Settle();
  ASSERT_TRUE(late.start_failure);
  EXPECT_EQ(late.start_failure->condition(), "not-authorized");
  EXPECT_FALSE(late.start_failure->temporary());
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].failure().condition(), "not-authorized");

  const std::uint64_t fresh = Do(alice_, LookUp(alice_)).credentials().version();
  EXPECT_NE(fresh, version);
  Client& welcome = gateway_.Start(alice_, "three", {}, {0, fresh});
  Settle();
  EXPECT_TRUE(welcome.started);
}

TEST_F(AccountTest, AuthenticatedBeforeTheAccountWasRemoved_NoSessionIsBegun) {
  database_.accounts[alice_] = {session::v1::ScramKey()};
  database_.accounts[alice_][0].set_stored_key("old");
  const std::uint64_t version = Do(alice_, LookUp(alice_)).credentials().version();
  Client& owner = SignIn(gateway_, alice_, "owner");
  gateway_.Send(owner, Register([](xmpp::Element& query) { query.Add("remove"); }));
  Settle();
  ASSERT_FALSE(database_.accounts.contains(alice_));
  Client& late = gateway_.Start(alice_, "one", {}, {0, version});
  Settle();
  ASSERT_TRUE(late.start_failure);
  EXPECT_EQ(late.start_failure->condition(), "not-authorized");
}

TEST_F(AccountTest, WhoseCredentialsWereLookedUpBeginsWithoutAnotherQuestion_ForAWhile) {
  database_.accounts[alice_] = {session::v1::ScramKey()};
  database_.accounts[alice_][0].set_stored_key("old");
  const std::uint64_t version = Do(alice_, LookUp(alice_)).credentials().version();
  database_.down = true;
  Client& prompt = gateway_.Start(alice_, "one", {}, {0, version});
  Settle();
  EXPECT_TRUE(prompt.started);
  clock_.Advance(std::chrono::seconds(31));
  Client& slow = gateway_.Start(alice_, "two", {}, {0, version});
  Settle();
  EXPECT_TRUE(slow.start_failure && slow.start_failure->temporary());
}

TEST_F(AccountTest, StoreAwayAtTheBeginningOfASession_Temporary) {
  database_.down = true;
  Client& client = gateway_.Start(alice_, "one", {}, {0, 5});
  Settle();
  ASSERT_TRUE(client.start_failure);
  EXPECT_TRUE(client.start_failure->temporary());
}

TEST_F(AccountTest, AnothersPassword_Refused) {
  Client& one = SignIn(gateway_, alice_, "one");
  gateway_.Send(one, Register([&](xmpp::Element& query) {
                  query.Add("username").SetText("eve");
                  query.Add("password").SetText("fresh");
                }));
  Settle();
  ASSERT_EQ(Only(one.inbox, STANZA_KIND_IQ, "error").size(), 1u);
  EXPECT_THAT(one.inbox[0].payload(), HasSubstr("not-allowed"));
}

TEST_F(AccountTest, Removed_EverybodyIsToldAndEverySessionEnds) {
  roster_.Befriend(alice_, bob_);
  Client& bob = SignIn(gateway_, bob_, "b");
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = SignIn(gateway_, alice_, "two");
  gateway_.EnableStreamManagement(two);
  gateway_.End(two, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  EXPECT_EQ(database_.parked.size(), 1u);
  bob.inbox.clear();
  gateway_.Send(one, Register([](xmpp::Element& query) { query.Add("remove"); }));
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  ASSERT_TRUE(one.ended);
  EXPECT_EQ(one.ended->condition(), "not-authorized");
  EXPECT_FALSE(database_.accounts.contains(alice_));
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_GE(Only(bob.inbox, STANZA_KIND_PRESENCE, "unavailable").size(), 2u);
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "unsubscribe").size(), 1u);
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_PRESENCE, "unsubscribed").size(), 1u);
  EXPECT_FALSE(roster_.rosters.contains(alice_));
  EXPECT_TRUE(node(0).domain.table().empty());
}

}  // namespace
}  // namespace rookery::session_manager
