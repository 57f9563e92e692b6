// RFC 6121 section 2: what clients ask of their rosters.
#include <gmock/gmock.h>

#include <functional>

#include "cluster.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kRoster = "jabber:iq:roster";

class RosterTest : public Cluster {
 protected:
  RosterTest() : Cluster(1), gateway_(AddGateway("gw-1")) {
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
  }
  /// The answer to a request with this content of <query/>.
  xmpp::Stanza Ask(Client& client, const std::string& type, const std::function<void(xmpp::Element&)>& fill,
                   const std::string& to = {}) {
    xmpp::Stanza iq = Iq(type, to, "q" + std::to_string(++asked_), "query", kRoster);
    xmpp::Element query("query", kRoster);
    fill(query);
    xmpp::SetPayload(iq, query);
    gateway_.Send(client, iq);
    Settle();
    const auto find = [&] {
      return std::find_if(client.inbox.begin(), client.inbox.end(), [&](const xmpp::Stanza& stanza) {
        return stanza.kind() == STANZA_KIND_IQ && stanza.id() == iq.id() && stanza.type() != "set";
      });
    };
    if (RunUntil([&] { return find() != client.inbox.end(); })) return *find();
    ADD_FAILURE() << "no answer";
    return {};
  }
  xmpp::Stanza Get(Client& client, const std::string& ver) {
    return Ask(client, "get", [&](xmpp::Element& query) { query.SetAttr("ver", ver); });
  }
  xmpp::Stanza SetItem(Client& client, const std::string& jid, const std::string& name = {},
                       const std::vector<std::string>& groups = {}) {
    return Ask(client, "set", [&](xmpp::Element& query) {
      xmpp::Element& item = query.Add("item").SetAttr("jid", jid);
      if (!name.empty()) item.SetAttr("name", name);
      for (const std::string& group : groups) item.Add("group").SetText(group);
    });
  }
  std::vector<xmpp::Stanza> Pushes(const Client& client) { return Only(client.inbox, STANZA_KIND_IQ, "set"); }

  Gateway& gateway_;
  std::string alice_, bob_;
  int asked_ = 0;
};

TEST_F(RosterTest, Section2_1_3_WhoHasOnlyAskedIsNoItem) {
  roster_.rosters[alice_][bob_].pending_in = true;
  roster_.rosters[alice_]["c@localhost"].name = "C";
  Client& alice = SignIn(gateway_, alice_, "a");
  const xmpp::Stanza roster = Ask(alice, "get", [](xmpp::Element&) {});
  EXPECT_THAT(roster.payload(), HasSubstr("c@localhost"));
  EXPECT_THAT(roster.payload(), Not(HasSubstr(bob_)));
  // Nobody asked for versions.
  EXPECT_THAT(roster.payload(), Not(HasSubstr("ver=")));
}

TEST_F(RosterTest, Section2_1_6_EachInterestedResourceIsPushed_AvailableOrNot) {
  Client& one = SignIn(gateway_, alice_, "one");
  Client& two = SignIn(gateway_, alice_, "two", std::nullopt);
  Client& none = SignIn(gateway_, alice_, "none");
  for (Client* client : {&one, &two}) (void)Ask(*client, "get", [](xmpp::Element&) {});
  one.inbox.clear();
  two.inbox.clear();
  (void)SetItem(none, bob_, "Bob", {"Friends"});
  for (Client* client : {&one, &two}) {
    ASSERT_EQ(Pushes(*client).size(), 1u);
    const xmpp::Stanza push = Pushes(*client)[0];
    EXPECT_EQ(push.from(), alice_);
    EXPECT_EQ(push.to(), client->jid);
    EXPECT_FALSE(push.id().empty());
    EXPECT_THAT(push.payload(), HasSubstr("<group>Friends</group>"));
  }
  EXPECT_THAT(Pushes(none), IsEmpty());
  // Its answer to a push is nobody's business.
  xmpp::Stanza result;
  result.set_kind(STANZA_KIND_IQ);
  result.set_type("result");
  result.set_id(Pushes(one)[0].id());
  one.inbox.clear();
  gateway_.Send(one, result);
  Settle();
  EXPECT_THAT(one.inbox, IsEmpty());
}

TEST_F(RosterTest, Section2_2_AnothersRoster_Forbidden) {
  Client& alice = SignIn(gateway_, alice_, "a");
  roster_.Befriend(alice_, bob_);
  for (const char* type : {"get", "set"}) {
    const xmpp::Stanza answer =
        Ask(alice, type, [](xmpp::Element& query) { query.Add("item").SetAttr("jid", "x@localhost"); }, bob_);
    EXPECT_EQ(answer.type(), "error");
    EXPECT_THAT(answer.payload(), HasSubstr("forbidden"));
  }
  EXPECT_FALSE(roster_.rosters[bob_].contains("x@localhost"));
}

TEST_F(RosterTest, Section2_3_3_AnItemForOneself_NotAllowed) {
  Client& alice = SignIn(gateway_, alice_, "a");
  const xmpp::Stanza answer = SetItem(alice, alice_, "me");
  EXPECT_EQ(answer.type(), "error");
  EXPECT_THAT(answer.payload(), HasSubstr("not-allowed"));
  EXPECT_FALSE(roster_.rosters[alice_].contains(alice_));
}

TEST_F(RosterTest, Section2_3_3_TooMuchOfAnItem_NotAcceptable) {
  Client& alice = SignIn(gateway_, alice_, "a");
  const std::string longest(1'023, 'g');
  EXPECT_EQ(SetItem(alice, bob_, longest, {longest}).type(), "result");
  for (const auto& groups : {std::vector<std::string>{longest + "g"}, std::vector<std::string>{""}})
    EXPECT_THAT(SetItem(alice, bob_, "Bob", groups).payload(), HasSubstr("not-acceptable"));
  std::vector<std::string> many;
  for (int i = 0; i < 101; ++i) many.push_back("g" + std::to_string(i));
  EXPECT_THAT(SetItem(alice, bob_, "Bob", many).payload(), HasSubstr("not-acceptable"));
  // None too long, all together are.
  std::vector<std::string> fat;
  for (int i = 0; i < 20; ++i) fat.push_back(std::string(1'000, static_cast<char>('a' + i)));
  EXPECT_THAT(SetItem(alice, bob_, "Bob", fat).payload(), HasSubstr("not-acceptable"));
}

TEST_F(RosterTest, Section2_5_RemovedWithoutSubscription_NobodyIsTold) {
  roster_.rosters[alice_][bob_].name = "Bob";
  roster_.rosters[alice_]["far@elsewhere.example"].from = true;
  Client& alice = SignIn(gateway_, alice_, "a");
  Client& bob = SignIn(gateway_, bob_, "b");
  const auto records = [&] {
    std::size_t count = 0;
    for (std::uint32_t shard = 0; shard < kShards; ++shard)
      for (const auto& record : log_.Records(shard)) count += record.has_outbound() ? 0 : 1;
    return count;
  };
  const std::size_t before = records();
  for (const std::string& jid : {bob_, std::string("far@elsewhere.example")}) {
    const auto remove = [&](xmpp::Element& query) {
      query.Add("item").SetAttr("jid", jid).SetAttr("subscription", "remove");
    };
    EXPECT_EQ(Ask(alice, "set", remove).type(), "result");
    EXPECT_FALSE(roster_.rosters[alice_].contains(jid));
    EXPECT_THAT(Ask(alice, "set", remove).payload(), HasSubstr("item-not-found"));
  }
  EXPECT_THAT(bob.inbox, IsEmpty());
  // There is no link to other servers.
  EXPECT_EQ(records(), before);
}

TEST_F(RosterTest, Section2_6_Versions) {
  Client& alice = SignIn(gateway_, alice_, "a");
  // Known to nobody: the whole roster, empty as it is, and its version.
  for (const char* ver : {"", "0", "not-ours", "99999999999999999999999", "-1"})
    EXPECT_THAT(Get(alice, ver).payload(), HasSubstr("ver=\"1\"")) << ver;
  EXPECT_EQ(Get(alice, "1").payload(), "");
  alice.inbox.clear();
  (void)SetItem(alice, bob_, "Bob");
  ASSERT_EQ(Pushes(alice).size(), 1u);
  EXPECT_THAT(Pushes(alice)[0].payload(), HasSubstr("ver=\"2\""));
  // Outdated: the whole roster again.
  EXPECT_THAT(Get(alice, "1").payload(), HasSubstr(bob_));
  EXPECT_EQ(Get(alice, "2").payload(), "");
}

}  // namespace
}  // namespace rookery::session_manager
