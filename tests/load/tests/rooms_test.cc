#include "gmock/gmock.h"
#include "room_log.h"
#include "room_wire.h"
#include "run.h"
#include "stanza_scanner.h"

namespace rookery::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Hearing = RoomLog::Hearing;

constexpr RoomLog::Time kNoTime{};

/// Three occupants; who is sender of each message is its letter.
RoomLog LogOf(const std::string& senders) {
  RoomLog log(3);
  for (const char sender : senders) log.Sent(static_cast<std::uint32_t>(sender - 'a'), kNoTime);
  return log;
}

void Hear(RoomLog& log, std::size_t occupant, const std::vector<std::uint32_t>& numbers) {
  for (const std::uint32_t number : numbers) log.Heard(occupant, number);
}

TEST(RoomLog, TellsWhenEveryOccupantHasHeardAMessage) {
  RoomLog log = LogOf("ab");
  EXPECT_EQ(log.sender(1), 1u);
  EXPECT_EQ(log.Heard(0, 0), Hearing::kNew);
  EXPECT_EQ(log.Heard(1, 0), Hearing::kNew);
  EXPECT_EQ(log.Heard(1, 1), Hearing::kNew);
  EXPECT_EQ(log.Heard(1, 0), Hearing::kTwice);
  EXPECT_EQ(log.Heard(2, 0), Hearing::kLast);
  EXPECT_EQ(log.Heard(2, 2), Hearing::kUnknown);
}

TEST(RoomLog, OneOrderForAllIsRight) {
  // The room's order need not be that in which the messages were sent by different senders.
  RoomLog log = LogOf("abab");
  for (const std::size_t occupant : {0, 1, 2}) Hear(log, occupant, {1, 0, 3, 2});
  const RoomLog::Verdict verdict = log.Check();
  EXPECT_EQ(verdict.lost, 0u);
  EXPECT_EQ(verdict.twice, 0u);
  EXPECT_EQ(verdict.disordered, 0u);
  EXPECT_EQ(verdict.sender_order, 0u);
  EXPECT_EQ(verdict.example, "");
}

TEST(RoomLog, FindsWhoHeardAnotherOrder) {
  RoomLog log = LogOf("abc");
  Hear(log, 0, {0, 1, 2});
  Hear(log, 1, {0, 2, 1});
  Hear(log, 2, {0, 1, 2});
  const RoomLog::Verdict verdict = log.Check();
  EXPECT_EQ(verdict.disordered, 1u);
  EXPECT_EQ(verdict.lost, 0u);
  EXPECT_EQ(verdict.example, "occupant 1 heard 1 after 2, occupant 0 before it");
}

TEST(RoomLog, FindsARoomThatTurnsASendersMessagesAround) {
  RoomLog log = LogOf("aab");
  for (const std::size_t occupant : {0, 1, 2}) Hear(log, occupant, {1, 2, 0});
  const RoomLog::Verdict verdict = log.Check();
  EXPECT_EQ(verdict.disordered, 0u);
  EXPECT_EQ(verdict.sender_order, 1u);
  EXPECT_EQ(verdict.example, "occupant 0 heard 0 of sender 0 after its 1");
}

TEST(RoomLog, ALossIsNoDisorder) {
  RoomLog log = LogOf("aaaa");
  Hear(log, 0, {1, 3});  // the first to hear, and the one who loses
  Hear(log, 1, {0, 1, 2, 3});
  Hear(log, 2, {0, 1, 2, 3});
  const RoomLog::Verdict verdict = log.Check();
  EXPECT_EQ(verdict.lost, 2u);
  EXPECT_EQ(verdict.disordered, 0u);
  EXPECT_EQ(verdict.sender_order, 0u);
  EXPECT_EQ(verdict.example, "occupant 0 never heard 0");
}

TEST(RoomLog, WhatNobodyHeardIsLostToAll) {
  RoomLog log = LogOf("aa");
  EXPECT_EQ(log.Check().lost, 6u);
  EXPECT_TRUE(log.Refused(1));
  EXPECT_FALSE(log.Refused(1));
  EXPECT_FALSE(log.Refused(2));
  EXPECT_EQ(log.Check().lost, 3u);
  log.Heard(1, 0);
  EXPECT_FALSE(log.Refused(0));
}

TEST(RoomLog, ARepetitionIsNoDisorder) {
  RoomLog log = LogOf("ab");
  Hear(log, 0, {0, 1, 0, 1});
  Hear(log, 1, {0, 1});
  Hear(log, 2, {0, 1});
  const RoomLog::Verdict verdict = log.Check();
  EXPECT_EQ(verdict.twice, 2u);
  EXPECT_EQ(verdict.disordered, 0u);
  EXPECT_EQ(verdict.example, "occupant 0 heard 0 twice");
}

TEST(RoomLog, ManyMessagesGrowTheMemoryOfEachOccupant) {
  RoomLog log(2);
  for (std::uint32_t i = 0; i < 1000; ++i) log.Sent(0, kNoTime);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    // They meet in the middle.
    const Hearing expected = i < 500 ? Hearing::kNew : Hearing::kLast;
    EXPECT_EQ(log.Heard(0, i), expected) << i;
    EXPECT_EQ(log.Heard(1, 999 - i), expected) << i;
  }
  EXPECT_EQ(log.Check().disordered, 999u);
}

TEST(RoomWire, RecognisesItsOwnMessages) {
  const std::string said = SayInRoom("r@conference.x", {7, 4294967295}, "xxx");
  EXPECT_EQ(AttributeOf(said, "to"), "r@conference.x");
  EXPECT_EQ(AttributeOf(said, "id"), "7-4294967295");
  const HeardMessage heard = ReadRoomMessage(said);
  EXPECT_EQ(heard.what, RoomStanza::kMessage);
  EXPECT_EQ(heard.message, (RoomMessage{7, 4294967295}));
  // As servers reflect it.
  const HeardMessage reflected = ReadRoomMessage(
      "<message xml:lang=\"en\" to=\"a@x/1\" from=\"r@conference.x/n\" type=\"groupchat\" id=\"z\">"
      "<stanza-id id=\"9 9\" by=\"r@conference.x\" xmlns=\"urn:xmpp:sid:0\"/><body xml:lang='en'>12 34 "
      "</body></message>");
  EXPECT_EQ(reflected.what, RoomStanza::kMessage);
  EXPECT_EQ(reflected.message, (RoomMessage{12, 34}));
}

TEST(RoomWire, TellsOtherMessagesApart) {
  EXPECT_EQ(ReadRoomMessage("<message type='groupchat'><subject/></message>").what, RoomStanza::kOther);
  EXPECT_EQ(ReadRoomMessage("<message type='groupchat'><x><status code='104'/></x></message>").what,
            RoomStanza::kOther);
  EXPECT_EQ(ReadRoomMessage("<message type='chat'><body>1 2 x</body></message>").what, RoomStanza::kOther);
  EXPECT_EQ(ReadRoomMessage("<message><body>1 2 x</body></message>").what, RoomStanza::kOther);
  for (const char* body : {"<body/>", "<body></body>", "<body>1</body>", "<body>1-2</body>",
                           "<body>1 x</body>", "<body>x</body>", "<body>1 99999999999 x</body>"}) {
    const HeardMessage heard =
        ReadRoomMessage(std::string("<message type='groupchat'>") + body + "</message>");
    EXPECT_EQ(heard.what, RoomStanza::kStrange) << body;
    EXPECT_EQ(heard.message, std::nullopt) << body;
  }
}

TEST(RoomWire, KnowsWhichMessageWasRefused) {
  const HeardMessage error =
      ReadRoomMessage("<message type='error' id='3-14'><body>1 2 x</body><error type='wait'/></message>");
  EXPECT_EQ(error.what, RoomStanza::kError);
  EXPECT_EQ(error.message, (RoomMessage{3, 14}));
  const HeardMessage nameless = ReadRoomMessage("<message type='error'><error type='wait'/></message>");
  EXPECT_EQ(nameless.what, RoomStanza::kError);
  EXPECT_EQ(nameless.message, std::nullopt);
}

// XEP-0045 examples 20 and 25 in both kinds of quotes.
TEST(RoomWire, ReadsStatusCodes) {
  const std::string_view presence =
      "<presence from='code=110@x/n'><x><item role='member'/><status code='110'/><status "
      "code=\"201\"/></x></presence>";
  EXPECT_TRUE(HasStatus(presence, "110"));
  EXPECT_TRUE(HasStatus(presence, "201"));
  EXPECT_FALSE(HasStatus(presence, "11"));
  EXPECT_FALSE(HasStatus(presence, "307"));
  EXPECT_FALSE(HasStatus("<presence from='r@x/110'><status>code=110</status></presence>", "110"));
  EXPECT_FALSE(HasStatus("<presence from='code=", "110"));
}

TEST(RoomWire, EntersWithoutHistoryAndMakesInstantRooms) {
  const std::string enter = EnterRoom("r@x/nick");
  EXPECT_EQ(AttributeOf(enter, "to"), "r@x/nick");
  EXPECT_THAT(enter, HasSubstr("<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"));
  const std::string unlock = UnlockRoom("r@x", "u");
  EXPECT_EQ(AttributeOf(unlock, "to"), "r@x");
  EXPECT_EQ(AttributeOf(unlock, "id"), "u");
  EXPECT_THAT(unlock, HasSubstr("<x xmlns='jabber:x:data' type='submit'/>"));
  EXPECT_THAT(UnlockRoom("r@x", "u", {"moderator", "participant"}),
              HasSubstr("<field var='muc#roomconfig_presencebroadcast'><value>moderator</value>"
                        "<value>participant</value></field></x>"));
  EXPECT_THAT(UnlockRoom("r@x", "u", {"none"}),
              HasSubstr("<field var='muc#roomconfig_presencebroadcast'></field></x>"));
}

TEST(Run, SendsLateWhatWasDueBefore) {
  const CommonOptions options;
  load::Run run(options);
  const Clock::time_point begin = Clock::now() - std::chrono::seconds(10);
  std::vector<std::uint64_t> sent;
  std::vector<Clock::duration> due;
  run.AtRate(
      begin, 2, 3, [] { return false; },
      [&](std::uint64_t k, Clock::time_point at) {
        sent.push_back(k);
        due.push_back(at - begin);
      });
  EXPECT_THAT(sent, ElementsAre(0, 1, 2));
  EXPECT_THAT(due,
              ElementsAre(std::chrono::seconds(0), std::chrono::milliseconds(500), std::chrono::seconds(1)));
}

TEST(Run, NeverSendsBeforeItIsDueAndStopsWhenTold) {
  const CommonOptions options;
  load::Run run(options);
  const Clock::time_point begin = Clock::now();
  std::uint64_t sent = 0;
  run.AtRate(
      begin, 1000, 100, [&] { return sent >= 5; },
      [&](std::uint64_t, Clock::time_point at) {
        EXPECT_GE(Clock::now(), at);
        ++sent;
      });
  EXPECT_GE(sent, 5u);
  EXPECT_LT(sent, 100u);
}

}  // namespace
}  // namespace rookery::load
