#include "domain/messages/activity.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr std::int64_t kHourMs = 3'600'000;

class ActivityTest : public Coven {
 protected:
  ActivityTest() { driver_.Pass(kHourMs - driver_.now_ms() % kHourMs); }  // an hour begins
  void Say(int count) {
    for (int i = 0; i < count; ++i) Groupchat(kHag, "<body>hi</body>");
  }
  double PerHour() { return MessagesPerHour(room(), driver_.now_ms()); }
  const google::protobuf::RepeatedField<std::uint32_t>& counts() {
    return room().state().activity().messages();
  }
};

TEST_F(ActivityTest, ARoomInWhichNothingWasSaidHasNone) { EXPECT_EQ(PerHour(), 0); }

TEST_F(ActivityTest, IsAnAverageOfTheLastDay) {
  for (int hour = 0; hour < 23; ++hour) {
    Say(10);
    driver_.Pass(kHourMs);
  }
  EXPECT_DOUBLE_EQ(PerHour(), 10);
  driver_.Pass(kHourMs / 2);
  Say(5);
  EXPECT_DOUBLE_EQ(PerHour(), 10);
}

TEST_F(ActivityTest, IsKeptByTheHour) {
  Say(2);
  driver_.Pass(kHourMs);
  Say(1);
  driver_.Pass(2 * kHourMs);
  Say(3);
  EXPECT_THAT(counts(), ElementsAre(2, 1, 0, 3));
}

TEST_F(ActivityTest, IsForgottenAfterADay) {
  Say(23);
  driver_.Pass(23 * kHourMs);
  EXPECT_DOUBLE_EQ(PerHour(), 1);
  driver_.Pass(kHourMs);
  EXPECT_EQ(PerHour(), 0);
  Say(1);
  EXPECT_THAT(counts(), ElementsAre(1));
}

TEST_F(ActivityTest, HasADaysCountsAtMost) {
  for (int hour = 0; hour < 100; ++hour) {
    Say(1);
    driver_.Pass(kHourMs);
  }
  EXPECT_THAT(counts(), SizeIs(24));
  driver_.Pass(1000 * kHourMs);
  Say(1);
  EXPECT_THAT(counts(), ElementsAre(1));
}

// XEP-0502 section 4: bodies only, no corrections, no private messages.
TEST_F(ActivityTest, CountsWhatIsNew) {
  Groupchat(kHag, "<composing xmlns='http://jabber.org/protocol/chatstates'/>");
  Groupchat(kHag, "<body>hi</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/>");
  Groupchat(kCrone, "<subject>x</subject>");
  Groupchat(kHecate, "<body>refused</body>");
  Send(kHag, "chat", "<body>hi</body>", "coven@conference.example.org/firstwitch");
  EXPECT_EQ(PerHour(), 0);
}

TEST_F(ActivityTest, BearsAClockThatIsBehind) {
  Say(1);
  driver_.Pass(kHourMs);
  Say(1);
  driver_.Pass(-kHourMs);
  Say(1);
  EXPECT_THAT(counts(), ElementsAre(2, 1));
  driver_.Pass(-50 * kHourMs);
  Say(1);
  EXPECT_THAT(counts(), ElementsAre(2, 1));
}

}  // namespace
}  // namespace rookery::muc
