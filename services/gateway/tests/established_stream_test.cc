#include <map>
#include <random>

#include "xmpp_stream_fixture.h"

namespace rookery::gateway {
namespace {

class LiveStream : public XmppStreamTest {};

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
  EXPECT_EQ(cluster_.sent[0].refused, std::nullopt);
  EXPECT_EQ(cluster_.sent[1].refused, xmpp::ErrorCondition::kJidMalformed);
  EXPECT_EQ(cluster_.sent[1].stanza.to(), "");
}

TEST_F(LiveStream, AStanzaThatWouldBeWrittenTooLargeIsRefusedAndCounted) {
  settings_.limits.max_stanza_bytes = 10'000;
  Bind();
  const std::string body(9'000, '>');
  Feed("<message to='juliet@example.com' id='m'><body>" + body + "</body></message><message id='n'/>");
  ASSERT_EQ(cluster_.sent.size(), 2u);
  EXPECT_EQ(cluster_.sent[0].refused, xmpp::ErrorCondition::kPolicyViolation);
  EXPECT_EQ(cluster_.sent[0].stanza.id(), "m");
  EXPECT_EQ(cluster_.sent[0].stanza.to(), "juliet@example.com");
  EXPECT_EQ(cluster_.sent[0].stanza.payload(), "");
  EXPECT_EQ(cluster_.sent[1].refused, std::nullopt);
  EXPECT_FALSE(Closed());
}

TEST_F(LiveStream, AnAnswerThatIsTooLargeBecomesAnErrorForWhoeverAsked) {
  settings_.limits.max_stanza_bytes = 10'000;
  Bind();
  Feed("<iq type='result' id='q' to='juliet@example.com/x'><q xmlns='urn:q'>" + std::string(9'000, '>') +
       "</q></iq>");
  ASSERT_EQ(cluster_.sent.size(), 1u);
  EXPECT_EQ(cluster_.sent[0].refused, std::nullopt);
  EXPECT_EQ(cluster_.sent[0].stanza.type(), "error");
  EXPECT_EQ(cluster_.sent[0].stanza.id(), "q");
  EXPECT_EQ(
      cluster_.sent[0].stanza.payload(),
      "<error type=\"modify\"><policy-violation xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error>");
}

TEST_F(LiveStream, AnIdOfMoreThan1023BytesIsABadRequest) {
  Bind();
  Feed("<message to='juliet@example.com' id='" + std::string(1024, 'i') +
       "'/><message to='juliet@example.com' id=\"" + std::string(50'000, '\'') + "\"/><message id='" +
       std::string(1023, 'i') + "'/>");
  ASSERT_EQ(cluster_.sent.size(), 3u);
  EXPECT_EQ(cluster_.sent[0].refused, xmpp::ErrorCondition::kBadRequest);
  EXPECT_EQ(cluster_.sent[0].stanza.id().size(), 1024u);
  EXPECT_EQ(cluster_.sent[1].refused, xmpp::ErrorCondition::kBadRequest);
  EXPECT_EQ(cluster_.sent[1].stanza.id(), "");
  EXPECT_EQ(cluster_.sent[2].refused, std::nullopt);
}

TEST_F(LiveStream, TypeAndLanguageHaveBounds) {
  Bind();
  Feed("<message type='" + std::string(65, 't') + "'/><message xml:lang='" + std::string(256, 'l') + "'/>");
  ASSERT_EQ(cluster_.sent.size(), 2u);
  for (const auto& sent : cluster_.sent) EXPECT_EQ(sent.refused, xmpp::ErrorCondition::kBadRequest);
  Feed("<message type='" + std::string(64, 't') + "'/><message xml:lang='" + std::string(255, 'l') + "'/>");
  ASSERT_EQ(cluster_.sent.size(), 4u);
  for (std::size_t i = 2; i < 4; ++i) EXPECT_EQ(cluster_.sent[i].refused, std::nullopt);
}

TEST_F(LiveStream, WhateverIsAcceptedIsWithinTheLimitInEveryFraming) {
  settings_.limits.max_stanza_bytes = 2'000;
  settings_.max_unconfirmed = 100'000;
  settings_.max_queued_bytes = 1'000'000;
  Bind();
  std::mt19937 random(1);  // NOLINT: the same stanzas each time
  const char* pieces[] = {"'", ">", "'", "&lt;"};
  for (int i = 0; i < 2'000 && !Closed(); ++i) {
    const auto text = [&](std::size_t most) {
      std::string out;
      for (std::size_t n = random() % (most + 1); n > 0; --n) out += pieces[random() % 4];
      return out;
    };
    Feed("<message id=\"" + text(400) + "\" type=\"" + text(12) + "\" xml:lang=\"" + text(12) +
         "\" to=\"juliet@example.com/'" + text(10) + "\"><body>" + text(400) + "</body></message>");
  }
  EXPECT_FALSE(Closed());
  ASSERT_EQ(cluster_.sent.size(), 2'000u);
  int refused = 0;
  for (const auto& sent : cluster_.sent) {
    refused += sent.refused ? 1 : 0;
    if (sent.refused) continue;
    for (const auto framing : {xmpp::Framing::kStream, xmpp::Framing::kWebSocket}) {
      std::string xml;
      xmpp::AppendXml(xml, sent.stanza, framing);
      ASSERT_LE(xml.size(), 2'000u);
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_LT(refused, 1'900);
}

TEST_F(LiveStream, Rfc6120_4_9_3_24_AnUnknownElement) {
  Bind();
  EXPECT_HAS(Feed("<foo xmlns='urn:example'/>"), "<unsupported-stanza-type");
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
}

TEST_F(LiveStream, Rfc6120_4_4_ClosesInOrder_WhenTheLogHasAllThatTheClientSaid) {
  Bind();
  EXPECT_EQ(Feed("<message to='a@example.com'/><message to='b@example.com'/></stream:stream>"), "");
  EXPECT_EQ(cluster_.sent.size(), 2u);
  EXPECT_EQ(cluster_.end, EndReason::kNone);
  cluster_.Confirm(1);
  EXPECT_EQ(socket_.Take(), "");
  cluster_.Confirm(2);
  EXPECT_EQ(socket_.Take(), "</stream:stream>");
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
  EXPECT_TRUE(Closed());
}

TEST_F(LiveStream, WhoHasGoneWhileItIsNotRead_IsGivenNothing_AndWhatItSaidBeforeIsTaken) {
  Bind();
  cluster_.Packet(Message("heard"));
  socket_.handler->OnDrained();
  std::string messages;
  for (int i = 0; i < 6; ++i) messages += "<message/>";
  Feed(messages);
  ASSERT_TRUE(socket_.paused);
  socket_.peer_closed = true;
  cluster_.Packet(Message("not heard"));
  EXPECT_EQ(socket_.Take(), "");
  socket_.handler->OnDrained();
  EXPECT_EQ(cluster_.session->outbound.acked_seq(), 1u);
  EXPECT_FALSE(Closed());
  cluster_.Confirm(4);
  EXPECT_EQ(cluster_.sent.size(), 6u);
}

TEST_F(LiveStream, AConnectionThatBreaksWhileItIsNotRead_IsLost) {
  Bind();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  Feed("<message/><message/><message/><message/>");
  ASSERT_TRUE(socket_.paused);
  connection->OnTick(Clock::System().Now());
  EXPECT_FALSE(Closed());
  socket_.broken = true;
  connection->OnTick(Clock::System().Now());
  EXPECT_TRUE(Closed());
  EXPECT_EQ(cluster_.end, EndReason::kConnectionLost);
}

TEST_F(LiveStream, Xep0198_4_BeforeTheAnswerToItsEndTheStreamSaysWhatWasHandled) {
  BindWithStreamManagement();
  socket_.Take();
  Feed("<message to='a@example.com'/><r xmlns='urn:xmpp:sm:3'/></stream:stream>");
  cluster_.Confirm(1);
  EXPECT_EQ(socket_.Take(), "<a xmlns=\"urn:xmpp:sm:3\" h=\"1\"/></stream:stream>");
}

TEST_F(LiveStream, WhatIsQueuedWhenTheClientClosesIsGiven) {
  Bind();
  cluster_.Packet(Message());
  socket_.queued = 10;
  socket_.takes_at_flush = true;
  Feed("</stream:stream>");
  EXPECT_EQ(cluster_.delivered, 1u);
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
}

TEST_F(LiveStream, AClientThatClosesAndIsGoneBeforeItHasWhatIsQueuedHasClosed) {
  BindWithStreamManagement();
  socket_.queued = 10;
  socket_.breaks_at_flush = true;
  Feed("<r xmlns='urn:xmpp:sm:3'/></stream:stream>");
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
  // So it has while it waits for the log.
  socket_ = {};
  cluster_.end = EndReason::kNone;
  BindWithStreamManagement();
  socket_.queued = 10;
  socket_.breaks_at_flush = true;
  Feed("<message to='a@example.com'/></stream:stream>");
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
}

TEST_F(LiveStream, AClientThatHasClosedIsGivenNothing_AndNothingCountsAsGivenToIt) {
  Bind();
  Feed("<message to='a@example.com'/></stream:stream>");
  cluster_.Packet(Message());
  EXPECT_EQ(socket_.Take(), "");
  socket_.handler->OnDrained();
  EXPECT_EQ(cluster_.session->outbound.acked_seq(), 0u);
}

TEST_F(LiveStream, WhatAClosedClientSaidMayBeLost_ItIsToldSo) {
  for (const char* condition : {"reset", ""}) {
    socket_ = {};
    Bind();
    Feed("<message to='a@example.com'/></stream:stream>");
    cluster_.client->OnSessionEnded(condition, "");
    EXPECT_HAS(socket_.Take(), "<stream:error>");
    EXPECT_TRUE(Closed());
  }
}

TEST_F(LiveStream, TheClusterCanSeeThatAClientHasClosedAndWaitsForTheLog) {
  Bind();
  Feed("<message to='a@example.com'/>");
  EXPECT_FALSE(cluster_.client->has_closed());
  Feed("</stream:stream>");
  EXPECT_TRUE(cluster_.client->has_closed());
}

TEST_F(LiveStream, AConnectionThatBreaksBehindTheEndOfItsStream_IsClosed) {
  Bind();
  Feed("<message to='a@example.com'/></stream:stream>");
  socket_.handler->OnClosed(absl::OkStatus());
  EXPECT_EQ(cluster_.end, EndReason::kClosed);
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
  socket_ = {};
  Bind();
  Feed("<message/></stream:stream><message/>");
  EXPECT_EQ(Feed("<message/>"), "");
  EXPECT_EQ(cluster_.sent.size(), 1u);
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

TEST_F(LiveStream, WhoSendsTooManyStanzasIsReadMoreSlowly) {
  settings_.stanza_rate = 2;
  settings_.max_unconfirmed = 1'000;
  Bind();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  std::string messages;
  for (int i = 0; i < 30; ++i) messages += "<message/>";
  Feed(messages);
  // Ten seconds' worth, and not one of them is lost.
  EXPECT_GE(cluster_.sent.size(), 19u);
  EXPECT_LE(cluster_.sent.size(), 20u);
  EXPECT_TRUE(socket_.paused);
  const SteadyTime now = Clock::System().Now();
  connection->OnTick(now + std::chrono::seconds(2));
  EXPECT_GE(cluster_.sent.size(), 22u);
  EXPECT_LT(cluster_.sent.size(), 26u);
  EXPECT_TRUE(socket_.paused);
  connection->OnTick(now + std::chrono::seconds(8));
  EXPECT_EQ(cluster_.sent.size(), 30u);
  EXPECT_FALSE(socket_.paused);
}

TEST_F(LiveStream, WhoConnectsAgainHasNoNewBudget_AndOthersHaveTheirs) {
  settings_.stanza_rate = 2;
  settings_.max_unconfirmed = 1'000;
  Bind();
  std::string messages;
  for (int i = 0; i < 30; ++i) messages += "<message/>";
  Feed(messages);
  const std::size_t sent = cluster_.sent.size();
  ASSERT_LE(sent, 20u);
  static_cast<net::ConnectionHandler*>(socket_.handler)->OnClosed(absl::OkStatus());
  socket_ = {};
  Bind();
  Feed(messages);
  EXPECT_LE(cluster_.sent.size(), sent + 2);
  EXPECT_TRUE(socket_.paused);
}

TEST_F(LiveStream, WhatIsNoStanzaCountsToo) {
  settings_.stanza_rate = 2;
  BindWithStreamManagement();
  for (int i = 0; i < 30 && !socket_.paused; ++i) Feed("<r xmlns='urn:xmpp:sm:3'/>");
  EXPECT_TRUE(socket_.paused);
}

TEST_F(LiveStream, WhiteSpaceCountsToo) {
  settings_.stanza_rate = 2;
  Bind();
  int fed = 0;
  for (; fed < 50 && !socket_.paused; ++fed) Feed(" ");
  EXPECT_TRUE(socket_.paused);
  EXPECT_GE(fed, 18);
}

TEST(StanzaBudgets, OneForEachAccount_ForgottenWhenItIsFullAndNobodyHoldsIt) {
  StanzaBudgets budgets(2);
  const SteadyTime now{};
  {
    const auto ann = budgets.Of("ann", now);
    EXPECT_EQ(budgets.Of("ann", now), ann);
    for (int i = 0; i < 20; ++i) ann->Take(now);
    EXPECT_TRUE(ann->IsUsedUp());
    EXPECT_FALSE(budgets.Of("ben", now)->IsUsedUp());
  }
  EXPECT_TRUE(budgets.Of("ann", now)->IsUsedUp());
  const auto held = budgets.Of("eve", now);
  for (int i = 0; i < 10; ++i) budgets.Of("dan", now + std::chrono::seconds(20));
  EXPECT_EQ(budgets.size(), 2u) << "eve's, and dan's";
  EXPECT_EQ(budgets.Of("eve", now), held);
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

TEST_F(LiveStream, OneLargeStanzaAloneNeverEndsAStream) {
  Bind();
  // A hostile sender could once make so much of 250,000 bytes: six times as many when they are written.
  xmpp::Stanza large = Message();
  large.set_id(std::string(250'000, '\''));
  cluster_.Packet(large);
  socket_.queued = 1'500'000;
  EXPECT_FALSE(Closed());
  // The client says something meanwhile, and is given more.
  Feed("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>");
  cluster_.Packet(Message());
  socket_.queued += 200;
  EXPECT_FALSE(Closed());
  // Whatever waits besides it is bounded as ever.
  socket_.queued += 10'000;
  cluster_.Packet(Message());
  EXPECT_HAS(socket_.Take(), "<resource-constraint");
}

TEST_F(LiveStream, WhoReadsSlowlyButSteadilyStays) {
  Bind();
  auto* connection = static_cast<ClientConnection*>(socket_.handler);
  const SteadyTime now = Clock::System().Now();
  socket_.queued = 9'000;
  for (int minute = 1; minute <= 4; ++minute) {
    socket_.taken += 100;
    connection->OnTick(now + std::chrono::seconds(59 * minute));
  }
  EXPECT_FALSE(Closed());
  connection->OnTick(now + std::chrono::seconds(59 * 4 + 61));
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

}  // namespace
}  // namespace rookery::gateway
