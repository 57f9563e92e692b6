// The removal of an account, or another password, ends what it must (README.md, AC1 to AC6, AC9): whoever
// owns the shard, whichever process dies, and whoever brings it later.
#include "domain/accounts/account_changes.h"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "cluster.h"
#include "domain/inbound/session_keeper.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;
using common::v1::STANZA_KIND_PRESENCE;
using session::v1::END_REASON_CONNECTION_LOST;
using session::v1::GatewayAction;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AccountChangesTest : public Cluster {
 protected:
  // alice's shard stays with node 0; bob's is node 1's, and then others'.
  AccountChangesTest() : Cluster(3), gateway_(AddGateway("gw-1")), other_(AddGateway("gw-2")) {
    log_.clock = &clock_;
    database_.clock = &clock_;
    Assign(0, 0);
    Assign(1, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    SetPassword("old");
    roster_.Befriend(alice_, bob_);
    alice = &SignIn(gateway_, alice_, "a");
  }
  void SetPassword(const std::string& password) {
    AccountStore::Keys keys(1);
    keys[0].set_mechanism("SCRAM-SHA-256");
    keys[0].set_stored_key(password);
    database_.accounts[bob_] = keys;
  }
  Client& SignInBob(Gateway& gateway, const std::string& resource) {
    return SignIn(gateway, bob_, resource, 0, StandingOf(bob_));
  }
  xmpp::Stanza Register(const std::function<void(xmpp::Element&)>& fill) {
    xmpp::Stanza iq = Iq("set", {}, "r", "query", "jabber:iq:register");
    xmpp::Element query("query", "jabber:iq:register");
    fill(query);
    xmpp::SetPayload(iq, query);
    return iq;
  }
  void Remove(Client& client) {
    client.gateway->Send(client, Register([](xmpp::Element& query) { query.Add("remove"); }));
  }
  void ChangePassword(Client& client, const std::string& password) {
    client.gateway->Send(client, Register([&](xmpp::Element& query) {
                           query.Add("username").SetText(bob_.substr(0, bob_.find('@')));
                           query.Add("password").SetText(password);
                         }));
  }
  /// The condition with which that failed; empty: it is made.
  std::string RegisterAgain() {
    GatewayAction action;
    action.mutable_create()->set_request_id(7);
    action.mutable_create()->set_user(bob_);
    action.mutable_create()->set_password("old");
    gateway_.others.clear();
    gateway_.Post(alice_, action);
    Settle();
    EXPECT_EQ(gateway_.others.size(), 1u);
    return gateway_.others.empty() ? "nothing" : gateway_.others.front().created().failure().condition();
  }
  void Move(bool lose = true) {
    Kill(owner_, lose);
    log_.held = false;
    if (owner_ == 1) {
      owner_ = 2;
    } else {
      owner_ = AddNode().number;
    }
    Assign(1, owner_);
    ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
    Settle();
  }
  bool IsInLog(events::v1::UserRecord::BodyCase kind) const {
    const auto records = log_.Records(1);
    return std::any_of(records.begin(), records.end(),
                       [&](const events::v1::UserRecord& record) { return record.body_case() == kind; });
  }
  /// Up to and including the first record of that kind.
  void FlushUpTo(events::v1::UserRecord::BodyCase kind) {
    for (int i = 0; i < 50 && !IsInLog(kind); ++i) {
      log_.Flush(1);
      Settle();
    }
    ASSERT_TRUE(IsInLog(kind));
  }
  static std::string ConditionOf(const Client& client) {
    return client.ended ? client.ended->condition() : std::string("goes on");
  }
  Gateway& gateway_;
  Gateway& other_;
  int owner_ = 1;
  std::string alice_, bob_;
  Client* alice = nullptr;
};

// ---- removal ------------------------------------------------------------------

TEST_F(AccountChangesTest, AC1_TheRosterIsAway_TheRemovalIsFinishedWhenItIsBack_ByTheNextOwner) {
  Client& bob = SignInBob(gateway_, "b");
  roster_.down = true;
  alice->inbox.clear();
  Remove(bob);
  Settle();
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_IQ, "result").size(), 1u) << "it is decided";
  EXPECT_EQ(ConditionOf(bob), "not-authorized");
  Move();
  EXPECT_EQ(RegisterAgain(), "conflict") << "its roster is still there";
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !database_.accounts.contains(bob_); }));
  EXPECT_FALSE(roster_.rosters.contains(bob_));
  EXPECT_FALSE(roster_.rosters[alice_][bob_].to);
  EXPECT_EQ(RegisterAgain(), "");
}

TEST_F(AccountChangesTest, AC1_TheStoreIsAway_TheRemovalIsFinishedWhenItIsBack) {
  Client& bob = SignInBob(gateway_, "b");
  database_.on_call = [&](std::string_view call) { database_.down |= call == "Remove"; };
  Remove(bob);
  Settle();
  EXPECT_EQ(ConditionOf(bob), "not-authorized");
  EXPECT_TRUE(database_.accounts.contains(bob_));
  EXPECT_FALSE(roster_.rosters.contains(bob_));
  database_.on_call = {};
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !database_.accounts.contains(bob_); }));
  Settle();
  EXPECT_EQ(node(1).domain.shards().Find(1)->window.size(), 0u);
}

TEST_F(AccountChangesTest, AC1_WhicheverRecordIsTheLastOneBeforeTheOwnerDies_AllIsGoneOrNothing) {
  for (std::size_t last = 0; last < 9; ++last) {
    SCOPED_TRACE(last);
    database_.accounts.clear();
    database_.generations.clear();
    database_.accounts[alice_];
    bob_ = UserIn(1, static_cast<int>(last) + 1);
    SetPassword("old");
    roster_.Befriend(alice_, bob_);
    Client& bob = SignInBob(gateway_, "b");
    Client& away = SignInBob(other_, "away");
    other_.EnableStreamManagement(away);
    other_.End(away, END_REASON_CONNECTION_LOST);
    Settle();
    Elapse(std::chrono::seconds(1));
    alice->inbox.clear();
    log_.held = true;
    Remove(bob);
    Settle();
    for (std::size_t i = 0; i < last; ++i) {
      log_.Flush(1);
      Settle();
    }
    // Sent again by its gateway, it would be decided again.
    const bool is_decided = last > 0;
    if (!is_decided) gateway_.End(bob, END_REASON_CONNECTION_LOST);
    if (!is_decided) bob.unconfirmed.clear();
    Move();
    Elapse(std::chrono::seconds(8));
    EXPECT_EQ(database_.accounts.contains(bob_), !is_decided);
    EXPECT_EQ(roster_.rosters[bob_].empty(), is_decided);
    EXPECT_EQ(Only(alice->inbox, STANZA_KIND_PRESENCE, "unsubscribe").size(), is_decided ? 1u : 0u);
    EXPECT_EQ(roster_.rosters[alice_][bob_].to, !is_decided);
    if (is_decided) {
      EXPECT_EQ(ConditionOf(bob), "not-authorized");
      EXPECT_THAT(database_.parked, IsEmpty());
      std::set<std::string> gone;
      for (const xmpp::Stanza& presence : Only(alice->inbox, STANZA_KIND_PRESENCE, "unavailable"))
        if (xmpp::BareOf(presence.from()) == bob_) EXPECT_TRUE(gone.insert(presence.from()).second);
      EXPECT_EQ(gone.size(), 2u);
      EXPECT_EQ(node(owner_).domain.shards().Find(1)->window.size(), 0u);
    }
  }
}

TEST_F(AccountChangesTest, AC2_WhatComesWhileItGoes_IsReturnedAndNotTheNextOwners) {
  Client& bob = SignInBob(gateway_, "b");
  roster_.down = true;
  Remove(bob);
  Settle();
  alice->inbox.clear();
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return !database_.accounts.contains(bob_); }));
  ASSERT_EQ(RegisterAgain(), "");
  Settle();
  EXPECT_EQ(Only(alice->inbox, STANZA_KIND_MESSAGE, "error").size(), 1u);
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

TEST_F(AccountChangesTest, AC2_NobodyIsLetInByWhatIsGoing_HoweverLongThatTakes) {
  Client& bob = SignInBob(gateway_, "b");
  const Standing claim = StandingOf(bob_);
  roster_.down = true;
  Remove(bob);
  Settle();
  Elapse(std::chrono::minutes(10));
  ASSERT_TRUE(database_.accounts.contains(bob_));
  for (const Standing& late : {claim, Standing{}}) {
    Client& thief = other_.Start(bob_, "late", {}, late);
    Settle();
    ASSERT_TRUE(thief.start_failure);
    EXPECT_EQ(thief.start_failure->condition(), "not-authorized");
  }
}

TEST_F(AccountChangesTest, AC3_TheNextOwnerOfTheName_FindsNothingOfTheLast) {
  Client& bob = SignInBob(gateway_, "b");
  Client& away = SignInBob(other_, "away");
  other_.EnableStreamManagement(away);
  away.acks = false;
  gateway_.Send(*alice, Message(away.jid, "unacknowledged"));
  Settle();
  other_.End(away, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(settings_.window_time + std::chrono::seconds(2));
  ASSERT_GT(database_.packets.size(), 0u);
  const Standing claim = StandingOf(bob_);
  Remove(bob);
  Settle();
  ASSERT_EQ(RegisterAgain(), "");
  EXPECT_NE(StandingOf(bob_).generation, claim.generation);
  EXPECT_EQ(StandingOf(bob_).version, claim.version) << "the same password";
  Move();
  Client& thief = other_.Start(bob_, "thief", {}, claim);
  Client& resumed = gateway_.Resume(away, 0, {}, claim);
  Settle();
  ASSERT_TRUE(thief.start_failure);
  EXPECT_EQ(thief.start_failure->condition(), "not-authorized");
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].failure().condition(), "not-authorized");
  Client& next = SignInBob(gateway_, "b");
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(next.inbox, IsEmpty());
  EXPECT_THAT(database_.packets, IsEmpty());
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 0u);
  EXPECT_THAT(roster_.rosters[bob_], IsEmpty());
  EXPECT_FALSE(next.ended);
}

TEST_F(AccountChangesTest, AC3_TheRecordIsReadAgainWhenTheNameIsAnothers_WhoKeepsEverything) {
  Client& bob = SignInBob(gateway_, "b");
  node(1).shard_log.member = false;  // nothing is committed
  Remove(bob);
  Settle();
  ASSERT_EQ(RegisterAgain(), "");
  roster_.Befriend(alice_, bob_);
  Client& next = SignInBob(gateway_, "next");
  gateway_.EnableStreamManagement(next);
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_FALSE(next.ended);
  EXPECT_EQ(next.MessageIds().size(), 1u);
  EXPECT_TRUE(database_.accounts.contains(bob_));
  EXPECT_TRUE(roster_.rosters[bob_][alice_].to);
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_MESSAGE, "error"), IsEmpty());
}

TEST_F(AccountChangesTest, AC3_TheNameIsKeptAsConfigured) {
  node(0).settings.name_reuse_after = std::chrono::minutes(60);
  Remove(SignInBob(gateway_, "b"));
  Settle();
  ASSERT_FALSE(database_.accounts.contains(bob_));
  EXPECT_EQ(RegisterAgain(), "conflict");
  clock_.Advance(std::chrono::minutes(61));
  EXPECT_EQ(RegisterAgain(), "");
}

// ---- passwords ----------------------------------------------------------------

TEST_F(AccountChangesTest, AC4_TheOwnerDiesWithTheNewPasswordStored_TheOthersAreOutAllTheSame) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  Elapse(std::chrono::seconds(1));
  log_.held = true;
  ChangePassword(one, "fresh");
  Settle();
  ASSERT_EQ(database_.accounts[bob_][0].stored_key(), "fresh");
  ASSERT_FALSE(IsInLog(events::v1::UserRecord::kCredentialsChanged));
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(ConditionOf(two), "reset");
  EXPECT_EQ(ConditionOf(one), "goes on");
  EXPECT_EQ(one.confirmed, one.sent);
}

TEST_F(AccountChangesTest, AC4_TheOwnerDiesWithTheRecordInTheLog_TheOthersAreOutAllTheSame) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  other_.EnableStreamManagement(two);
  other_.End(two, END_REASON_CONNECTION_LOST);
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_EQ(database_.parked.size(), 1u);
  log_.held = true;
  ChangePassword(one, "fresh");
  Settle();
  FlushUpTo(events::v1::UserRecord::kCredentialsChanged);
  Move();
  Elapse(std::chrono::seconds(8));
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_EQ(ConditionOf(one), "goes on");
  Client& resumed = gateway_.Resume(two, 0, {}, StandingOf(bob_));
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].failure().condition(), "item-not-found");
}

TEST_F(AccountChangesTest, AC4_TheOneThatHasChangedIt_GoesOnThoughItsGatewayWasNotTold) {
  Client& one = SignInBob(gateway_, "one");
  const std::string state = one.state;
  ChangePassword(one, "fresh");
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_NE(one.state, state);
  one.state = state;
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(ConditionOf(one), "goes on");
}

TEST_F(AccountChangesTest, AC4_TheAnswerComesWhenTheOthersAreOut) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  one.inbox.clear();
  log_.held = true;
  ChangePassword(one, "fresh");
  Settle();
  EXPECT_THAT(Only(one.inbox, STANZA_KIND_IQ), IsEmpty());
  log_.held = false;
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_EQ(ConditionOf(two), "reset");
}

TEST_F(AccountChangesTest, AC4_TheLogRefusesIt_AndTooMuchIsToBeSaidAgain_TheClientIsTold_AndMayTryAgain) {
  node(1).settings.max_refused_records = 0;
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  one.inbox.clear();
  bool is_refused = true;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_credentials_changed() && is_refused ? absl::PermissionDeniedError("not yet")
                                                          : absl::OkStatus();
  };
  ChangePassword(one, "fresh");
  Settle();
  const auto errors = Only(one.inbox, STANZA_KIND_IQ, "error");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_NE(errors[0].payload().find("type=\"wait\""), std::string::npos);
  is_refused = false;
  ChangePassword(one, "fresher");
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_EQ(ConditionOf(two), "reset");
  EXPECT_EQ(ConditionOf(one), "goes on");
}

TEST_F(AccountChangesTest, AC4_TheLogRefusesItForAMoment_TheAnswerComesWhenItIsThere) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  one.inbox.clear();
  int refusals = 2;
  log_.refuse = [&](std::uint32_t, const events::v1::UserRecord& record) {
    return record.has_credentials_changed() && refusals-- > 0 ? absl::PermissionDeniedError("not yet")
                                                              : absl::OkStatus();
  };
  ChangePassword(one, "fresh");
  Settle();
  EXPECT_THAT(Only(one.inbox, STANZA_KIND_IQ), IsEmpty());
  ASSERT_TRUE(RunUntil([&] { return !Only(one.inbox, STANZA_KIND_IQ, "result").empty(); }));
  EXPECT_EQ(ConditionOf(two), "reset");
}

TEST_F(AccountChangesTest, AC4_ALateStatementOfAnEarlierOwnerChangesNothing) {
  Client& one = SignInBob(gateway_, "one");
  const AccountStore::Account before = database_.AccountOf(bob_);
  ChangePassword(one, "fresh");
  Settle();
  asio::co_spawn(
      io_, [&]() -> Task<void> { (void)co_await node(0).accounts.SetKeys(bob_, before, before.keys); },
      asio::detached);
  Settle();
  EXPECT_EQ(database_.accounts[bob_][0].stored_key(), "fresh");
}

/// The answer to a change of the password is lost, whether it is made or not, and the account cannot be found
/// before the third attempt.
class LostAnswerTest : public AccountChangesTest {
 protected:
  void LoseAnswer(bool is_done) {
    database_.on_call = [this, is_done](std::string_view call) {
      if (call != "SetKeys" || std::exchange(is_asked_, true)) return;
      database_.ambiguous = is_done;
      database_.down = !is_done;
    };
    database_.on_slow = [this](std::string_view call) -> Task<void> {
      if (!is_asked_ || call == "SetKeys") co_return;
      database_.ambiguous = false;
      database_.down = call == "Find" && (is_away || ++asked_again_ < 3);
    };
  }
  bool is_away = false;

 private:
  bool is_asked_ = false;
  int asked_again_ = 0;
};

TEST_F(LostAnswerTest, AC4_ThePasswordIsStored_TheOthersAreOut) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  one.inbox.clear();
  LoseAnswer(/*is_done=*/true);
  ChangePassword(one, "fresh");
  ASSERT_TRUE(RunUntil([&] { return !Only(one.inbox, STANZA_KIND_IQ).empty(); }));
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_EQ(database_.accounts[bob_][0].stored_key(), "fresh");
  EXPECT_EQ(ConditionOf(two), "reset");
  EXPECT_EQ(ConditionOf(one), "goes on");
}

TEST_F(LostAnswerTest, AC4_ThePasswordIsNotStored_ItIsTriedAgain) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  one.inbox.clear();
  LoseAnswer(/*is_done=*/false);
  ChangePassword(one, "fresh");
  // The store may yet do what it was asked first.
  ASSERT_TRUE(RunUntil([&] { return !Only(one.inbox, STANZA_KIND_IQ).empty(); }));
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_IQ, "result").size(), 1u);
  EXPECT_EQ(database_.accounts[bob_][0].stored_key(), "fresh");
  EXPECT_EQ(ConditionOf(two), "reset");
  EXPECT_EQ(ConditionOf(one), "goes on");
}

TEST_F(LostAnswerTest, AC4_TheSessionsGatewayDiesMeanwhile_TheOthersAreOutAllTheSame) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  LoseAnswer(/*is_done=*/true);
  is_away = true;
  ChangePassword(one, "fresh");
  Settle();
  one.forgotten = true;
  gateway_.Unlink(node(1));
  Elapse(settings_.link_grace + std::chrono::seconds(2));
  ASSERT_EQ(node(1).domain.table().size(), 1u);
  ASSERT_FALSE(two.ended);
  is_away = false;
  ASSERT_TRUE(RunUntil([&] { return two.ended.has_value(); }));
  EXPECT_EQ(ConditionOf(two), "reset");
}

TEST_F(AccountChangesTest, AC4_WhoSignsInWithTheNewPasswordBeforeTheRecordIsRead_StaysIn) {
  Client& one = SignInBob(gateway_, "one");
  log_.held = true;
  ChangePassword(one, "fresh");
  Settle();
  Client& prompt = other_.Start(bob_, "prompt", {}, StandingOf(bob_));
  Settle();
  ASSERT_TRUE(prompt.started);
  log_.held = false;
  Settle();
  EXPECT_EQ(ConditionOf(prompt), "goes on");
  EXPECT_EQ(ConditionOf(one), "goes on");
}

TEST_F(AccountChangesTest, AC4_TheLookUpThatWasQuickerThanTheChange_LetsNobodyIn) {
  Client& one = SignInBob(gateway_, "one");
  clock_.Advance(std::chrono::minutes(1));  // nobody remembers what was looked up
  const Standing claim = StandingOf(bob_);
  bool is_held_up = true;
  bool has_answered = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    if (call != "Find" || std::exchange(has_answered, true)) co_return;
    // The answer is on its way, and says what there was.
    while (is_held_up) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Client& thief = other_.Start(bob_, "thief", {}, claim);
  Settle();
  ASSERT_TRUE(has_answered);
  ChangePassword(one, "fresh");
  Settle();
  is_held_up = false;
  ASSERT_TRUE(RunUntil([&] { return thief.start_failure.has_value(); }));
  EXPECT_EQ(thief.start_failure->condition(), "not-authorized");
}

/// No record of any partition has the password, whatever is under way when it is changed.
class SecretTest : public AccountChangesTest {
 protected:
  SecretTest() {
    log_.on_user_record = [this](const events::v1::UserRecord& record) {
      has_leaked_ |= record.SerializeAsString().find("fresh") != std::string::npos;
    };
  }
  ~SecretTest() override { EXPECT_FALSE(has_leaked_); }
  void SetItem(Client& client) {
    xmpp::Stanza set = Iq("set", {}, "s", "query", "jabber:iq:roster");
    xmpp::Element query("query", "jabber:iq:roster");
    query.Add("item").SetAttr("jid", "carol@localhost");
    xmpp::SetPayload(set, query);
    client.gateway->Send(client, set);
  }
  static std::vector<std::string> Answers(const Client& client) {
    std::vector<std::string> answers;
    for (const xmpp::Stanza& iq : Only(client.inbox, STANZA_KIND_IQ))
      if (iq.type() == "result" || iq.type() == "error") answers.push_back(iq.id() + " " + iq.type());
    return answers;
  }
  std::string Password() { return database_.accounts[bob_][0].stored_key(); }

 private:
  bool has_leaked_ = false;
};

TEST_F(SecretTest, O5_BehindAChange_ItWaits_AndIsInNoRecord) {
  Client& one = SignInBob(gateway_, "one");
  log_.held = true;
  SetItem(one);
  ChangePassword(one, "fresh");
  gateway_.Send(one, Iq("get", {}, "p", "ping", "urn:xmpp:ping"));
  Settle();
  EXPECT_EQ(Password(), "old");
  log_.held = false;
  ASSERT_TRUE(RunUntil([&] { return Answers(one).size() == 3; }));
  EXPECT_THAT(Answers(one), ElementsAre("s result", "r result", "p result"));
  EXPECT_EQ(Password(), "fresh");
  EXPECT_EQ(one.confirmed, one.sent);
}

TEST_F(SecretTest, O5_AGetThatHasAPasswordInIt_IsInNoRecordEither) {
  Client& one = SignInBob(gateway_, "one");
  log_.held = true;
  SetItem(one);
  xmpp::Stanza get = Iq("get", {}, "g", "query", "jabber:iq:register");
  xmpp::Element query("query", "jabber:iq:register");
  query.Add("password").SetText("fresh");
  xmpp::SetPayload(get, query);
  gateway_.Send(one, get);
  Settle();
  log_.held = false;
  ASSERT_TRUE(RunUntil([&] { return Answers(one).size() == 2; }));
  EXPECT_THAT(Answers(one), ElementsAre("s result", "g result"));
  EXPECT_EQ(Password(), "old");
}

TEST_F(SecretTest, O5_BehindAChangeThatIsRead_ItWaits_AndIsInNoRecord) {
  Client& one = SignInBob(gateway_, "one");
  roster_.down = true;
  SetItem(one);
  Settle();
  ChangePassword(one, "fresh");
  Settle();
  EXPECT_EQ(Password(), "old");
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return Answers(one).size() == 2; }));
  EXPECT_THAT(Answers(one), ElementsAre("s result", "r result"));
  EXPECT_EQ(Password(), "fresh");
}

TEST_F(SecretTest, O5_BehindAnotherDevicesChange_ItWaits_AndIsInNoRecord) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  log_.held = true;
  SetItem(two);
  Settle();
  ChangePassword(one, "fresh");
  Settle();
  EXPECT_EQ(Password(), "old");
  log_.held = false;
  ASSERT_TRUE(RunUntil([&] { return !Answers(one).empty() && two.ended; }));
  EXPECT_THAT(Answers(one), ElementsAre("r result"));
  EXPECT_EQ(Password(), "fresh");
  EXPECT_EQ(ConditionOf(two), "reset");
}

TEST_F(SecretTest, O5_TheChangeBeforeItTakesTooLong_ItIsRefused_AndHoldsUpNothing) {
  Client& one = SignInBob(gateway_, "one");
  roster_.down = true;
  SetItem(one);
  Settle();
  ChangePassword(one, "fresh");
  gateway_.Send(one, Message(alice_, "m1"));
  ASSERT_TRUE(RunUntil([&] { return one.confirmed == one.sent; }));
  EXPECT_THAT(Answers(one), ElementsAre("r error"));
  const auto refused = Only(one.inbox, STANZA_KIND_IQ, "error");
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_NE(refused[0].payload().find("resource-constraint"), std::string::npos);
  EXPECT_NE(refused[0].payload().find("type=\"wait\""), std::string::npos);
  EXPECT_EQ(Password(), "old");
  roster_.down = false;
  ASSERT_TRUE(RunUntil([&] { return Answers(one).size() == 2; }));
  ChangePassword(one, "fresh");
  ASSERT_TRUE(RunUntil([&] { return Answers(one).size() == 3; }));
  EXPECT_THAT(Answers(one), ElementsAre("r error", "s result", "r result"));
}

TEST_F(SecretTest, O5_TheOwnerDiesWhileItWaits_TheNextOneDoesBothInOrder) {
  Client& one = SignInBob(gateway_, "one");
  Elapse(std::chrono::seconds(1));
  log_.held = true;
  SetItem(one);
  ChangePassword(one, "fresh");
  Settle();
  Move();
  ASSERT_TRUE(RunUntil([&] { return Answers(one).size() == 2; }));
  EXPECT_THAT(Answers(one), ElementsAre("s result", "r result"));
  EXPECT_EQ(Password(), "fresh");
  EXPECT_EQ(one.confirmed, one.sent);
}

TEST_F(AccountChangesTest, AC4_SentAgainToTheNextOwner_WhoHasComeInWithTheNewPasswordStaysIn) {
  for (const auto& node : nodes_) node->keys.salt = "salt of " + std::to_string(node->number);
  Client& one = SignInBob(gateway_, "one");
  Elapse(std::chrono::seconds(1));
  one.inbox.clear();
  log_.held = true;
  ChangePassword(one, "fresh");
  Settle();
  ASSERT_EQ(database_.accounts[bob_][0].stored_key(), "fresh");
  Client& prompt = SignInBob(other_, "prompt");
  Move();
  ASSERT_TRUE(RunUntil([&] { return !Only(one.inbox, STANZA_KIND_IQ, "result").empty(); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(ConditionOf(one), "goes on");
  EXPECT_EQ(ConditionOf(prompt), "goes on");
  EXPECT_EQ(database_.accounts[bob_][0].salt(), "salt of 1");
}

TEST_F(AccountChangesTest, AC9_OneAtATime_WhoIsOutBeforeItsTurnCostsNothing) {
  Client& one = SignInBob(gateway_, "one");
  Client& two = SignInBob(other_, "two");
  Client& three = SignInBob(other_, "three");
  bool is_open = false;
  node(1).keys.on_derive = [&]() -> Task<void> {
    while (!is_open) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  ChangePassword(one, "by one");
  ChangePassword(two, "by two");
  ChangePassword(three, "by three");
  Settle();
  EXPECT_EQ(node(1).keys.derived, 1);
  is_open = true;
  ASSERT_TRUE(RunUntil([&] { return two.ended && three.ended; }));
  Settle();
  EXPECT_EQ(node(1).keys.derived, 1);
  EXPECT_EQ(database_.accounts[bob_][0].stored_key(), "by one");
  EXPECT_EQ(ConditionOf(one), "goes on");
}

TEST_F(AccountChangesTest, AC9_SoManyInAMinute_MoreAreRefusedForTheMoment) {
  constexpr std::size_t kMost = AccountChanges::kPasswordsPerMinute;
  Client& one = SignInBob(gateway_, "one");
  one.inbox.clear();
  for (std::size_t i = 0; i < kMost + 2; ++i) ChangePassword(one, "fresh-" + std::to_string(i));
  Settle();
  EXPECT_EQ(Only(one.inbox, STANZA_KIND_IQ, "result").size(), kMost);
  const auto refused = Only(one.inbox, STANZA_KIND_IQ, "error");
  ASSERT_EQ(refused.size(), 2u);
  for (const xmpp::Stanza& error : refused) {
    EXPECT_NE(error.payload().find("resource-constraint"), std::string::npos);
    EXPECT_NE(error.payload().find("type=\"wait\""), std::string::npos);
  }
  EXPECT_EQ(node(1).keys.derived, static_cast<int>(kMost));
  clock_.Advance(std::chrono::minutes(1));
  ChangePassword(one, "later");
  Settle();
  EXPECT_EQ(database_.accounts[bob_][0].stored_key(), "later");
}

// ---- who comes later ------------------------------------------------------------

/// bob's gateway keeps to itself while his shard has another owner, and does not know for how long.
class LateGatewayTest : public AccountChangesTest {
 protected:
  static constexpr std::chrono::minutes kLong{20};  // ends are remembered for less
  LateGatewayTest() {
    for (auto& node : nodes_) node->settings.attach_timeout = std::chrono::milliseconds(0);
    late_ = &SignInBob(other_, "late");
    other_.EnableStreamManagement(*late_);
    Settle();
    Elapse(std::chrono::seconds(1));
    other_.has_watch = false;
    other_.Unlink(node(1));
    other_.Unlink(node(2));
    for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
    directory_.shards.clear();
    Move();
    Elapse(std::chrono::seconds(10));
  }
  void ItComes() {
    other_.Link(node(2));
    Settle();
    Elapse(std::chrono::seconds(2));
  }
  Client* late_ = nullptr;
};

TEST_F(LateGatewayTest, AC5_ItsAccountWasRemovedLongAgo_ItsSessionIsOver) {
  Remove(SignInBob(gateway_, "b"));
  Settle();
  ASSERT_EQ(RegisterAgain(), "");
  Elapse(kLong);
  Client& next = SignInBob(gateway_, "next");
  ItComes();
  EXPECT_EQ(ConditionOf(*late_), "reset");
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  EXPECT_EQ(next.MessageIds().size(), 1u);
  EXPECT_THAT(late_->MessageIds(), IsEmpty());
}

TEST_F(LateGatewayTest, AC5_ItsPasswordWasChangedLongAgo_ItsSessionIsOver) {
  ChangePassword(SignInBob(gateway_, "b"), "fresh");
  Settle();
  Elapse(kLong);
  ItComes();
  EXPECT_EQ(ConditionOf(*late_), "reset");
}

TEST_F(LateGatewayTest, AC5_ItsPasswordWasChangedAMomentAgo_ItsSessionIsOver_WhateverTheStoreSays) {
  ChangePassword(SignInBob(gateway_, "b"), "fresh");
  Settle();
  SetPassword("old");
  ItComes();
  EXPECT_EQ(ConditionOf(*late_), "reset");
}

TEST_F(LateGatewayTest, AC5_NothingHasChanged_ItGoesOn_AndWhatItHasSentMeanwhileIsTaken) {
  bool is_held_up = true;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    while (call == "Find" && is_held_up) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Elapse(std::chrono::minutes(1));
  other_.Link(node(2));
  Settle();
  other_.Send(*late_, Message(alice_, "m1"));
  other_.Send(*late_, Message(alice_, "m2"));
  Settle();
  EXPECT_EQ(late_->confirmed + 2, late_->sent);
  is_held_up = false;
  ASSERT_TRUE(RunUntil([&] { return late_->confirmed == late_->sent; }));
  EXPECT_EQ(ConditionOf(*late_), "goes on");
  EXPECT_EQ(alice->MessageIds().size(), 2u);
}

TEST_F(LateGatewayTest, AC5_ItsClientIsElsewhereAlready_AndWaitsForTheAnswer) {
  node(2).membership.gateways.push_back("gw-2");
  bool is_held_up = true;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    while (call == "Find" && is_held_up) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Elapse(std::chrono::minutes(1));
  Client& resumed = gateway_.Resume(*late_, 0);
  Settle();
  other_.Link(node(2));
  Settle();
  EXPECT_THAT(resumed.resume_answers, IsEmpty());
  is_held_up = false;
  ASSERT_TRUE(RunUntil([&] { return !resumed.resume_answers.empty(); }));
  EXPECT_FALSE(resumed.resume_answers[0].has_failure());
}

TEST_F(LateGatewayTest, AC5_TheStoreIsAway_ItWaits) {
  Elapse(std::chrono::minutes(1));
  database_.down = true;
  ItComes();
  other_.Send(*late_, Message(alice_, "m1"));
  Settle();
  EXPECT_EQ(ConditionOf(*late_), "goes on");
  database_.down = false;
  ASSERT_TRUE(RunUntil([&] { return late_->confirmed == late_->sent; }));
  EXPECT_EQ(alice->MessageIds().size(), 1u);
}

TEST_F(LateGatewayTest, AC5_ItsShardIsAcquiredAfreshMeanwhile_ItIsBroughtToTheNextLife) {
  bool is_held_up = true;
  bool has_asked = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    if (call != "Find" || std::exchange(has_asked, true)) co_return;
    while (is_held_up) co_await runtime::Sleep(std::chrono::milliseconds(1));
  };
  Elapse(std::chrono::minutes(1));
  other_.Link(node(2));
  Settle();
  other_.Send(*late_, Message(alice_, "m1"));
  Settle();
  ASSERT_EQ(late_->confirmed + 1, late_->sent);
  Shard* const before = node(2).domain.shards().Find(1);
  const std::int64_t epoch = before->epoch;
  node(2).owner.NoteStepFailed(*before, "test", std::runtime_error("half-way"));
  ASSERT_TRUE(RunUntil([&] { return IsLive(1) && node(2).domain.shards().Find(1)->epoch > epoch; }));
  Settle();
  EXPECT_EQ(late_->confirmed, late_->sent) << "the old check keeps nobody";
  is_held_up = false;
  for (int i = 0; i < 20; ++i) RunUntil([n = 0]() mutable { return ++n > 1; });
  EXPECT_EQ(ConditionOf(*late_), "goes on");
  EXPECT_EQ(late_->confirmed, late_->sent);
  EXPECT_EQ(alice->MessageIds().size(), 1u);
  gateway_.Send(*alice, Message(bob_, "m2"));
  Settle();
  EXPECT_THAT(late_->MessageIds(), ::testing::ElementsAre("m2"));
  EXPECT_TRUE(node(2).domain.shards().Find(1)->attached_gateways.contains("gw-2"));
}

TEST_F(LateGatewayTest, AC5_TheCheckFails_TheShardIsAcquiredAfresh_AndNobodyWaitsForIt) {
  bool has_failed = false;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    if (call == "Find" && !std::exchange(has_failed, true)) throw std::runtime_error("half-way");
    co_return;
  };
  Elapse(std::chrono::minutes(1));
  const std::int64_t epoch = node(2).domain.shards().Find(1)->epoch;
  other_.Link(node(2));
  other_.Send(*late_, Message(alice_, "m1"));
  ASSERT_TRUE(RunUntil([&] { return has_failed; }));
  ASSERT_TRUE(RunUntil([&] {
    const Shard* const shard = node(2).domain.shards().Find(1);
    return shard != nullptr && shard->live() && shard->epoch > epoch;
  }));
  Settle();
  EXPECT_TRUE(node(2).domain.shards().Find(1)->attached_gateways.contains("gw-2"));
  EXPECT_EQ(ConditionOf(*late_), "goes on");
  EXPECT_EQ(late_->confirmed, late_->sent);
  EXPECT_EQ(alice->MessageIds().size(), 1u);
}

TEST_F(LateGatewayTest, AC5_ItsAccountCannotBeRead_ItGoesOn) {
  Elapse(std::chrono::minutes(1));
  database_.unreadable.insert(bob_);
  ItComes();
  other_.Send(*late_, Message(alice_, "m1"));
  Settle();
  EXPECT_EQ(ConditionOf(*late_), "goes on");
  EXPECT_EQ(late_->confirmed, late_->sent);
  EXPECT_EQ(alice->MessageIds().size(), 1u);
}

/// A new owner of the shard finds what the log does not tell of.
class FoundTest : public AccountChangesTest {
 protected:
  void Park(Client& client) {
    other_.EnableStreamManagement(client);
    other_.End(client, END_REASON_CONNECTION_LOST);
    Settle();
    Elapse(std::chrono::seconds(1));
    ASSERT_EQ(database_.parked.size(), 1u);
  }
};

TEST_F(FoundTest, AC5_RowsOfOlderCredentials_AreOver) {
  Client& away = SignInBob(other_, "away");
  Client& here = SignInBob(gateway_, "here");
  Park(away);
  SetPassword("fresh");
  Move();
  Elapse(std::chrono::seconds(8));
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_EQ(ConditionOf(here), "reset");
  Client& resumed = gateway_.Resume(away, 0, {}, StandingOf(bob_));
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].failure().condition(), "item-not-found");
}

TEST_F(FoundTest, AC5_RowsOfAnotherAccount_AreGoneBeforeAnythingIsGivenToThem) {
  Client& away = SignInBob(other_, "away");
  Client& here = SignInBob(gateway_, "here");
  Park(away);
  node(1).shard_log.member = false;
  database_.generations[bob_] = 77;
  log_.held = true;
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  Kill(1);
  log_.held = false;
  Settle();
  Assign(1, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(database_.parked, IsEmpty());
  EXPECT_EQ(ConditionOf(here), "reset");
  EXPECT_THAT(here.MessageIds(), IsEmpty());
  EXPECT_EQ(database_.Waiting(bob_), 1u);
}

TEST_F(FoundTest, AC5_AnAccountThatIsAsItWas_KeepsItsSessions) {
  Client& away = SignInBob(other_, "away");
  Client& here = SignInBob(gateway_, "here");
  Park(away);
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(ConditionOf(here), "goes on");
  EXPECT_EQ(database_.parked.size(), 1u);
}

TEST_F(FoundTest, AC5_AnAccountThatCannotBeRead_KeepsItsSessions_AndNobodyWaitsForIt) {
  const std::string carol = UserIn(1, 7);
  Client& away = SignInBob(other_, "away");
  Client& here = SignInBob(gateway_, "here");
  Client& outdated = SignIn(gateway_, carol, "c", 0, StandingOf(carol));
  Park(away);
  database_.unreadable.insert(bob_);
  database_.generations[carol] = 77;
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(ConditionOf(here), "goes on");
  EXPECT_EQ(database_.parked.size(), 1u);
  EXPECT_EQ(ConditionOf(outdated), "reset") << "the others are checked";
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  EXPECT_EQ(here.MessageIds().size(), 1u);
}

TEST_F(FoundTest, AC5_TheServerHasAnErrorForAnAccount_ItsSessionsGoOn_TheOthersAreChecked) {
  Client& here = SignInBob(gateway_, "here");
  std::vector<Client*> outdated;
  for (int i = 1; i <= 7; ++i) {
    const std::string user = UserIn(1, i);
    outdated.push_back(&SignIn(gateway_, user, "x", 0, StandingOf(user)));
    database_.generations[user] = 77;
  }
  database_.damaged.insert(bob_);
  Move();
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(ConditionOf(here), "goes on");
  for (const Client* other : outdated) EXPECT_EQ(ConditionOf(*other), "reset");
  gateway_.Send(*alice, Message(bob_, "m1"));
  Settle();
  EXPECT_EQ(here.MessageIds().size(), 1u);
}

TEST_F(FoundTest, AC5_TheServerHasAnErrorForEveryAccount_NobodyGoesOnUnchecked) {
  const std::string user = UserIn(1, 1);
  Client& outdated = SignIn(gateway_, user, "x", 0, StandingOf(user));
  database_.generations[user] = 77;
  database_.damaged = {user, {}};
  Kill(owner_, /*lose=*/true);
  owner_ = AddNode().number;
  Assign(1, owner_);
  Elapse(std::chrono::seconds(5));
  EXPECT_FALSE(IsLive(1));
  database_.damaged.clear();
  ASSERT_TRUE(RunUntil([&] { return IsLive(1); }));
  Elapse(std::chrono::seconds(2));
  EXPECT_EQ(ConditionOf(outdated), "reset");
}

TEST_F(LateGatewayTest, AC5_TheServerHasAnErrorForItsAccount_ItGoesOn) {
  Elapse(std::chrono::minutes(1));
  database_.damaged.insert(bob_);
  ItComes();
  other_.Send(*late_, Message(alice_, "m1"));
  ASSERT_TRUE(RunUntil([&] { return alice->MessageIds().size() == 1; }));
  EXPECT_EQ(ConditionOf(*late_), "goes on");
}

TEST_F(FoundTest, AC6_ASessionOfOlderCredentialsIsNotResumedWithNewOnes) {
  Client& away = SignInBob(other_, "away");
  Park(away);
  // The change never came to the owner.
  SetPassword("fresh");
  clock_.Advance(std::chrono::minutes(1));
  Client& resumed = gateway_.Resume(away, 0, {}, StandingOf(bob_));
  Settle();
  ASSERT_EQ(resumed.resume_answers.size(), 1u);
  EXPECT_EQ(resumed.resume_answers[0].failure().condition(), "item-not-found");
  Elapse(std::chrono::seconds(2));
  EXPECT_THAT(database_.parked, IsEmpty());
}

}  // namespace
}  // namespace rookery::session_manager
