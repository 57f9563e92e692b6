#include "protocols/xmpp/sm_id.h"
#include "xmpp_stream_fixture.h"

namespace rookery::gateway {
namespace {

class StreamManagement : public XmppStreamTest {};

TEST_F(StreamManagement, Xep0198_3_Enable) {
  Bind();
  const std::string out = Feed("<enable xmlns='urn:xmpp:sm:3' resume='1'/>");
  EXPECT_HAS(out, "<enabled xmlns=\"urn:xmpp:sm:3\" id=\"");
  EXPECT_HAS(out, "resume=\"true\"/>");
  EXPECT_EQ(cluster_.enabled, 1);
  EXPECT_TRUE(cluster_.session->outbound.resumable());
  EXPECT_HAS(Feed("<enable xmlns='urn:xmpp:sm:3'/>"), "<failed xmlns=\"urn:xmpp:sm:3\"><unexpected-request");
  EXPECT_FALSE(Closed());
}

TEST_F(StreamManagement, Xep0198_3_WithoutResumeThereIsNoId) {
  Bind();
  EXPECT_EQ(Feed("<enable xmlns='urn:xmpp:sm:3'/>"), "<enabled xmlns=\"urn:xmpp:sm:3\"/>");
}

TEST_F(StreamManagement, Xep0198_3_MaxIsHowLongTheSessionWaits) {
  cluster_.known.resumption_seconds = 300;
  Bind();
  EXPECT_HAS(Feed("<enable xmlns='urn:xmpp:sm:3' resume='true' max='7'/>"), "resume=\"true\" max=\"300\"/>");
  Feed("</stream:stream>");
  socket_ = {};
  Bind();
  EXPECT_EQ(Feed("<enable xmlns='urn:xmpp:sm:3'/>"), "<enabled xmlns=\"urn:xmpp:sm:3\"/>");
}

TEST_F(StreamManagement, Xep0198_4_NoAcksWithoutEnable) {
  Bind();
  for (const char* nonza : {"<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='0'/>"}) {
    EXPECT_EQ(Feed(nonza),
              "<failed xmlns=\"urn:xmpp:sm:3\"><unexpected-request "
              "xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></failed>");
  }
  cluster_.Packet(Message());
  cluster_.client->OnBatchEnd();
  EXPECT_HAS_NOT(socket_.Take(), "<r ");
  EXPECT_HAS(Feed("<x xmlns='urn:xmpp:sm:3'/>"), "<unsupported-stanza-type");
}

TEST_F(StreamManagement, Xep0198_5_NothingIsResumedBeforeAuthentication) {
  Connect();
  Feed(kHeaderText);
  EXPECT_HAS(Feed("<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>"), "<unexpected-request");
  EXPECT_HAS(Feed("<r xmlns='urn:xmpp:sm:3'/>"), "<unexpected-request");
  EXPECT_FALSE(cluster_.resume);
}

TEST_F(StreamManagement, Xep0198_4_AnEarlierHIsAnOldOne) {
  BindWithStreamManagement();
  for (int i = 0; i < 3; ++i) cluster_.Packet(Message());
  Feed("<a xmlns='urn:xmpp:sm:3' h='2'/>");
  EXPECT_EQ(cluster_.delivered, 2u);
  EXPECT_EQ(Feed("<a xmlns='urn:xmpp:sm:3' h='1'/>"), "");
  EXPECT_EQ(cluster_.delivered, 2u);
  EXPECT_FALSE(Closed());
}

TEST_F(StreamManagement, Xep0198_4_RequestsThatAreNotReadAreNotAnsweredForEver) {
  BindWithStreamManagement();
  EXPECT_HAS(Feed("<r xmlns='urn:xmpp:sm:3'/>"), "<a ");
  socket_.queued = settings_.max_queued_bytes + 1;
  EXPECT_HAS(Feed("<r xmlns='urn:xmpp:sm:3'/>"), "<resource-constraint");
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(StreamManagement, WhoDoesNotTakeTheAnswersIsAskedForNoMoreRequestsUntilItHas) {
  BindWithStreamManagement();
  const auto tick = [this] {
    static_cast<ClientConnection*>(socket_.handler)->OnTick(Clock::System().Now() + std::chrono::seconds(1));
  };
  socket_.queued = settings_.max_queued_bytes / 4 * 3 + 1;
  EXPECT_HAS(Feed("<r xmlns='urn:xmpp:sm:3'/>"), "<a ");
  EXPECT_TRUE(socket_.paused);
  socket_.queued = settings_.max_queued_bytes / 2 + 1;
  tick();
  EXPECT_TRUE(socket_.paused);
  socket_.queued = settings_.max_queued_bytes / 2;
  tick();
  EXPECT_FALSE(socket_.paused);
  socket_.queued = settings_.max_queued_bytes / 4 * 3 + 1;
  Feed("<r xmlns='urn:xmpp:sm:3'/>");
  EXPECT_TRUE(socket_.paused);
  socket_.queued = 0;
  socket_.handler->OnDrained();
  EXPECT_FALSE(socket_.paused);
  EXPECT_FALSE(Closed());
}

TEST_F(StreamManagement, WhatCannotBeResumedJustNowIsNotGivenUp) {
  SignIn();
  Feed("<resume xmlns='urn:xmpp:sm:3' previd='" + SmId{SessionId::Random(), 0}.ToText() + "' h='0'/>");
  Cluster::Resumption away;
  away.refusal = {"resource-constraint", "", true};
  std::exchange(cluster_.resume, nullptr)(away);
  const std::string out = socket_.Take();
  EXPECT_HAS_NOT(out, "<failed");
  EXPECT_HAS(out, "<stream:error><resource-constraint");
  EXPECT_TRUE(Closed());
}

TEST_F(StreamManagement, Xep0198_3_EnableBeforeBind) {
  Connect();
  Feed(kHeaderText);
  EXPECT_HAS(Feed("<enable xmlns='urn:xmpp:sm:3'/>"), "<unexpected-request");
  socket_ = {};
  SignIn();
  EXPECT_HAS(Feed("<enable xmlns='urn:xmpp:sm:3'/>"), "<unexpected-request");
  EXPECT_FALSE(Closed());
}

TEST_F(StreamManagement, OnlyWhatIsInTheLogIsAcknowledgedTheRestFollows) {
  BindWithStreamManagement();
  EXPECT_EQ(Feed("<message/><message/><r xmlns='urn:xmpp:sm:3'/>"), "<a xmlns=\"urn:xmpp:sm:3\" h=\"0\"/>");
  cluster_.Confirm(1);
  cluster_.client->OnBatchEnd();
  EXPECT_EQ(socket_.Take(), "");
  cluster_.Confirm(2);
  cluster_.client->OnBatchEnd();
  EXPECT_EQ(socket_.Take(), "<a xmlns=\"urn:xmpp:sm:3\" h=\"2\"/>");
  cluster_.client->OnBatchEnd();
  EXPECT_EQ(socket_.Take(), "");
}

TEST_F(StreamManagement, Xep0198_4_StanzasBeforeEnableAreNotCounted) {
  Bind();
  Feed("<presence/><presence/>");
  cluster_.Packet(Message());
  const std::string enabled = Feed("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
  Feed("<message/>");
  cluster_.Confirm(3);
  EXPECT_EQ(Feed("<r xmlns='urn:xmpp:sm:3'/>"), "<a xmlns=\"urn:xmpp:sm:3\" h=\"1\"/>");
  // A gateway that resumes the session must know it too.
  const auto begin = enabled.find("id=\"") + 4;
  const auto id = SmId::Parse(enabled.substr(begin, enabled.find('"', begin) - begin));
  ASSERT_TRUE(id);
  EXPECT_EQ(id->session, cluster_.session->id);
  EXPECT_EQ(id->inbound_base, 2u);
}

TEST_F(StreamManagement, AsksOncePerBatch) {
  BindWithStreamManagement();
  cluster_.Packet(Message());
  cluster_.Packet(Message());
  cluster_.client->OnBatchEnd();
  EXPECT_HAS(socket_.Take(), "</message><r xmlns=\"urn:xmpp:sm:3\"/>");
  cluster_.Packet(Message());
  cluster_.client->OnBatchEnd();
  EXPECT_HAS_NOT(socket_.Take(), "<r ");
  socket_.handler->OnDrained();
  EXPECT_EQ(cluster_.delivered, 0u);
  EXPECT_EQ(Feed("<a xmlns='urn:xmpp:sm:3' h='2'/>"), "<r xmlns=\"urn:xmpp:sm:3\"/>");
  EXPECT_EQ(cluster_.delivered, 2u);
  EXPECT_EQ(Feed("<a xmlns='urn:xmpp:sm:3' h='3'/>"), "");
  EXPECT_EQ(cluster_.delivered, 3u);
}

TEST_F(StreamManagement, Xep0198_6_AnAbsurdHEndsTheStream) {
  BindWithStreamManagement();
  cluster_.Packet(Message());
  socket_.Take();
  EXPECT_HAS(Feed("<a xmlns='urn:xmpp:sm:3' h='2'/>"),
             "<stream:error><undefined-condition xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>"
             "<handled-count-too-high xmlns=\"urn:xmpp:sm:3\" h=\"2\" send-count=\"1\"/></stream:error>");
  for (const char* h : {"", "x", "-1", "4294967296", "1 "}) {
    socket_ = {};
    BindWithStreamManagement();
    Feed(std::string("<a xmlns='urn:xmpp:sm:3' h='") + h + "'/>");
    EXPECT_TRUE(Closed()) << h;
  }
}

TEST_F(StreamManagement, OneLargeUnacknowledgedStanzaAloneNeverEndsAStream) {
  BindWithStreamManagement();
  const auto give = [this](std::size_t bytes) {
    // In neither the log nor the store: the answer to a request, say.
    const xmpp::Stanza stanza = Message(std::string(bytes, 'x'));
    cluster_.session->outbound.Add(-1, 0, stanza);
    cluster_.client->OnPacket(stanza, {});
  };
  give(50'000);
  give(100);
  EXPECT_FALSE(Closed());
  for (int i = 0; i < 100 && !Closed(); ++i) give(1'000);
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(StreamManagement, AClientThatNeverAcknowledgesIsBounded) {
  settings_.max_unacked = 8;
  BindWithStreamManagement();
  for (int i = 0; i < 8; ++i) cluster_.Packet(Message());
  EXPECT_FALSE(Closed());
  cluster_.Packet(Message());
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(StreamManagement, WhoDoesNotAnswerIsLost) {
  BindWithStreamManagement();
  cluster_.Packet(Message());
  cluster_.client->OnBatchEnd();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  connection->OnTick(Clock::System().Now() + std::chrono::seconds(61));
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(StreamManagement, WhoCannotBeHeardOwesNoAnswer) {
  BindWithStreamManagement();
  cluster_.Packet(Message());
  cluster_.client->OnBatchEnd();
  cluster_.congested = true;
  Feed("<message/>");
  ASSERT_TRUE(socket_.paused);
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  // Asked once more, so that what came before the pause is no answer to it.
  cluster_.client->OnBatchEnd();
  for (int second = 30; second <= 600; second += 30) connection->OnTick(now + std::chrono::seconds(second));
  EXPECT_FALSE(Closed());
  cluster_.congested = false;
  cluster_.client->OnUncongested();
  ASSERT_FALSE(socket_.paused);
  connection->OnTick(now + std::chrono::seconds(659));
  EXPECT_FALSE(Closed());
  connection->OnTick(now + std::chrono::seconds(661));
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(StreamManagement, Xep0198_5_Resume) {
  SignIn();
  SmId id{SessionId::Random(), 2};
  Feed("<resume xmlns='urn:xmpp:sm:3' previd='" + id.ToText() + "' h='7'/>");
  EXPECT_EQ(cluster_.asked_session, id.session);
  EXPECT_EQ(cluster_.asked_user, "romeo@example.com");
  EXPECT_EQ(cluster_.asked_handled, 7u);
  EXPECT_TRUE(socket_.paused);
  cluster_.session = std::make_unique<ClientSession>(id.session, "romeo@example.com/r");
  cluster_.session->inbound.Restore(12);
  cluster_.session->outbound.Restore(3, 10, -1);
  Cluster::Resumption resumption;
  resumption.session = cluster_.session.get();
  std::exchange(cluster_.resume, nullptr)(resumption);
  EXPECT_EQ(socket_.Take(), "<resumed xmlns=\"urn:xmpp:sm:3\" h=\"10\" previd=\"" + id.ToText() + "\"/>");
  EXPECT_FALSE(socket_.paused);
  cluster_.Packet(Message());
  EXPECT_HAS(socket_.Take(), "<message");
  Feed("<message/>");
  cluster_.Confirm(13);
  EXPECT_EQ(Feed("<r xmlns='urn:xmpp:sm:3'/>"), "<a xmlns=\"urn:xmpp:sm:3\" h=\"11\"/>");
  Feed("<a xmlns='urn:xmpp:sm:3' h='8'/>");
  EXPECT_EQ(cluster_.delivered, 11u);
}

TEST_F(StreamManagement, Xep0198_5_WhatCannotBeResumedMayBindInstead) {
  SignIn();
  EXPECT_HAS(Feed("<resume xmlns='urn:xmpp:sm:3' previd='nonsense' h='0'/>"),
             "<failed xmlns=\"urn:xmpp:sm:3\"><item-not-found");
  EXPECT_HAS(Feed("<resume xmlns='urn:xmpp:sm:3' previd='x'/>"), "<bad-request");
  const SmId id{SessionId::Random(), 1};
  const std::string resume = "<resume xmlns='urn:xmpp:sm:3' previd='" + id.ToText() + "' h='0'/>";
  Feed(resume);
  Cluster::Resumption gone;
  gone.refusal.condition = "item-not-found";
  gone.has_ended_count = true;
  gone.ended_count = 6;
  std::exchange(cluster_.resume, nullptr)(gone);
  EXPECT_HAS(socket_.Take(), "<failed xmlns=\"urn:xmpp:sm:3\" h=\"5\"><item-not-found");
  Feed("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  cluster_.AnswerStart("romeo@example.com/r");
  EXPECT_HAS(socket_.Take(), "<jid>");
  EXPECT_HAS(Feed(resume), "<unexpected-request");
}

TEST_F(StreamManagement, Xep0198_6_AResumptionWithAnAbsurdH) {
  SignIn();
  Feed("<resume xmlns='urn:xmpp:sm:3' previd='" + SmId{SessionId::Random(), 0}.ToText() + "' h='99'/>");
  Cluster::Resumption absurd;
  absurd.handled_too_high = true;
  absurd.sent_count = 4;
  std::exchange(cluster_.resume, nullptr)(absurd);
  EXPECT_HAS(socket_.Take(), "h=\"99\" send-count=\"4\"");
  EXPECT_TRUE(Closed());
}

TEST(SmIdTest, IsWhatItWas) {
  for (const std::uint64_t base : {0ULL, 1ULL, 255ULL, 256ULL, 0xffffffffffffffffULL}) {
    const SmId id{SessionId::Random(), base};
    const auto parsed = SmId::Parse(id.ToText());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->session, id.session);
    EXPECT_EQ(parsed->inbound_base, base);
  }
  EXPECT_FALSE(SmId::Parse(""));
  EXPECT_FALSE(SmId::Parse("AAAA"));
  EXPECT_FALSE(SmId::Parse(std::string(100, 'A')));
}

}  // namespace
}  // namespace rookery::gateway
