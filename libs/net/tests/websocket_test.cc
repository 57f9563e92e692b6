#include "rookery/net/websocket.h"

#include <vector>

#include "gtest/gtest.h"

namespace rookery::net {
namespace {

HttpRequest Handshake() {
  HttpRequest request;
  request.method = "GET";
  request.target = "/xmpp-websocket";
  request.headers = {{"Host", "example.org"},
                     {"upgrade", "WebSocket"},
                     {"Connection", "keep-alive, Upgrade"},
                     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                     {"Sec-WebSocket-Protocol", "chat, xmpp"},
                     {"Sec-WebSocket-Version", "13"}};
  return request;
}

void Set(HttpRequest& request, const std::string& name, const std::string& value) {
  for (auto& [key, old] : request.headers) {
    if (key == name) old = value;
  }
}

TEST(AcceptWebSocket, AnswersTheExampleOfRfc6455) {
  auto response = AcceptWebSocket(Handshake(), "xmpp");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(*response,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n");
}

TEST(AcceptWebSocket, RefusesEachFault) {
  const auto code = [](auto change) {
    HttpRequest request = Handshake();
    change(request);
    return AcceptWebSocket(request, "xmpp").status().code();
  };
  using R = HttpRequest;
  const auto kBad = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code([](R& r) { r.method = "POST"; }), kBad);
  EXPECT_EQ(code([](R& r) { r.version = 10; }), kBad);
  EXPECT_EQ(code([](R& r) { Set(r, "Host", ""); }), kBad);
  EXPECT_EQ(code([](R& r) { Set(r, "upgrade", "h2c"); }), kBad);
  EXPECT_EQ(code([](R& r) { Set(r, "Connection", "keep-alive"); }), kBad);
  EXPECT_EQ(code([](R& r) { Set(r, "Sec-WebSocket-Key", "dGhlIHNhbXBsZQ=="); }), kBad);
  EXPECT_EQ(code([](R& r) { Set(r, "Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!!!"); }), kBad);
  EXPECT_EQ(code([](R& r) { r.headers.emplace_back("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="); }),
            kBad);
  EXPECT_EQ(code([](R& r) { Set(r, "Sec-WebSocket-Protocol", "XMPP"); }), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(code([](R& r) { Set(r, "Sec-WebSocket-Protocol", ""); }), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(code([](R& r) { r.body = "x"; }), kBad);
  HttpRequest old = Handshake();
  Set(old, "Sec-WebSocket-Version", "8");
  EXPECT_EQ(AcceptWebSocket(old, "xmpp").status().code(), absl::StatusCode::kFailedPrecondition);
}

/// A frame as a client sends it; the mask is fixed.
std::string Frame(int first_byte, const std::string& payload, bool masked = true) {
  std::string out(1, static_cast<char>(first_byte));
  const int mask_bit = masked ? 0x80 : 0;
  if (payload.size() <= 125) {
    out += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
  } else if (payload.size() <= 0xFFFF) {
    out += static_cast<char>(mask_bit | 126);
    for (int shift = 8; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift);
  } else {
    out += static_cast<char>(mask_bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift);
  }
  if (!masked) return out + payload;
  const std::string mask = "\x12\x34\x56\x78";
  out += mask;
  for (std::size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ mask[i % 4]);
  return out;
}

constexpr int kFin = 0x80, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

class FramerTest : public ::testing::Test, public WebSocketFramer::Handler {
 protected:
  void OnMessage(std::string_view message, bool is_text) override {
    messages_.emplace_back(message);
    text_ = is_text;
    if (destroy_in_message_) framer_.reset();
    if (limit_in_message_ != 0) framer_->set_max_message_bytes(limit_in_message_);
    if (close_in_message_) framer_->SendClose(1000);
  }
  void OnOutput(std::string_view bytes) override { output_ += bytes; }
  void OnWebSocketClosed(std::uint16_t code) override {
    EXPECT_EQ(closed_, 0);
    closed_ = code;
    if (destroy_in_close_) framer_.reset();
  }
  void Feed(const std::string& bytes) { framer_->Feed(bytes); }
  /// The code of the Close frame that the output ends with.
  int SentClose() const {
    const std::size_t n = output_.size();
    if (n < 4 || output_[n - 4] != static_cast<char>(kFin | kClose) || output_[n - 3] != 2) return 0;
    return static_cast<unsigned char>(output_[n - 2]) << 8 | static_cast<unsigned char>(output_[n - 1]);
  }

  std::unique_ptr<WebSocketFramer> framer_ = std::make_unique<WebSocketFramer>(*this, 100'000);
  std::vector<std::string> messages_;
  bool text_ = false;
  std::string output_;
  int closed_ = 0;
  bool destroy_in_message_ = false;
  bool destroy_in_close_ = false;
  bool close_in_message_ = false;
  std::size_t limit_in_message_ = 0;
};

TEST_F(FramerTest, TakesMessagesInAnyCut) {
  const std::string bytes = Frame(kFin | kText, "one") + Frame(kFin | kBinary, std::string(300, 'x')) +
                            Frame(kFin | kText, std::string(70'000, 'y')) + Frame(kFin | kText, "");
  for (const std::size_t step : {1u, 2u, 7u, 4096u, 100'000u}) {
    messages_.clear();
    for (std::size_t at = 0; at < bytes.size(); at += step) Feed(bytes.substr(at, step));
    ASSERT_EQ(messages_.size(), 4u) << step;
    EXPECT_EQ(messages_[0], "one");
    EXPECT_EQ(messages_[1], std::string(300, 'x'));
    EXPECT_EQ(messages_[2], std::string(70'000, 'y'));
    EXPECT_EQ(messages_[3], "");
    EXPECT_TRUE(text_);
  }
  EXPECT_EQ(output_, "");
}

TEST_F(FramerTest, JoinsFragmentsWithControlFramesBetween) {
  for (const bool bytewise : {false, true}) {
    messages_.clear();
    output_.clear();
    const std::string bytes = Frame(kText, "to") + Frame(kFin | kPing, "p") + Frame(0, "ge") +
                              Frame(kFin | kPong, "") + Frame(kFin, "ther");
    if (bytewise) {
      for (const char c : bytes) Feed(std::string(1, c));
    } else {
      Feed(bytes);
    }
    EXPECT_EQ(messages_, std::vector<std::string>{"together"});
    EXPECT_EQ(output_, std::string("\x8a\x01p"));
  }
}

TEST_F(FramerTest, AMessageHasABoundedNumberOfFragments) {
  constexpr std::size_t kMost = WebSocketFramer::kMaxFragments;
  // Empty ones count as well; one message does not use up what the next may have.
  for (const bool bytewise : {false, true}) {
    for (const std::string payload : {"", "x"}) {
      for (int repeat = 0; repeat < 2; ++repeat) {
        std::string bytes = Frame(kText, payload);
        for (std::size_t i = 2; i < kMost; ++i) bytes += Frame(0, payload);
        bytes += Frame(kFin, payload);
        if (bytewise) {
          for (const char c : bytes) Feed(std::string(1, c));
        } else {
          Feed(bytes);
        }
      }
    }
  }
  ASSERT_EQ(messages_.size(), 8u);
  EXPECT_EQ(messages_[2].size(), kMost);
  EXPECT_EQ(closed_, 0);

  std::string bytes = Frame(kText, "");
  for (std::size_t i = 1; i < kMost; ++i) bytes += Frame(0, "");
  Feed(bytes);
  EXPECT_EQ(closed_, 0);
  Feed(Frame(kFin, "x") + Frame(kFin | kText, "y"));
  EXPECT_EQ(closed_, 1008);
  EXPECT_EQ(SentClose(), 1008);
  EXPECT_EQ(messages_.size(), 8u);
}

TEST_F(FramerTest, ControlFramesInsideAMessageAreBoundedToo) {
  constexpr std::size_t kMost = WebSocketFramer::kMaxControlFramesInMessage;
  std::string pings;
  for (std::size_t i = 0; i < kMost; ++i) pings += Frame(kFin | kPing, "");
  Feed(Frame(kText, "a") + pings + Frame(kFin, "b"));
  Feed(pings + pings);  // outside of messages they cost nothing
  Feed(Frame(kText, "c") + pings + Frame(kFin, "d"));
  EXPECT_EQ(messages_, (std::vector<std::string>{"ab", "cd"}));
  Feed(Frame(kText, "e") + pings);
  EXPECT_EQ(closed_, 0);
  Feed(Frame(kFin | kPong, "") + Frame(kFin, "f"));
  EXPECT_EQ(closed_, 1008);
  EXPECT_EQ(messages_.size(), 2u);
}

TEST_F(FramerTest, SendsUnmaskedFramesOfEachLength) {
  framer_->SendText("hi");
  EXPECT_EQ(output_, std::string("\x81\x02hi"));
  output_.clear();
  framer_->SendBinary(std::string(126, 'x'));
  EXPECT_EQ(output_, std::string("\x82\x7e\x00\x7e", 4) + std::string(126, 'x'));
  output_.clear();
  framer_->SendText(std::string(65'536, 'x'));
  EXPECT_EQ(output_, std::string("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10) + std::string(65'536, 'x'));
  output_.clear();
  framer_->SendPing();
  EXPECT_EQ(output_, std::string("\x89\x00", 2));
}

TEST_F(FramerTest, AnswersThePeersClose) {
  Feed(Frame(kFin | kClose, std::string("\x03\xe8", 2)));
  EXPECT_EQ(closed_, 1000);
  EXPECT_EQ(SentClose(), 1000);
  Feed(Frame(kFin | kText, "late"));
  framer_->SendText("late");
  EXPECT_TRUE(messages_.empty());
  EXPECT_EQ(SentClose(), 1000);
}

TEST_F(FramerTest, CloseWithoutCodeIs1005AndAnsweredWithoutOne) {
  Feed(Frame(kFin | kClose, ""));
  EXPECT_EQ(closed_, 1005);
  EXPECT_EQ(output_, std::string("\x88\x00", 2));
}

TEST_F(FramerTest, OurCloseIsSentOnceAndThePeersAnswerEndsIt) {
  framer_->SendClose(1001);
  EXPECT_EQ(SentClose(), 1001);
  const std::string before = output_;
  framer_->SendText("no more");
  framer_->SendClose(1000);
  Feed(Frame(kFin | kClose, std::string("\x03\xe9", 2)));
  EXPECT_EQ(closed_, 1001);
  EXPECT_EQ(output_, before);
}

struct Fault {
  const char* name;
  std::string bytes;
  int code;
};

class FramerFaultTest : public FramerTest, public ::testing::WithParamInterface<Fault> {};

INSTANTIATE_TEST_SUITE_P(
    Faults, FramerFaultTest,
    ::testing::Values(Fault{"NoMask", Frame(kFin | kText, "x", false), 1002},
                      Fault{"ReservedBit", Frame(kFin | 0x40 | kText, "x"), 1002},
                      Fault{"UnknownOpcode", Frame(kFin | 3, "x"), 1002},
                      Fault{"UnknownControl", Frame(kFin | 11, "x"), 1002},
                      Fault{"FragmentedControl", Frame(kPing, "x"), 1002},
                      Fault{"LongControl", Frame(kFin | kPing, std::string(126, 'x')), 1002},
                      Fault{"ContinuationOfNothing", Frame(kFin, "x"), 1002},
                      Fault{"TextInsideText", Frame(kText, "x") + Frame(kFin | kText, "y"), 1002},
                      Fault{"LongLengthForm", std::string("\x81\xfe\x00\x01\x00\x00\x00\x00x", 9), 1002},
                      Fault{"CloseOfOneByte", Frame(kFin | kClose, "x"), 1002},
                      Fault{"CloseCode1005", Frame(kFin | kClose, std::string("\x03\xed", 2)), 1002},
                      Fault{"BadUtf8", Frame(kFin | kText, "a\xc0\xaf"), 1007},
                      Fault{"CutUtf8", Frame(kFin | kText, "a\xe2\x82"), 1007},
                      Fault{"Surrogate", Frame(kFin | kText, "\xed\xa0\x80"), 1007},
                      Fault{"BadUtf8OverFragments", Frame(kText, "\xe2") + Frame(kFin, "x"), 1007},
                      Fault{"TooBig", Frame(kFin | kText, std::string(100'001, 'x')), 1009},
                      Fault{"TooBigOverFragments",
                            Frame(kText, std::string(60'000, 'x')) + Frame(kFin, std::string(60'000, 'x')),
                            1009}),
    [](const auto& info) { return info.param.name; });

TEST_P(FramerFaultTest, ClosesWithTheCodeInAnyCut) {
  const Fault& fault = GetParam();
  for (const std::size_t step : {1u, 5u, 200'000u}) {
    framer_ = std::make_unique<WebSocketFramer>(*this, 100'000);
    closed_ = 0;
    output_.clear();
    for (std::size_t at = 0; at < fault.bytes.size(); at += step) Feed(fault.bytes.substr(at, step));
    EXPECT_EQ(closed_, fault.code) << step;
    EXPECT_EQ(SentClose(), fault.code) << step;
    EXPECT_TRUE(messages_.empty());
  }
}

TEST_F(FramerTest, AHugeLengthIsRefusedByItsFirstByte) {
  Feed(std::string("\x81\xff\x00\x00\x00\x01\x00\x00\x00\x00\x12\x34\x56\x78x", 15));
  EXPECT_EQ(closed_, 1009);
}

TEST_F(FramerTest, AHigherLimitHoldsFromTheNextFrameOn) {
  framer_ = std::make_unique<WebSocketFramer>(*this, 100);
  limit_in_message_ = 1000;
  const std::string big = Frame(kFin | kText, std::string(1000, 'x'));
  Feed(Frame(kFin | kText, "one") + big);
  EXPECT_EQ(messages_.size(), 2u);
  Feed(big);
  EXPECT_EQ(messages_.size(), 3u);
  EXPECT_EQ(closed_, 0);
  Feed(Frame(kFin | kText, std::string(1001, 'x')));
  EXPECT_EQ(closed_, 1009);
}

TEST_F(FramerTest, ALowerLimitHoldsForAMessageInProgress) {
  Feed(Frame(kText, std::string(60, 'x')));
  framer_->set_max_message_bytes(100);
  Feed(Frame(kFin, std::string(41, 'x')));
  EXPECT_EQ(closed_, 1009);
}

TEST_F(FramerTest, MayBeDestroyedInItsCalls) {
  destroy_in_message_ = true;
  Feed(Frame(kFin | kText, "one") + Frame(kFin | kText, "two") + Frame(kFin | kPing, ""));
  EXPECT_EQ(messages_.size(), 1u);
  framer_ = std::make_unique<WebSocketFramer>(*this, 1000);
  destroy_in_close_ = true;
  Feed(Frame(kFin | kClose, ""));
  EXPECT_EQ(closed_, 1005);
}

TEST_F(FramerTest, MayCloseWithinAMessage) {
  close_in_message_ = true;
  Feed(Frame(kFin | kText, "one") + Frame(kFin | kPing, "p"));
  EXPECT_EQ(SentClose(), 1000);
}

}  // namespace
}  // namespace rookery::net
