#include <gmock/gmock.h>

#include "presence_cluster.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {
namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_PRESENCE;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// printf abc | sha1sum, and of "abd".
constexpr char kAbc[] = "a9993e364706816aba3e25717850c26c9cd0d89d";
constexpr char kAbd[] = "cb4cc28df0fdbe0ecf9d9662e294b118092a5735";
constexpr char kNone[] = "";

std::string Photo(const std::string& base64) {
  return "<PHOTO><TYPE>image/png</TYPE><BINVAL>" + base64 + "</BINVAL></PHOTO>";
}
/// Of "abc" and "abd".
const std::string kPhotoAbc = Photo("YWJj");
const std::string kPhotoAbd = Photo("YWJk");

std::string Update(const std::string& hash) {
  const std::string photo = hash.empty() ? "<photo/>" : "<photo>" + hash + "</photo>";
  return "<x xmlns=\"vcard-temp:x:update\">" + photo + "</x>";
}

/// alice and bob see each other, and are in shards of two owners; eve is a stranger.
class VcardTest : public PresenceCluster {
 protected:
  VcardTest() {
    roster_.Befriend(alice_, bob_);
    bob = &SignIn(gateway_, bob_, "b");
    eve = &SignIn(gateway_, eve_, "e");
    alice = &SignIn(gateway_, alice_, "a");
    Clear();
  }
  void Clear() {
    for (Client* client : {alice, bob, eve}) client->inbox.clear();
  }
  static xmpp::Stanza Vcard(const std::string& type, const std::string& to, const std::string& children = {},
                            const std::string& id = "v") {
    xmpp::Stanza iq = Iq(type, to, id, "vCard", "vcard-temp");
    const std::string xml = children.empty() ? "<vCard xmlns=\"vcard-temp\"/>"
                                             : "<vCard xmlns=\"vcard-temp\">" + children + "</vCard>";
    xmpp::SetPayload(iq, xmpp::ParsePayload(xml)->front());
    return iq;
  }
  static xmpp::Stanza PresenceWith(const std::string& payload, const std::string& to = {}) {
    xmpp::Stanza presence = Presence({}, to);
    presence.set_payload(payload);
    return presence;
  }
  /// The payload of the result, or the type and condition of the error.
  std::string Ask(Client& client, const xmpp::Stanza& iq) {
    client.inbox.clear();
    gateway_.Send(client, iq);
    Settle();
    if (!RunUntil([&] { return !Only(client.inbox, STANZA_KIND_IQ).empty(); })) return "nothing";
    Settle();
    const auto answers = Only(client.inbox, STANZA_KIND_IQ);
    EXPECT_EQ(answers.size(), 1u);
    const xmpp::Stanza& answer = answers.front();
    if (answer.type() == "result") return answer.payload();
    const auto children = xmpp::ParsePayload(answer.payload());
    for (const xmpp::Element& child : *children)
      if (child.Is("error", xmpp::ns::kClient))
        return std::string(child.Attr("type")) + " " + child.children().front().name();
    return answer.payload();
  }
  std::string Set(Client& client, const std::string& children) {
    return Ask(client, Vcard("set", {}, children));
  }
  /// The payloads of the presence that `from` is shown of alice's session.
  std::vector<std::string> Seen(const Client& from, const std::string& of) {
    std::vector<std::string> payloads;
    for (const xmpp::Stanza& presence : From(from, of, "")) payloads.push_back(presence.payload());
    return payloads;
  }
  /// The owner of alice's shard dies, and the other process has it.
  void NextOwner() {
    Kill(0, /*lose=*/true);
    log_.held = false;
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 1);
    ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
    Settle();
  }
  Client* alice = nullptr;
  Client* bob = nullptr;
  Client* eve = nullptr;
};

// ---- one's own (XEP-0054 sections 3.1 and 3.2) ---------------------------------------

TEST_F(VcardTest, Advertised) {
  for (const std::string& to : {std::string("localhost"), alice_})
    EXPECT_THAT(Ask(*alice, Iq("get", to, "d", "query", "http://jabber.org/protocol/disco#info")),
                HasSubstr("<feature var=\"vcard-temp\"/>"));
}

TEST_F(VcardTest, None_IsEmpty) {
  EXPECT_EQ(Ask(*alice, Vcard("get", {})), "<vCard xmlns=\"vcard-temp\"/>");
  EXPECT_EQ(Ask(*alice, Vcard("get", alice_)), "<vCard xmlns=\"vcard-temp\"/>");
}

TEST_F(VcardTest, EachReplacesTheOneBefore) {
  EXPECT_EQ(Set(*alice, "<FN>Alice</FN>" + kPhotoAbc), "");
  EXPECT_EQ(Ask(*alice, Vcard("get", {})),
            "<vCard xmlns=\"vcard-temp\"><FN>Alice</FN>" + kPhotoAbc + "</vCard>");
  EXPECT_EQ(Ask(*alice, Vcard("set", alice_, "<FN>A.</FN>")), "");
  EXPECT_EQ(Ask(*alice, Vcard("get", alice_)), "<vCard xmlns=\"vcard-temp\"><FN>A.</FN></vCard>");
  EXPECT_EQ(Set(*alice, {}), "");
  EXPECT_EQ(roster_.vcards[alice_].first, "");
  EXPECT_EQ(Ask(*alice, Vcard("get", {})), "<vCard xmlns=\"vcard-temp\"/>");
}

// What its client sends at once comes one after the other.
TEST_F(VcardTest, AQuestionBehindAChange_IsAnsweredWithIt) {
  gateway_.Send(*alice, Vcard("set", {}, "<FN>Alice</FN>", "1"));
  gateway_.Send(*alice, Vcard("get", {}, {}, "2"));
  Settle();
  const auto answers = Only(alice->inbox, STANZA_KIND_IQ);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].id(), "1");
  EXPECT_THAT(answers[1].payload(), HasSubstr("Alice"));
}

TEST_F(VcardTest, NobodyElsesCanBeSet_AndNobodyIsToldWhetherTheyBlockWhoTries) {
  gateway_.Send(*bob, Block(alice_));
  Settle();
  const auto records = [&] {
    std::size_t sum = 0;
    for (const auto& partition : log_.users) sum += partition.size();
    return sum;
  };
  const std::size_t before = records();
  for (const std::string& to : {bob_, eve_, std::string("nobody@localhost"), std::string("localhost")})
    EXPECT_EQ(Ask(*alice, Vcard("set", to, "<FN>Fool</FN>")), "auth forbidden") << to;
  EXPECT_EQ(records(), before) << "nobody's shard hears of it";
  EXPECT_THAT(roster_.vcards, IsEmpty());
}

TEST_F(VcardTest, Bounds) {
  const std::string photo = Photo(std::string(4 * 65'536 / 3 / 4 * 4, 'Y'));
  EXPECT_EQ(Set(*alice, photo), "");
  EXPECT_EQ(Set(*alice, Photo(std::string(87'388, 'Y'))), "modify policy-violation") << "65,541 bytes";
  EXPECT_EQ(Set(*alice, kPhotoAbc + Photo(std::string(87'388, 'Y'))), "modify policy-violation");
  EXPECT_EQ(Set(*alice, "<DESC>" + std::string(131'000, 'x') + "</DESC>"), "");
  EXPECT_EQ(Set(*alice, "<DESC>" + std::string(131'072, 'x') + "</DESC>"), "modify policy-violation");
  EXPECT_THAT(roster_.vcards[alice_].first, HasSubstr("<DESC>"));
}

TEST_F(VcardTest, WhatIsNoImage_IsNotAcceptable) {
  for (const char* wrong : {"????", "Y"})
    EXPECT_EQ(Set(*alice, Photo(wrong)), "modify not-acceptable") << wrong;
  std::string many;
  for (int i = 0; i < 5; ++i) many += kPhotoAbc;
  EXPECT_EQ(Set(*alice, many), "modify not-acceptable");
  EXPECT_THAT(roster_.vcards, IsEmpty());
  // Of several the first is the avatar; a type says nothing of it.
  EXPECT_EQ(Set(*alice, "<PHOTO><TYPE>text/html</TYPE><BINVAL>YWJk</BINVAL></PHOTO>" + kPhotoAbc), "");
  EXPECT_EQ(roster_.vcards[alice_].second, kAbd);
}

// ---- others' (section 3.3) -------------------------------------------------------------

TEST_F(VcardTest, OfAnother_ForWhoeverAsks_ThereOrNot) {
  Set(*alice, "<FN>Alice</FN>");
  const std::string vcard = "<vCard xmlns=\"vcard-temp\"><FN>Alice</FN></vCard>";
  EXPECT_EQ(Ask(*bob, Vcard("get", alice_)), vcard);
  EXPECT_EQ(Ask(*eve, Vcard("get", alice_)), vcard);
  EXPECT_EQ(Only(eve->inbox, STANZA_KIND_IQ)[0].from(), alice_);
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ, "get"), IsEmpty());
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(Ask(*eve, Vcard("get", alice_)), vcard);
}

TEST_F(VcardTest, NoneAndNobody_TheSameErrorAfterTheSameTime) {
  Set(*bob, "<FN>Bob</FN>");
  Set(*bob, {});
  const std::string away = UserIn(1, 1);
  eve->inbox.clear();
  for (const std::string& asked : {alice_, bob_, away, std::string("nobody@localhost")})
    gateway_.Send(*eve, Vcard("get", asked, {}, asked));
  Settle();
  // Not as soon as it is known.
  EXPECT_THAT(Only(eve->inbox, STANZA_KIND_IQ), IsEmpty());
  ASSERT_TRUE(RunUntil([&] { return Only(eve->inbox, STANZA_KIND_IQ, "error").size() == 4; }));
  for (const xmpp::Stanza& error : Only(eve->inbox, STANZA_KIND_IQ, "error"))
    EXPECT_THAT(error.payload(), HasSubstr("<error type=\"cancel\"><service-unavailable ")) << error.from();
}

TEST_F(VcardTest, WhoIsBlocked_IsToldThatThereIsNone) {
  Set(*alice, "<FN>Alice</FN>");
  gateway_.Send(*alice, Block(bob_));
  Settle();
  EXPECT_EQ(Ask(*bob, Vcard("get", alice_)), "cancel service-unavailable");
  EXPECT_THAT(Ask(*eve, Vcard("get", alice_)), HasSubstr("Alice"));
}

// ---- the roster service is away ------------------------------------------------------------

TEST_F(VcardTest, RosterAway_TryAgain) {
  Set(*alice, "<FN>Alice</FN>");
  roster_.down = true;
  EXPECT_EQ(Set(*alice, "<FN>A.</FN>"), "wait resource-constraint");
  EXPECT_EQ(Ask(*alice, Vcard("get", {})), "wait resource-constraint");
  EXPECT_EQ(Ask(*eve, Vcard("get", alice_)), "wait resource-constraint");
  roster_.down = false;
  EXPECT_THAT(Ask(*alice, Vcard("get", {})), HasSubstr("Alice"));
  EXPECT_EQ(Set(*alice, "<FN>A.</FN>"), "");
}

// Nobody can have made the change, so nothing that is known is in doubt.
TEST_F(VcardTest, RosterAway_WhoIsBlockedStaysBlocked) {
  gateway_.Send(*alice, Block(eve_));
  Settle();
  roster_.down = true;
  EXPECT_EQ(Set(*alice, "<FN>A.</FN>"), "wait resource-constraint");
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  gateway_.Send(*eve, Message(alice_, "m"));
  Elapse(std::chrono::seconds(5));
  EXPECT_EQ(database_.Waiting(alice_), 0u);
}

TEST_F(VcardTest, ARosterOfAnEarlierVersion_IsNotAskedForEver) {
  roster_.is_old = true;
  EXPECT_EQ(Set(*alice, kPhotoAbc), "cancel feature-not-implemented");
  EXPECT_EQ(Ask(*alice, Vcard("get", {})), "cancel feature-not-implemented");
  roster_.is_old = false;
  EXPECT_EQ(Set(*alice, kPhotoAbc), "");
}

// One of another version may have made the change when it was asked before.
TEST_F(VcardTest, TheOwnerDiesInBetween_ThenARosterOfAnEarlierVersion_TryAgain) {
  roster_.answers_lost = 1'000;
  gateway_.Send(*alice, Vcard("set", {}, kPhotoAbc));
  Settle();
  ASSERT_EQ(roster_.vcards[alice_].second, kAbc);
  ASSERT_THAT(Only(alice->inbox, STANZA_KIND_IQ), IsEmpty());
  roster_.is_old = true;
  NextOwner();
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ).empty(); }));
  ASSERT_THAT(Only(alice->inbox, STANZA_KIND_IQ), SizeIs(1));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ)[0].payload(),
              HasSubstr("<error type=\"wait\"><resource-constraint "));
}

TEST_F(VcardTest, AcknowledgedOnlyWhenItIsStored) {
  roster_.changes_held = true;
  gateway_.Send(*alice, Vcard("set", {}, kPhotoAbc));
  gateway_.Send(*eve, Message(alice_, "m"));
  Settle();
  EXPECT_THAT(alice->MessageIds(), ElementsAre("m"));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ), IsEmpty());
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  roster_.changes_held = false;
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ, "result").empty(); }));
  EXPECT_EQ(roster_.vcards[alice_].second, kAbc);
}

TEST_F(VcardTest, AnswersAreLost_AcknowledgedWhenItIsKnown) {
  roster_.answers_lost = 3;
  gateway_.Send(*alice, Vcard("set", {}, kPhotoAbc));
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ).empty(); }));
  EXPECT_EQ(Only(alice->inbox, STANZA_KIND_IQ)[0].type(), "result");
  EXPECT_EQ(roster_.answers_lost, 0);
  Settle();
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(EndsWith(Update(kAbc))));
}

TEST_F(VcardTest, TheOwnerDiesInBetween_StoredAndToldAllTheSame) {
  Elapse(std::chrono::seconds(1));
  log_.held = true;
  gateway_.Send(*alice, Vcard("set", {}, kPhotoAbc));
  Settle();
  log_.Flush();
  Settle();
  EXPECT_EQ(roster_.vcards[alice_].second, kAbc);
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  NextOwner();
  ASSERT_TRUE(RunUntil([&] { return !Seen(*bob, alice->jid).empty(); }));
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(EndsWith(Update(kAbc))));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ), SizeIs(1));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ, "result"), SizeIs(1));
}

TEST_F(VcardTest, TheOwnerDiesBeforeItKnowsTheOutcome_ToldOnce_AndNobodyLooksOffline) {
  Elapse(std::chrono::seconds(1));
  roster_.answers_lost = 1'000;
  gateway_.Send(*alice, Vcard("set", {}, kPhotoAbc));
  Settle();
  ASSERT_EQ(roster_.vcards[alice_].second, kAbc);
  roster_.answers_lost = 0;
  NextOwner();
  ASSERT_TRUE(RunUntil([&] { return !Only(alice->inbox, STANZA_KIND_IQ).empty(); }));
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_IQ, "result"), SizeIs(1));
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(EndsWith(Update(kAbc))));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_PRESENCE, "unavailable"), IsEmpty());
}

TEST_F(VcardTest, AnAccountIsRemoved_WhoeverHasTheNameNextHasNone) {
  Set(*alice, kPhotoAbc);
  xmpp::Stanza removal = Iq("set", {}, "r", "query", "jabber:iq:register");
  xmpp::Element query("query", "jabber:iq:register");
  query.Add("remove");
  xmpp::SetPayload(removal, query);
  gateway_.Send(*alice, removal);
  Settle();
  ASSERT_TRUE(alice->ended);
  database_.accounts[alice_];
  EXPECT_EQ(Ask(*eve, Vcard("get", alice_)), "cancel service-unavailable");
  roster_.Befriend(alice_, bob_);
  bob->inbox.clear();
  Client& heir = SignIn(gateway_, alice_, "a");
  EXPECT_EQ(Ask(heir, Vcard("get", {})), "<vCard xmlns=\"vcard-temp\"/>");
  ASSERT_THAT(Seen(*bob, heir.jid), SizeIs(1));
  EXPECT_THAT(Seen(*bob, heir.jid)[0], Not(HasSubstr("vcard-temp")));
}

// ---- presence (XEP-0153) -------------------------------------------------------------------

class AvatarPresence : public VcardTest {
 protected:
  /// What bob is shown when alice's client says this.
  std::string Says(const std::string& payload) {
    bob->inbox.clear();
    gateway_.Send(*alice, PresenceWith(payload));
    Settle();
    const auto seen = Seen(*bob, alice->jid);
    EXPECT_EQ(seen.size(), 1u);
    return seen.empty() ? "nothing" : seen.front();
  }
};

TEST_F(AvatarPresence, WhoHasNeverSetAVcard_SaysWhatTheClientSays) {
  const int asked = roster_.gets + roster_.settings_gets + roster_.vcard_gets;
  for (const std::string& said : {std::string(), Update(kNone), Update("01b8")}) EXPECT_EQ(Says(said), said);
  EXPECT_EQ(roster_.gets + roster_.settings_gets + roster_.vcard_gets, asked);
}

TEST_F(AvatarPresence, TheHashIsSaidOnTheUsersBehalf_WithoutAskingForIt) {
  Set(*alice, kPhotoAbc);
  const int asked = roster_.gets + roster_.settings_gets + roster_.vcard_gets;
  EXPECT_EQ(Says("<show>away</show>"), "<show>away</show>" + Update(kAbc));
  EXPECT_EQ(Says("<x xmlns=\"vcard-temp:x:update\"/>"), Update(kAbc)) << "not ready to say";
  EXPECT_EQ(Says(Update("01b8")), Update(kAbc)) << "another hash";
  EXPECT_EQ(Says(Update(kNone)), Update(kNone)) << "no image to be shown (XEP-0398 section 4)";
  EXPECT_EQ(Says({}), Update(kAbc));
  EXPECT_EQ(roster_.gets + roster_.settings_gets + roster_.vcard_gets, asked);
}

TEST_F(AvatarPresence, InitialPresenceHasIt_AndWhatProbersAreAnswered) {
  Set(*alice, kPhotoAbc);
  gateway_.End(*alice, session::v1::END_REASON_CLOSED);
  Settle();
  bob->inbox.clear();
  alice = &SignIn(gateway_, alice_, "a");
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(EndsWith(Update(kAbc))));
  bob->inbox.clear();
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(EndsWith(Update(kAbc))));
}

TEST_F(AvatarPresence, DirectedPresenceHasIt) {
  Set(*alice, kPhotoAbc);
  Clear();
  gateway_.Send(*alice, PresenceWith({}, eve->jid));
  gateway_.Send(*alice, PresenceWith(Update(kNone), eve->jid));
  gateway_.Send(*alice,
                PresenceWith("<x xmlns=\"http://jabber.org/protocol/muc\"/>", "r@conference.localhost/al"));
  Settle();
  EXPECT_THAT(Seen(*eve, alice->jid), ElementsAre(Update(kAbc), Update(kNone)));
  std::vector<std::string> to_rooms;
  for (const auto& rooms : log_.rooms)
    for (const auto& entry : rooms) to_rooms.push_back(entry.record.delivery().stanza().payload());
  EXPECT_THAT(to_rooms, ElementsAre("<x xmlns=\"http://jabber.org/protocol/muc\"/>" + Update(kAbc)));
}

TEST_F(AvatarPresence, NothingElseHasIt) {
  Set(*alice, kPhotoAbc);
  gateway_.Send(*alice, PresenceWith({}, eve->jid));
  Settle();
  Clear();
  gateway_.Send(*alice, Presence("unavailable", eve->jid));
  gateway_.Send(*alice, Presence("subscribe", eve_));
  gateway_.Send(*alice, Presence("probe", bob_));
  gateway_.Send(*alice, Message(bob_, "m"));
  gateway_.Send(*alice, Presence("unavailable"));
  Settle();
  EXPECT_EQ(From(*bob, alice->jid, "unavailable").size(), 1u);
  EXPECT_THAT(From(*eve, alice->jid, "unavailable"), Not(IsEmpty()));
  for (const Client* client : {bob, eve})
    for (const xmpp::Stanza& stanza : client->inbox)
      EXPECT_THAT(stanza.payload(), Not(HasSubstr("vcard-temp:x:update")));
}

TEST_F(AvatarPresence, AChangeIsToldByEverySessionThatIsThere_Once) {
  Client& phone = SignIn(gateway_, alice_, "phone");
  Client& silent = SignIn(gateway_, alice_, "silent", std::nullopt);
  gateway_.Send(*alice, PresenceWith("<status>hello</status>"));
  Settle();
  Clear();
  phone.inbox.clear();
  EXPECT_EQ(Set(silent, kPhotoAbc), "");
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre("<status>hello</status>" + Update(kAbc)));
  EXPECT_THAT(Seen(*bob, phone.jid), ElementsAre(EndsWith(Update(kAbc))));
  EXPECT_THAT(Seen(*bob, silent.jid), IsEmpty());
  EXPECT_THAT(Seen(*eve, alice->jid), IsEmpty());
  // RFC 6121 section 4.4.2: the user's own sessions, too.
  EXPECT_THAT(Seen(phone, alice->jid), SizeIs(1));
  EXPECT_THAT(Seen(*alice, alice->jid), SizeIs(1));
  EXPECT_FALSE(StateOf(*alice).presence_missed());
  // The same image: there is nothing to tell.
  bob->inbox.clear();
  EXPECT_EQ(Set(*alice, "<FN>Alice</FN>" + kPhotoAbc), "");
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  EXPECT_EQ(Set(*alice, "<FN>Alice</FN>"), "");
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre("<status>hello</status>" + Update(kNone)));
  bob->inbox.clear();
  EXPECT_EQ(Set(*alice, kPhotoAbd), "");
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre("<status>hello</status>" + Update(kAbd)));
}

TEST_F(AvatarPresence, WhoDeclinesToShowIt_TellsNoChange) {
  Says(Update(kNone));
  bob->inbox.clear();
  Set(*alice, kPhotoAbc);
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  Says({});
  bob->inbox.clear();
  Set(*alice, kPhotoAbd);
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(Update(kAbd)));
}

TEST_F(AvatarPresence, WhoIsBlockedHearsOfNoChange) {
  gateway_.Send(*alice, Block(bob_));
  Settle();
  bob->inbox.clear();
  Set(*alice, kPhotoAbc);
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  // A change of what is blocked leaves the image known.
  xmpp::Stanza unblock = Iq("set", {}, "u", "unblock", "urn:xmpp:blocking");
  gateway_.Send(*alice, unblock);
  Settle();
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(EndsWith(Update(kAbc))));
  EXPECT_EQ(Says({}), Update(kAbc));
}

TEST_F(AvatarPresence, TheNextOwnerKnowsIt) {
  Set(*alice, kPhotoAbc);
  Elapse(std::chrono::seconds(1));
  NextOwner();
  EXPECT_EQ(Says({}), Update(kAbc));
  // And who declines.
  Says(Update(kNone));
  Kill(1, /*lose=*/true);
  AddNode();
  for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, 2);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
  Settle();
  bob->inbox.clear();
  Set(*alice, kPhotoAbd);
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
}

TEST_F(AvatarPresence, AChangeAtANewOwner_NobodyLooksOffline) {
  roster_.Befriend(alice_, eve_);
  Client& phone = SignIn(gateway_, alice_, "phone");
  gateway_.Send(*eve, Presence());
  Elapse(std::chrono::seconds(1));
  NextOwner();
  Clear();
  phone.inbox.clear();
  EXPECT_EQ(Set(phone, kPhotoAbc), "");
  for (const Client* client : {alice, &phone}) {
    EXPECT_THAT(Only(client->inbox, STANZA_KIND_PRESENCE, "unavailable"), IsEmpty());
    for (const Client* seeing : {bob, eve})
      EXPECT_THAT(Seen(*seeing, client->jid), ElementsAre(EndsWith(Update(kAbc))));
  }
  EXPECT_FALSE(StateOf(*alice).presence_missed());
}

// The log is slow with what tells of the one before.
TEST_F(AvatarPresence, TwoChangesInARow_NobodyLooksOffline) {
  log_.held_partitions = {2};
  EXPECT_EQ(Set(*alice, kPhotoAbc), "");
  EXPECT_EQ(Set(*alice, kPhotoAbd), "");
  EXPECT_TRUE(StateOf(*alice).presence_missed());
  log_.held_partitions.clear();
  Elapse(std::chrono::seconds(1));
  EXPECT_THAT(Seen(*bob, alice->jid), ElementsAre(EndsWith(Update(kAbc)), EndsWith(Update(kAbd))));
  EXPECT_THAT(Only(alice->inbox, STANZA_KIND_PRESENCE, "unavailable"), IsEmpty());
  EXPECT_FALSE(StateOf(*alice).presence_missed());
}

/// alice's phone is at another gateway, which may be out of reach.
class AvatarAtAnotherGateway : public AvatarPresence {
 protected:
  AvatarAtAnotherGateway() : other_(AddGateway("gw-2")) {
    Set(*alice, kPhotoAbc);
    phone = &SignIn(other_, alice_, "phone");
    other_.EnableStreamManagement(*phone);
    Elapse(std::chrono::seconds(1));
  }
  void NextOwnerWithoutIt() {
    other_.Unlink(node(1));
    std::erase(node(1).membership.gateways, "gw-2");
    NextOwner();
  }
  Gateway& other_;
  Client* phone = nullptr;
};

TEST_F(AvatarAtAnotherGateway, ComesLate_NobodyIsToldTheOldImage) {
  NextOwnerWithoutIt();
  EXPECT_EQ(Set(*alice, kPhotoAbd), "");
  bob->inbox.clear();
  other_.Link(node(1));
  Settle();
  EXPECT_THAT(Seen(*bob, phone->jid), ElementsAre(EndsWith(Update(kAbd))));
  EXPECT_THAT(StateOf(*phone).presence().payload(), EndsWith(Update(kAbd)));
}

// Nor who asks before its turn comes.
TEST_F(AvatarAtAnotherGateway, ComesLate_WhoAsksIsToldTheNewOne) {
  NextOwnerWithoutIt();
  EXPECT_EQ(Set(*alice, kPhotoAbd), "");
  roster_.changes_held = true;
  gateway_.Send(*alice, Vcard("set", {}, kPhotoAbd));
  Settle();
  bob->inbox.clear();
  other_.Link(node(1));
  Settle();
  EXPECT_THAT(Seen(*bob, phone->jid), IsEmpty());
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  EXPECT_THAT(Seen(*bob, phone->jid), ElementsAre(EndsWith(Update(kAbd))));
  roster_.changes_held = false;
  Settle();
}

TEST_F(AvatarAtAnotherGateway, ComesLate_ItsUserDeclines_ThatStays) {
  other_.Send(*phone, PresenceWith(Update(kNone)));
  Elapse(std::chrono::seconds(1));
  NextOwnerWithoutIt();
  EXPECT_EQ(Set(*alice, kPhotoAbd), "");
  bob->inbox.clear();
  other_.Link(node(1));
  Settle();
  EXPECT_THAT(Seen(*bob, phone->jid), ElementsAre(Update(kNone)));
}

TEST_F(AvatarAtAnotherGateway, AChangeWhileItIsToldOfItsContacts_IsToldAtOnce_AndNothingBeginsAnew) {
  for (auto& node : nodes_) node->settings.max_unacked_packets = 32;  // two at a time
  for (int n = 1; n <= 6; ++n) roster_.Befriend(alice_, UserIn(3, n));
  const auto told = [this] { return Only(phone->inbox, STANZA_KIND_PRESENCE, "unavailable").size(); };
  NextOwnerWithoutIt();
  phone->acks = false;
  other_.Link(node(1));
  Settle();
  ASSERT_EQ(told(), 2u);
  bob->inbox.clear();
  EXPECT_EQ(Set(*alice, kPhotoAbd), "");
  EXPECT_THAT(Seen(*bob, phone->jid), ElementsAre(EndsWith(Update(kAbd))));
  EXPECT_EQ(told(), 2u);
  EXPECT_TRUE(StateOf(*phone).presence_missed());
  phone->acks = true;
  other_.Deliver(*phone, phone->last_seq);
  Elapse(std::chrono::seconds(1));
  EXPECT_EQ(told(), 7u);
  EXPECT_FALSE(StateOf(*phone).presence_missed());
}

// The owner that has told of the change died before the gateway heard of it.
TEST_F(AvatarAtAnotherGateway, HasMissedTheNewestState_NobodyIsToldTheOldImage) {
  other_.Unlink(node(0));
  bob->inbox.clear();
  EXPECT_EQ(Set(*alice, kPhotoAbd), "");
  EXPECT_THAT(Seen(*bob, phone->jid), ElementsAre(EndsWith(Update(kAbd))));
  Elapse(std::chrono::seconds(1));
  NextOwner();
  EXPECT_THAT(StateOf(*phone).presence().payload(), EndsWith(Update(kAbc)));
  bob->inbox.clear();
  gateway_.Send(*bob, Presence("probe", alice_));
  Settle();
  EXPECT_THAT(Seen(*bob, phone->jid), AllOf(Not(IsEmpty()), Each(EndsWith(Update(kAbd)))));
  EXPECT_THAT(StateOf(*phone).presence().payload(), EndsWith(Update(kAbd)));
}

// A new owner that does not know yet who sees the user finds out.
TEST_F(AvatarPresence, AChangeWhileItIsNotKnownWhoSeesTheUser) {
  Elapse(std::chrono::seconds(1));
  NextOwner();
  bob->inbox.clear();
  roster_.gets_fail = true;
  EXPECT_EQ(Set(*alice, kPhotoAbc), "");
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  EXPECT_TRUE(StateOf(*alice).presence_missed());
  roster_.gets_fail = false;
  ASSERT_TRUE(RunUntil([&] { return !Seen(*bob, alice->jid).empty(); }));
  EXPECT_THAT(Seen(*bob, alice->jid).back(), EndsWith(Update(kAbc)));
}

TEST_F(AvatarPresence, TheLogHasNotTakenAChangeWhenTheOwnerDies_TheNextOneTellsIt) {
  log_.held_partitions = {2};
  EXPECT_EQ(Set(*alice, kPhotoAbc), "");
  // The change is finished, the telling is not.
  Elapse(std::chrono::seconds(1));
  EXPECT_TRUE(StateOf(*alice).presence_missed());
  Kill(0, /*lose=*/true);
  log_.held_partitions.clear();
  for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1); }));
  ASSERT_TRUE(RunUntil([&] { return !Seen(*bob, alice->jid).empty(); }));
  EXPECT_THAT(Seen(*bob, alice->jid).back(), EndsWith(Update(kAbc)));
}

// The change is said behind what the log has refused, and by the next owner like that.
TEST_F(AvatarPresence, TheLogRefusesPresence_ThenAChangeComes_TheNextOwnerTellsIt) {
  int refused = 0;
  log_.refuse = [&](std::uint32_t partition, const events::v1::UserRecord&) {
    if (partition != 2) return absl::OkStatus();
    ++refused;
    return absl::UnavailableError("no leader");
  };
  gateway_.Send(*alice, PresenceWith("<status>busy</status>"));
  Settle();
  EXPECT_TRUE(StateOf(*alice).presence_missed());
  EXPECT_EQ(Set(*alice, kPhotoAbc), "");
  // The former presence is outdated when it would be said again; the newer one is refused.
  const int before = refused;
  ASSERT_TRUE(RunUntil([&] { return refused > before; }));
  EXPECT_TRUE(StateOf(*alice).presence_missed());
  EXPECT_THAT(Seen(*bob, alice->jid), IsEmpty());
  log_.refuse = {};
  NextOwner();
  ASSERT_TRUE(RunUntil([&] { return !Seen(*bob, alice->jid).empty(); }));
  EXPECT_THAT(Seen(*bob, alice->jid).back(), EndsWith(Update(kAbc)));
}

TEST_F(AvatarPresence, TheLogRefusesPresence_ThenAChangeComes_ItIsToldWhenTheLogTakesIt) {
  log_.refuse = [](std::uint32_t partition, const events::v1::UserRecord&) {
    return partition == 2 ? absl::UnavailableError("no leader") : absl::OkStatus();
  };
  gateway_.Send(*alice, PresenceWith("<status>busy</status>"));
  Settle();
  EXPECT_EQ(Set(*alice, kPhotoAbc), "");
  log_.refuse = {};
  ASSERT_TRUE(RunUntil([&] { return !Seen(*bob, alice->jid).empty(); }));
  Elapse(std::chrono::seconds(15));
  EXPECT_THAT(Seen(*bob, alice->jid).back(), EndsWith(Update(kAbc)));
  EXPECT_FALSE(StateOf(*alice).presence_missed());
}

}  // namespace
}  // namespace rookery::session_manager
