#include <map>

#include "protocols/xmpp/sm_id.h"
#include "xmpp_stream_fixture.h"

namespace rookery::gateway {
namespace {

class LiveStream : public XmppStreamTest {};
class StreamManagement : public XmppStreamTest {};

TEST_F(LiveStream, Rfc6120_8_1_2_1_FromIsStampedWithTheFullJid) {
  Bind();
  Feed(
      "<message to='juliet@example.com'/><message from='romeo@example.com'/><message "
      "from='Romeo@example.com/r'/>");
  ASSERT_EQ(cluster_.sent.size(), 3u);
  for (const auto& sent : cluster_.sent) EXPECT_EQ(sent.stanza.from(), "romeo@example.com/r");
}

TEST_F(LiveStream, Rfc6120_4_9_3_9_AForeignFromEndsTheStream) {
  for (const char* from :
       {"juliet@example.com", "romeo@example.com/other", "romeo@example.org/r", "@", "example.com"}) {
    socket_ = {};
    Bind();
    const std::size_t before = cluster_.sent.size();
    EXPECT_HAS(Feed(std::string("<message from='") + from + "'/>"), "<invalid-from");
    EXPECT_EQ(cluster_.sent.size(), before);
    EXPECT_EQ(cluster_.end, EndReason::kClosed);
  }
}

TEST_F(LiveStream, Rfc7622_ToIsPreparedOrMarked) {
  Bind();
  Feed("<message to='JULIET@Example.com/Balcony'/><message to='a b@example.com'/>");
  ASSERT_EQ(cluster_.sent.size(), 2u);
  EXPECT_EQ(cluster_.sent[0].stanza.to(), "juliet@example.com/Balcony");
  EXPECT_FALSE(cluster_.sent[0].to_malformed);
  EXPECT_TRUE(cluster_.sent[1].to_malformed);
  EXPECT_EQ(cluster_.sent[1].stanza.to(), "");
}

TEST_F(LiveStream, Rfc6120_4_9_3_24_AnUnknownElement) {
  Bind();
  EXPECT_HAS(Feed("<foo xmlns='urn:example'/>"), "<unsupported-stanza-type");
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
}

TEST_F(LiveStream, Rfc6120_4_4_ClosesInOrder) {
  Bind();
  EXPECT_EQ(Feed("<message to='a@example.com'/></stream:stream>"), "</stream:stream>");
  EXPECT_EQ(cluster_.sent.size(), 1u);
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
  EXPECT_TRUE(Closed());
}

TEST_F(LiveStream, ABrokenConnectionIsLostNotClosed) {
  Bind();
  socket_.handler->OnClosed(absl::OkStatus());
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(LiveStream, TheClusterEndsASession) {
  Bind();
  cluster_.client->OnSessionEnded("conflict", "replaced");
  EXPECT_HAS(socket_.Take(),
             "<stream:error><conflict xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>"
             "<text xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\" xml:lang=\"en\">replaced</text>"
             "</stream:error></stream:stream>");
  EXPECT_EQ(cluster_.end, EndReason::kNone);
  EXPECT_TRUE(Closed());
}

TEST_F(LiveStream, Rfc6120_4_9_3_TheReasonThatTheClusterGivesIsTheStreamError) {
  for (const auto& [condition, error] :
       std::map<std::string, std::string>{{"reset", "reset"},
                                          {"not-authorized", "not-authorized"},
                                          {"policy-violation", "policy-violation"},
                                          {"resource-constraint", "resource-constraint"},
                                          {"system-shutdown", "system-shutdown"},
                                          {"nonsense", "internal-server-error"}}) {
    socket_ = {};
    Bind();
    cluster_.client->OnSessionEnded(condition, "");
    EXPECT_EQ(socket_.Take(),
              "<stream:error><" + error +
                  " xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/></stream:error></stream:stream>");
    EXPECT_TRUE(Closed());
  }
  socket_ = {};
  Bind();
  cluster_.client->OnSessionEnded("", "");
  EXPECT_EQ(socket_.Take(), "</stream:stream>");
}

TEST_F(LiveStream, NothingIsReadBehindTheEndOfTheStream) {
  Bind();
  EXPECT_EQ(Feed("</stream:stream><message/>"), "</stream:stream>");
  EXPECT_EQ(Feed("<message/></stream:stream><"), "");
  EXPECT_TRUE(cluster_.sent.empty());
}

TEST_F(LiveStream, Rfc6120_8_2_3_EveryStanzaIsTheSessionManagersToJudge) {
  Bind();
  Feed(
      "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
      "<iq type='get' id='1'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq><iq id='2'/><iq type='odd' id='3'/>");
  ASSERT_EQ(cluster_.sent.size(), 4u);
  EXPECT_EQ(cluster_.sent[0].stanza.id(), "");
  // Two children are no request: none is named.
  EXPECT_EQ(cluster_.sent[1].stanza.payload_name(), "");
  EXPECT_EQ(cluster_.sent[2].stanza.type(), "");
  EXPECT_EQ(cluster_.sent[3].stanza.type(), "odd");
}

TEST_F(LiveStream, PacketsAreDeliveredWhenTheyAreInTheKernel) {
  Bind();
  cluster_.Packet(Message());
  EXPECT_HAS(socket_.Take(), "<body>hi</body></message>");
  EXPECT_EQ(cluster_.delivered, 0u);
  socket_.handler->OnDrained();
  EXPECT_EQ(cluster_.delivered, 1u);
}

TEST_F(LiveStream, APacketForManyCarriesEachOnesOwnAddress) {
  Bind();
  cluster_.Packet(Message(), "romeo@example.com/r");
  EXPECT_HAS(socket_.Take(), "to=\"romeo@example.com/r\"");
}

TEST_F(LiveStream, ReadingStopsWhileTooMuchIsUnconfirmed) {
  Bind();
  std::string messages;
  for (int i = 0; i < 6; ++i) messages += "<message/>";
  Feed(messages);
  EXPECT_EQ(cluster_.sent.size(), 4u);
  EXPECT_TRUE(socket_.paused);
  cluster_.Confirm(1);
  EXPECT_TRUE(socket_.paused);
  cluster_.Confirm(4);
  EXPECT_EQ(cluster_.sent.size(), 6u);
  EXPECT_FALSE(socket_.paused);
}

TEST_F(LiveStream, ReadingStopsWhileTheProcessIsCongested) {
  Bind();
  cluster_.congested = true;
  Feed("<message/><message/>");
  EXPECT_EQ(cluster_.sent.size(), 1u);
  cluster_.congested = false;
  cluster_.client->OnUncongested();
  EXPECT_EQ(cluster_.sent.size(), 2u);
  EXPECT_FALSE(socket_.paused);
}

TEST_F(LiveStream, ASlowReaderIsClosedAsLost) {
  Bind();
  socket_.queued = 9'000;
  cluster_.Packet(Message());
  EXPECT_FALSE(Closed());
  socket_.queued = 11'000;
  cluster_.Packet(Message());
  EXPECT_HAS(socket_.Take(), "<resource-constraint");
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(LiveStream, WhoReadsNothingForLongIsLost) {
  Bind();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  socket_.queued = 10;
  connection->OnTick(now + std::chrono::seconds(30));
  EXPECT_FALSE(Closed());
  connection->OnTick(now + std::chrono::seconds(62));
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(LiveStream, ASilentClientIsProbed) {
  Bind();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  connection->OnTick(now + std::chrono::seconds(299));
  EXPECT_EQ(socket_.Take(), "");
  connection->OnTick(now + std::chrono::seconds(302));
  EXPECT_EQ(socket_.Take(), " ");
  connection->OnTick(now + std::chrono::seconds(303));
  EXPECT_EQ(socket_.Take(), "");
}

TEST_F(LiveStream, Rfc6120_4_6_1_NobodyMustAnswerWhiteSpace) {
  Bind();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  connection->OnTick(now + std::chrono::seconds(302));
  EXPECT_EQ(socket_.Take(), " ");
  connection->OnTick(now + std::chrono::seconds(500));
  EXPECT_FALSE(Closed());
  connection->OnTick(now + std::chrono::seconds(603));
  EXPECT_EQ(socket_.Take(), " ");
}

TEST_F(LiveStream, Rfc6120_4_9_3_20_SystemShutdown) {
  Bind();
  EXPECT_EQ(set_.ShutdownSome(10), 1u);
  EXPECT_HAS(socket_.Take(), "<system-shutdown");
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
  EXPECT_EQ(set_.ShutdownSome(10), 0u);
}

TEST_F(LiveStream, Rfc6120_8_1_5_TheStreamsLanguageIsTheStanzas) {
  Connect();
  const std::string header =
      "<stream:stream to='example.com' version='1.0' xml:lang='de' xmlns='jabber:client' "
      "xmlns:stream='http://etherx.jabber.org/streams'>";
  Feed(header);
  Feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHBlbmNpbA==</auth>");
  cluster_.AnswerLookup({MakeScramKey(ScramHash::kSha256, "pencil", "0123456789abcdef", 1)});
  passwords_.waiting(true);
  Feed(header);
  Feed("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  cluster_.AnswerStart("romeo@example.com/r");
  Feed("<message/><message xml:lang='fr'/>");
  ASSERT_EQ(cluster_.sent.size(), 2u);
  EXPECT_EQ(cluster_.sent[0].stanza.lang(), "de");
  EXPECT_EQ(cluster_.sent[1].stanza.lang(), "fr");
}

// ---- XEP-0198 ----------------------------------------------------------------

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
