#include <gmock/gmock.h>

#include "cluster.h"
#include "domain/features/hooks.h"
#include "domain/records/record_order.h"
#include "rookery/events/homes.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kPing = "urn:xmpp:ping";
constexpr std::string_view kInfo = "http://jabber.org/protocol/disco#info";
constexpr std::string_view kItems = "http://jabber.org/protocol/disco#items";
constexpr std::string_view kRoster = "jabber:iq:roster";

class IqTest : public Cluster {
 protected:
  IqTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
    asker_ = &SignIn(gateway_, alice_, "a");
  }
  /// The one answer to the request.
  xmpp::Stanza Ask(const xmpp::Stanza& iq) {
    asker_->inbox.clear();
    gateway_.Send(*asker_, iq);
    Settle();
    EXPECT_EQ(asker_->confirmed, asker_->sent);
    // Whoever may not know of an account gets the answer a moment later.
    EXPECT_TRUE(RunUntil([&] { return !Only(asker_->inbox, STANZA_KIND_IQ).empty(); }));
    std::vector<xmpp::Stanza> answers;
    for (const xmpp::Stanza& stanza : asker_->inbox)
      if (stanza.kind() == STANZA_KIND_IQ && stanza.type() != "set") answers.push_back(stanza);
    EXPECT_EQ(answers.size(), 1u) << iq.ShortDebugString();
    return answers.empty() ? xmpp::Stanza() : answers.front();
  }
  std::string ErrorOf(const xmpp::Stanza& iq) {
    const xmpp::Stanza answer = Ask(iq);
    EXPECT_EQ(answer.id(), iq.id());
    if (answer.type() != "error") return answer.type();
    for (const char* condition : {"service-unavailable", "bad-request", "forbidden", "item-not-found",
                                  "not-allowed", "not-acceptable", "jid-malformed", "internal-server-error"})
      if (answer.payload().find(condition) != std::string::npos) return condition;
    return answer.payload();
  }
  /// A name in that shard that nobody has.
  static std::string NobodyIn(std::uint32_t shard) {
    for (int i = 0;; ++i) {
      std::string name = "nobody" + std::to_string(i) + "@localhost";
      if (events::ShardOfAccount(name, kShards) == shard) return name;
    }
  }
  std::vector<xmpp::Stanza> Refusals() const { return Only(asker_->inbox, STANZA_KIND_IQ, "error"); }
  Gateway& gateway_;
  std::string alice_, bob_;
  Client* asker_ = nullptr;
};

TEST(IqReplyTest, NothingOfWhatFailedInsideIsTold) {
  for (const absl::Status& status :
       {absl::UnavailableError("ipv4:10.0.0.1:9000: refused"), absl::InternalError("42501 denied"),
        absl::AlreadyExistsError("23505 duplicate key"), absl::UnknownError("what()")})
    EXPECT_EQ(IqReply::FromStatus(status).text, "") << status;
  EXPECT_EQ(IqReply::FromStatus(absl::ResourceExhaustedError("the roster is full")).text,
            "the roster is full");
}

TEST_F(IqTest, EveryRequestHasExactlyOneAnswer) {
  EXPECT_EQ(ErrorOf(Iq("get", {}, "1", "ping", kPing)), "result");
  EXPECT_EQ(ErrorOf(Iq("get", "localhost", "2", "ping", kPing)), "result");
  EXPECT_EQ(ErrorOf(Iq("get", alice_, "3", "ping", kPing)), "result");
  EXPECT_EQ(ErrorOf(Iq("get", "localhost", "4", "unknown", "x:y")), "service-unavailable");
  EXPECT_EQ(ErrorOf(Iq("set", {}, "5", "unknown", "x:y")), "service-unavailable");
  EXPECT_EQ(ErrorOf(Iq("get", {}, "6", "query", kRoster)), "result");
  EXPECT_EQ(ErrorOf(Iq("get", "localhost", "7", "query", "jabber:iq:version")), "result");
  EXPECT_EQ(ErrorOf(Iq("get", "localhost", "8", "time", "urn:xmpp:time")), "result");
  EXPECT_EQ(ErrorOf(Iq("get", "localhost", "9", "query", "jabber:iq:last")), "result");
  EXPECT_EQ(ErrorOf(Iq("get", "search.localhost", "10", "query", kInfo)), "result");
  EXPECT_EQ(ErrorOf(Iq("get", "search.localhost", "11", "ping", kPing)), "service-unavailable");
}

TEST_F(IqTest, NotWellMade_BadRequest) {
  EXPECT_EQ(ErrorOf(Iq("get", "localhost", "1")), "bad-request");
  EXPECT_EQ(ErrorOf(Iq("odd", "localhost", "2", "ping", kPing)), "bad-request");
  xmpp::Stanza two = Iq("get", {}, "3", "query", kRoster);
  xmpp::AddPayload(two, xmpp::Element("extra", "x:y"));
  EXPECT_EQ(ErrorOf(two), "bad-request");
}

TEST_F(IqTest, ResultsThatAnswerNothingAreDropped) {
  gateway_.Send(*asker_, Iq("result", "localhost", "1"));
  gateway_.Send(*asker_, Iq("result", {}, "2"));
  gateway_.Send(*asker_, Iq("error", bob_, "3"));
  gateway_.Send(*asker_, Iq("result", bob_ + "/gone", "4"));
  asker_->inbox.clear();
  Settle();
  EXPECT_THAT(asker_->inbox, IsEmpty());
  EXPECT_EQ(asker_->confirmed, asker_->sent);
}

TEST_F(IqTest, ToAnotherAccount_AnsweredOnItsBehalf_NeverDelivered) {
  Client& bob = SignIn(gateway_, bob_, "b");
  EXPECT_EQ(ErrorOf(Iq("get", bob_, "1", "unknown", "x:y")), "service-unavailable");
  EXPECT_EQ(ErrorOf(Iq("get", bob_, "2", "query", kRoster)), "forbidden");
  EXPECT_EQ(ErrorOf(Iq("set", bob_, "3", "query", kRoster)), "forbidden");
  EXPECT_THAT(bob.inbox, IsEmpty());
}

TEST_F(IqTest, ToAnotherAccount_NoTellingWhoHasOne) {
  SignIn(gateway_, bob_, "b");
  for (const std::string& to : {bob_, std::string("nobody@localhost")}) {
    EXPECT_EQ(ErrorOf(Iq("get", to, "1", "query", kInfo)), "service-unavailable") << to;
    EXPECT_EQ(ErrorOf(Iq("get", to, "2", "ping", kPing)), "service-unavailable") << to;
    EXPECT_EQ(ErrorOf(Iq("get", to, "3", "query", "jabber:iq:last")), "forbidden") << to;
    const xmpp::Stanza items = Ask(Iq("get", to, "4", "query", kItems));
    EXPECT_EQ(items.type(), "result");
    EXPECT_THAT(items.payload(), Not(HasSubstr("<item")));
  }
}

TEST_F(IqTest, ToOneWhoMayNotKnow_RefusedAfterTheSameTimeWhoeverItIs) {
  SignIn(gateway_, bob_, "b");
  asker_->inbox.clear();
  const std::string offline = UserIn(2, 1);
  const std::string nobody = "nobody@localhost";
  for (const std::string& to : {bob_, offline, nobody, bob_ + "/gone", offline + "/gone", nobody + "/gone"})
    gateway_.Send(*asker_, Iq("get", to, to, "ping", kPing));
  Settle();
  // Not as soon as it is known.
  EXPECT_THAT(asker_->inbox, IsEmpty());
  EXPECT_TRUE(RunUntil([&] { return Only(asker_->inbox, STANZA_KIND_IQ, "error").size() == 6; }));
}

TEST_F(IqTest, ToOneWhoMayNotKnow_TheTimeBeginsWhenTheQuestionIsRead) {
  asker_->inbox.clear();
  roster_.settings_held = true;
  gateway_.Send(*asker_, Iq("get", bob_, "1", "ping", kPing));
  Settle();
  // The user's settings take longer to find out than a refusal may.
  clock_.Advance(std::chrono::milliseconds(60));
  const int gets = roster_.gets;
  roster_.settings_held = false;
  ASSERT_TRUE(RunUntil([&] { return roster_.gets > gets; }));
  EXPECT_EQ(Only(asker_->inbox, STANZA_KIND_IQ, "error").size(), 1u);
}

TEST_F(IqTest, AFloodOfQuestionsToAnAbsentUserHoldsUpNothing) {
  roster_.held = true;
  for (int i = 0; i < 300; ++i)
    gateway_.Send(*asker_, Iq("get", bob_, "q" + std::to_string(i), "ping", kPing));
  EXPECT_TRUE(RunUntil([&] { return Only(asker_->inbox, STANZA_KIND_IQ, "error").size() >= 200; }));
  const auto refused = Only(asker_->inbox, STANZA_KIND_IQ, "error");
  EXPECT_LT(refused.size(), 300u);
  for (const xmpp::Stanza& error : refused) EXPECT_THAT(error.payload(), HasSubstr("service-unavailable"));
  // Without presence, which would wait for the roster itself.
  Client& carol = SignIn(gateway_, UserIn(2, 2), "c", std::nullopt);
  gateway_.Send(carol, Message(bob_, "m1"));
  EXPECT_TRUE(RunUntil([&] { return database_.Waiting(bob_) == 1; }));
  roster_.held = false;
  EXPECT_TRUE(RunUntil([&] { return Only(asker_->inbox, STANZA_KIND_IQ, "error").size() == 300; }));
}

TEST_F(IqTest, ManyQuestionsToOneWhoDoesNotExist_NoStoreIsAskedAgain) {
  const std::string nobody = NobodyIn(2);
  // To a resource, and of a kind that no account answers.
  const auto ask = [&](std::size_t count) {
    asker_->inbox.clear();
    for (std::size_t i = 0; i < count; ++i) {
      gateway_.Send(*asker_, Iq("get", nobody + "/x", "r" + std::to_string(i), "ping", kPing));
      gateway_.Send(*asker_, Iq("get", nobody, "a" + std::to_string(i), "unknown", "x:y"));
    }
    EXPECT_TRUE(RunUntil([&] { return Refusals().size() == 2 * count; }));
    for (const xmpp::Stanza& error : Refusals())
      EXPECT_THAT(error.payload(), HasSubstr("service-unavailable"));
    EXPECT_EQ(node(1).domain.shards().Find(2)->FindUser(nobody), nullptr);
  };
  const int accounts_asked = database_.statements;
  const int rosters_asked = roster_.gets;
  const int settings_asked = roster_.settings_gets;
  for (int round = 0; round < 3; ++round) ask(100);
  EXPECT_EQ(database_.statements, accounts_asked);
  EXPECT_EQ(roster_.gets, rosters_asked);
  EXPECT_EQ(roster_.settings_gets, settings_asked + 1) << "what it has set is remembered";
}

TEST_F(IqTest, AFloodOfQuestionsToOneWhoDoesNotExist_FewAreLookedUp) {
  const std::string nobody = NobodyIn(2);
  const int asked = roster_.gets;
  roster_.held = true;
  for (int i = 0; i < 300; ++i)
    gateway_.Send(*asker_, Iq("get", nobody, "q" + std::to_string(i), "ping", kPing));
  ASSERT_TRUE(RunUntil([&] { return Refusals().size() >= 300u - RecordOrder::kMaxQueries; }));
  EXPECT_EQ(roster_.gets, asked + 1) << "one sender's go one at a time";
  roster_.held = false;
  ASSERT_TRUE(RunUntil([&] { return Refusals().size() == 300; }));
  EXPECT_LE(roster_.gets, asked + RecordOrder::kMaxQueries);
}

TEST_F(IqTest, AFloodOfQuestionsToOneWhoDoesNotExist_WhoSignsInMeanwhileDoesNotWait) {
  gateway_.Send(*asker_, Message(bob_, "m1"));
  Settle();
  const std::string nobody = NobodyIn(2);  // of bob's shard
  roster_.held_of = nobody;
  for (int i = 0; i < 300; ++i)
    gateway_.Send(*asker_, Iq("get", nobody, "q" + std::to_string(i), "ping", kPing));
  Settle();
  Client& bob = gateway_.Start(bob_, "b");
  Settle();
  EXPECT_TRUE(bob.started);
  gateway_.Send(bob, Presence());
  gateway_.Send(bob, Message(alice_, "m2"));
  Settle();
  EXPECT_EQ(bob.confirmed, bob.sent);
  EXPECT_THAT(bob.MessageIds(), ::testing::ElementsAre("m1"));
  EXPECT_THAT(asker_->MessageIds(), ::testing::ElementsAre("m2")) << "nor does who asks";
  EXPECT_LT(Refusals().size(), 300u) << "the rest still waits";
  roster_.held_of.clear();
  EXPECT_TRUE(RunUntil([&] { return Refusals().size() == 300; }));
}

// Questions that wait hold back nothing that others send to the one who is asked.
TEST_F(IqTest, AFloodOfQuestionsToAnAbsentUser_WhoSignsInMeanwhileIsReached) {
  roster_.held = true;
  for (int i = 0; i < 300; ++i)
    gateway_.Send(*asker_, Iq("get", bob_, "q" + std::to_string(i), "ping", kPing));
  Settle();
  // Without presence, which would wait for the roster itself.
  Client& bob = SignIn(gateway_, bob_, "b", std::nullopt);
  Client& carol = SignIn(gateway_, UserIn(2, 2), "c", std::nullopt);
  gateway_.Send(carol, Message(bob.jid, "m1"));
  gateway_.Send(carol, Iq("get", bob.jid, "q", "ping", kPing));
  gateway_.Send(bob, Message(carol.jid, "m2"));
  Settle();
  EXPECT_THAT(bob.MessageIds(), ::testing::ElementsAre("m1"));
  EXPECT_EQ(Only(bob.inbox, STANZA_KIND_IQ, "get").size(), 1u);
  EXPECT_THAT(carol.MessageIds(), ::testing::ElementsAre("m2"));
  EXPECT_LT(Refusals().size(), 300u) << "the rest still waits";
  roster_.held = false;
  EXPECT_TRUE(RunUntil([&] { return Refusals().size() == 300; }));
}

TEST_F(IqTest, ToAnAbsentUser_NothingOfTheUserOutlivesTheAnswer) {
  // Its handler never suspends: the user's entry must not go while the record is applied.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ErrorOf(Iq("get", bob_, "1", "query", kItems)), "result");
  EXPECT_EQ(node(1).domain.shards().Find(2)->FindUser(bob_), nullptr);
}

TEST_F(IqTest, ToAContact_Answered) {
  roster_.Befriend(alice_, bob_);
  SignIn(gateway_, bob_, "b");
  EXPECT_EQ(ErrorOf(Iq("get", bob_, "1", "ping", kPing)), "result");
  EXPECT_THAT(Ask(Iq("get", bob_, "2", "query", kInfo)).payload(), HasSubstr("account"));
  EXPECT_THAT(Ask(Iq("get", bob_, "3", "query", "jabber:iq:last")).payload(), HasSubstr("seconds=\"0\""));
}

TEST_F(IqTest, ToAFullJid_DeliveredAndAnsweredByTheClient) {
  Client& bob = SignIn(gateway_, bob_, "b");
  asker_->inbox.clear();
  gateway_.Send(*asker_, Iq("get", bob_ + "/b", "1", "ping", kPing));
  Settle();
  ASSERT_EQ(bob.inbox.size(), 1u);
  EXPECT_EQ(bob.inbox[0].from(), alice_ + "/a");
  gateway_.Send(bob, Iq("result", alice_ + "/a", "1"));
  Settle();
  ASSERT_EQ(asker_->inbox.size(), 1u);
  EXPECT_EQ(asker_->inbox[0].from(), bob_ + "/b");
}

TEST_F(IqTest, ToAnAbsentResource_Unavailable) {
  SignIn(gateway_, bob_, "b");
  EXPECT_EQ(ErrorOf(Iq("get", bob_ + "/gone", "1", "ping", kPing)), "service-unavailable");
  EXPECT_EQ(ErrorOf(Iq("get", "nobody@localhost/x", "2", "ping", kPing)), "service-unavailable");
}

TEST_F(IqTest, TheTargetDies_OneAnswerAllTheSame) {
  Client& bob = SignIn(gateway_, bob_, "b");
  bob.acks = false;
  asker_->inbox.clear();
  gateway_.Send(*asker_, Iq("get", bob_ + "/b", "1", "ping", kPing));
  Settle();
  gateway_.End(bob, session::v1::END_REASON_CONNECTION_LOST);
  Settle();
  ASSERT_EQ(asker_->inbox.size(), 1u);
  EXPECT_EQ(asker_->inbox[0].type(), "error");
}

TEST_F(IqTest, AnswersKeepTheOrderOfTheQuestions) {
  asker_->inbox.clear();
  for (int i = 0; i < 6; ++i)
    gateway_.Send(*asker_, i % 2 ? Iq("get", {}, std::to_string(i), "query", kRoster)
                                 : Iq("get", "localhost", std::to_string(i), "ping", kPing));
  Settle();
  // Between each pair of entities: the account and the server are two.
  std::vector<std::string> account, server;
  for (const xmpp::Stanza& answer : asker_->inbox)
    (answer.from() == "localhost" ? server : account).push_back(answer.id());
  EXPECT_THAT(server, ::testing::ElementsAre("0", "2", "4"));
  EXPECT_THAT(account, ::testing::ElementsAre("1", "3", "5"));
}

TEST_F(IqTest, Disco_HasIdentityAndNoDoubles) {
  const xmpp::Stanza answer = Ask(Iq("get", "localhost", "1", "query", kInfo));
  auto query = xmpp::ParsePayload(answer.payload());
  ASSERT_TRUE(query.ok());
  std::multiset<std::string> features;
  int identities = 0;
  for (const xmpp::Element& child : query->front().children()) {
    if (child.name() == "feature") features.emplace(child.Attr("var"));
    if (child.name() == "identity") ++identities;
  }
  EXPECT_GE(identities, 1);
  EXPECT_EQ(features.size(), std::set<std::string>(features.begin(), features.end()).size());
  for (const char* wanted :
       {"urn:xmpp:carbons:2", "urn:xmpp:ping", "msgoffline", "jabber:iq:version", "urn:xmpp:time"})
    EXPECT_TRUE(features.contains(wanted)) << wanted;
}

TEST_F(IqTest, Roster_Rules) {
  const auto set = [&](const std::function<void(xmpp::Element&)>& fill) {
    xmpp::Stanza iq = Iq("set", {}, "s", "query", kRoster);
    xmpp::Element query("query", kRoster);
    fill(query);
    xmpp::SetPayload(iq, query);
    return ErrorOf(iq);
  };
  EXPECT_EQ(set([](xmpp::Element&) {}), "bad-request");
  EXPECT_EQ(set([](xmpp::Element& q) {
              q.Add("item").SetAttr("jid", "x@localhost");
              q.Add("item").SetAttr("jid", "y@localhost");
            }),
            "bad-request");
  EXPECT_EQ(set([](xmpp::Element& q) { q.Add("item"); }), "bad-request");
  EXPECT_EQ(set([](xmpp::Element& q) { q.Add("item").SetAttr("jid", "a b@@"); }), "jid-malformed");
  EXPECT_EQ(set([](xmpp::Element& q) {
              q.Add("item").SetAttr("jid", "x@localhost").SetAttr("name", std::string(5'000, 'n'));
            }),
            "not-acceptable");
  EXPECT_EQ(set([](xmpp::Element& q) {
              xmpp::Element& item = q.Add("item").SetAttr("jid", "x@localhost");
              item.Add("group").SetText("g");
              item.Add("group").SetText("g");
            }),
            "bad-request");
  EXPECT_EQ(set([](xmpp::Element& q) { q.Add("item").SetAttr("jid", "x@localhost").Add("group"); }),
            "not-acceptable");
  EXPECT_EQ(set([](xmpp::Element& q) {
              q.Add("item").SetAttr("jid", "no@localhost").SetAttr("subscription", "remove");
            }),
            "item-not-found");
  // `subscription` and `ask` of a client mean nothing.
  EXPECT_EQ(set([](xmpp::Element& q) {
              q.Add("item").SetAttr("jid", "x@localhost").SetAttr("subscription", "both");
            }),
            "result");
  EXPECT_FALSE(roster_.rosters[alice_]["x@localhost"].to);
}

TEST_F(IqTest, Roster_KnownVersionIsAnEmptyResult) {
  xmpp::Stanza get = Iq("get", {}, "1", "query", kRoster);
  xmpp::Element query("query", kRoster);
  query.SetAttr("ver", "1");
  xmpp::SetPayload(get, query);
  const xmpp::Stanza answer = Ask(get);
  EXPECT_EQ(answer.type(), "result");
  EXPECT_EQ(answer.payload(), "");
}

TEST_F(IqTest, TheStanzasTraceIdGoesToTheRoster) {
  const auto traces_of = [&](const xmpp::Stanza& stanza) {
    roster_.traces.clear();
    gateway_.Send(*asker_, stanza);
    Settle();
    return roster_.traces;
  };
  xmpp::Stanza set = Iq("set", {}, "1", "query", kRoster);
  xmpp::Element query("query", kRoster);
  query.Add("item").SetAttr("jid", "x@localhost");
  xmpp::SetPayload(set, query);
  for (const xmpp::Stanza& stanza : {Iq("get", {}, "2", "query", kRoster), set, Presence("subscribe", bob_),
                                     Iq("get", bob_, "3", "ping", kPing)}) {
    const std::vector<std::uint64_t> traces = traces_of(stanza);
    ASSERT_FALSE(traces.empty());
    EXPECT_THAT(traces, ::testing::Each(1'000 + asker_->sent)) << stanza.ShortDebugString();
  }
}

TEST_F(IqTest, BackendAway_ErrorsAreTemporary) {
  roster_.down = true;
  EXPECT_THAT(Ask(Iq("get", {}, "1", "query", kRoster)).payload(), HasSubstr("type=\"wait\""));
}

}  // namespace
}  // namespace rookery::session_manager
