// What fuzz_large_stanzas holds of any message, of the largest ones. A promise that is broken aborts
// (large_stanzas/correspondence.h); here stands which of them a message is about.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "large_stanzas/correspondence.h"

namespace rookery::fuzz {
namespace {

using Fate = Correspondence::Fate;
using To = Correspondence::Way::To;

class LargeStanzas : public ::testing::Test {
 protected:
  void TearDown() override { correspondence_.End(); }

  static LargeMessage Message(std::size_t written_bytes, Shape shape = Shape::kText,
                              std::string filler = ">") {
    return {.shape = shape, .filler = std::move(filler), .written_bytes = written_bytes};
  }
  Correspondence correspondence_;
};

TEST_F(LargeStanzas, TheLargestThatIsAcceptedIsDelivered_WhateverItIsMadeOf) {
  for (const Shape shape : kShapes)
    for (const char* filler : {"'", ">", "&lt;&amp;", "\xF0\x9F\x98\x80"})
      EXPECT_EQ(correspondence_.Send(Message(kMaxStanzaBytes, shape, filler), {}), Fate::kDelivered)
          << static_cast<int>(shape) << " of " << filler;
}

TEST_F(LargeStanzas, TheLargestThatIsAcceptedFitsIntoARecord) {
  // Addresses are not escaped there.
  EXPECT_EQ(correspondence_.Send(Message(kMaxStanzaBytes), {}), Fate::kDelivered);
  EXPECT_GT(correspondence_.largest_record(), kMaxStanzaBytes - 20'000);
  EXPECT_LE(correspondence_.largest_record(), simulation::Kafka::kMaxRecordBytes);
}

TEST_F(LargeStanzas, EveryFramingCarriesTheLargest) {
  for (const bool is_from_websocket : {false, true})
    for (const To to : {To::kAccount, To::kTcp, To::kWebSocket})
      EXPECT_EQ(correspondence_.Send(Message(kMaxStanzaBytes), {is_from_websocket, to}), Fate::kDelivered);
}

TEST_F(LargeStanzas, OneByteMoreIsAnsweredWithAnError_AndNoStreamEnds) {
  for (const Shape shape : kShapes)
    EXPECT_EQ(correspondence_.Send(Message(kMaxStanzaBytes + 1, shape), {}), Fate::kRefused)
        << static_cast<int>(shape);
  EXPECT_EQ(correspondence_.Send(Message(0), {}), Fate::kDelivered);
}

TEST_F(LargeStanzas, TheLongestIdAndLanguageAreDelivered_LongerOnesAreAnsweredWithAnError) {
  LargeMessage message = Message(kMaxStanzaBytes, Shape::kAttribute);
  message.lang_bytes = xmpp::kMaxLangBytes;
  EXPECT_EQ(correspondence_.Send(message, {}, xmpp::kMaxIdBytes), Fate::kDelivered);
  EXPECT_EQ(correspondence_.Send(message, {}, xmpp::kMaxIdBytes + 1), Fate::kRefused);
  message.lang_bytes += 1;
  EXPECT_EQ(correspondence_.Send(message, {}), Fate::kRefused);
}

TEST_F(LargeStanzas, WhatIsTooLargeAsItIsReadEndsItsWritersStreamAlone) {
  // Five bytes are one when they are written.
  const LargeMessage message = Message(kMaxStanzaBytes, Shape::kText, "&#39;");
  for (const bool is_from_websocket : {false, true}) {
    EXPECT_EQ(correspondence_.Send(message, {is_from_websocket}), Fate::kStreamEnded);
    EXPECT_EQ(correspondence_.Send(Message(kMaxStanzaBytes), {is_from_websocket}), Fate::kDelivered);
  }
}

}  // namespace
}  // namespace rookery::fuzz
