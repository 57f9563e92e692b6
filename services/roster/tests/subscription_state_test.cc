#include "domain/subscription_state.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <ostream>

namespace rookery::roster {

void PrintTo(const SubscriptionState& state, std::ostream* out) {
  *out << (state.to ? "to " : "") << (state.from ? "from " : "") << (state.pending_out ? "out " : "")
       << (state.pending_in ? "in " : "") << (state.approved ? "approved" : "");
}

namespace {

// The nine states, in the order of RFC 6121's tables.
constexpr SubscriptionState kNone{};
constexpr SubscriptionState kNoneOut{.pending_out = true};
constexpr SubscriptionState kNoneIn{.pending_in = true};
constexpr SubscriptionState kNoneOutIn{.pending_out = true, .pending_in = true};
constexpr SubscriptionState kTo{.to = true};
constexpr SubscriptionState kToIn{.to = true, .pending_in = true};
constexpr SubscriptionState kFrom{.from = true};
constexpr SubscriptionState kFromOut{.from = true, .pending_out = true};
constexpr SubscriptionState kBoth{.to = true, .from = true};

struct Line {
  SubscriptionState before;
  bool pass_on;
  std::optional<SubscriptionState> after;  // none: no change
};
using Table = std::array<Line, 9>;
constexpr bool kYes = true;
constexpr bool kNo = false;
constexpr std::nullopt_t kSame = std::nullopt;

void CheckTable(const Table& table, Event event, Transition (*step)(const SubscriptionState&, Event)) {
  for (const Line& line : table) {
    const Transition next = step(line.before, event);
    EXPECT_EQ(next.state, line.after.value_or(line.before)) << ::testing::PrintToString(line.before);
    EXPECT_EQ(next.pass_on, line.pass_on) << ::testing::PrintToString(line.before);
  }
}

TEST(SubscriptionState, A_2_1_OutboundSubscribe) {
  CheckTable({{{kNone, kYes, kNoneOut},
               {kNoneOut, kYes, kSame},
               {kNoneIn, kYes, kNoneOutIn},
               {kNoneOutIn, kYes, kSame},
               {kTo, kYes, kSame},
               {kToIn, kYes, kSame},
               {kFrom, kYes, kFromOut},
               {kFromOut, kYes, kSame},
               {kBoth, kYes, kSame}}},
             Event::kSubscribe, Outbound);
}

TEST(SubscriptionState, A_2_2_OutboundUnsubscribe) {
  CheckTable({{{kNone, kYes, kSame},
               {kNoneOut, kYes, kNone},
               {kNoneIn, kYes, kSame},
               {kNoneOutIn, kYes, kNoneIn},
               {kTo, kYes, kNone},
               {kToIn, kYes, kNoneIn},
               {kFrom, kYes, kSame},
               {kFromOut, kYes, kFrom},
               {kBoth, kYes, kFrom}}},
             Event::kUnsubscribe, Outbound);
}

// Where nobody asked the RFC's table says "no change", and section 3.4 adds the approval.
constexpr SubscriptionState Approved(SubscriptionState state) {
  state.approved = true;
  return state;
}

TEST(SubscriptionState, A_2_3_OutboundSubscribed) {
  CheckTable({{{kNone, kNo, Approved(kNone)},
               {kNoneOut, kNo, Approved(kNoneOut)},
               {kNoneIn, kYes, kFrom},
               {kNoneOutIn, kYes, kFromOut},
               {kTo, kNo, Approved(kTo)},
               {kToIn, kYes, kBoth},
               {kFrom, kNo, kSame},
               {kFromOut, kNo, kSame},
               {kBoth, kNo, kSame}}},
             Event::kSubscribed, Outbound);
}

TEST(SubscriptionState, A_2_4_OutboundUnsubscribed) {
  CheckTable({{{kNone, kNo, kSame},
               {kNoneOut, kNo, kSame},
               {kNoneIn, kYes, kNone},
               {kNoneOutIn, kYes, kNoneOut},
               {kTo, kNo, kSame},
               {kToIn, kYes, kTo},
               {kFrom, kYes, kNone},
               {kFromOut, kYes, kNoneOut},
               {kBoth, kYes, kTo}}},
             Event::kUnsubscribed, Outbound);
}

TEST(SubscriptionState, A_3_1_InboundSubscribe) {
  CheckTable({{{kNone, kYes, kNoneIn},
               {kNoneOut, kYes, kNoneOutIn},
               {kNoneIn, kNo, kSame},
               {kNoneOutIn, kNo, kSame},
               {kTo, kYes, kToIn},
               {kToIn, kNo, kSame},
               {kFrom, kNo, kSame},
               {kFromOut, kNo, kSame},
               {kBoth, kNo, kSame}}},
             Event::kSubscribe, Inbound);
}

TEST(SubscriptionState, A_3_1_SubscribersAreAnsweredAgain) {
  for (const SubscriptionState& state : {kFrom, kFromOut, kBoth}) {
    EXPECT_TRUE(Inbound(state, Event::kSubscribe).auto_reply);
  }
  for (const SubscriptionState& state : {kNone, kNoneOut, kNoneIn, kNoneOutIn, kTo, kToIn}) {
    EXPECT_FALSE(Inbound(state, Event::kSubscribe).auto_reply);
  }
}

TEST(SubscriptionState, A_3_2_InboundUnsubscribe) {
  CheckTable({{{kNone, kNo, kSame},
               {kNoneOut, kNo, kSame},
               {kNoneIn, kYes, kNone},
               {kNoneOutIn, kYes, kNoneOut},
               {kTo, kNo, kSame},
               {kToIn, kYes, kTo},
               {kFrom, kYes, kNone},
               {kFromOut, kYes, kNoneOut},
               {kBoth, kYes, kTo}}},
             Event::kUnsubscribe, Inbound);
}

TEST(SubscriptionState, A_3_3_InboundSubscribed) {
  CheckTable({{{kNone, kNo, kSame},
               {kNoneOut, kYes, kTo},
               {kNoneIn, kNo, kSame},
               {kNoneOutIn, kYes, kToIn},
               {kTo, kNo, kSame},
               {kToIn, kNo, kSame},
               {kFrom, kNo, kSame},
               {kFromOut, kYes, kBoth},
               {kBoth, kNo, kSame}}},
             Event::kSubscribed, Inbound);
}

TEST(SubscriptionState, A_3_4_InboundUnsubscribed) {
  CheckTable({{{kNone, kNo, kSame},
               {kNoneOut, kYes, kNone},
               {kNoneIn, kNo, kSame},
               {kNoneOutIn, kYes, kNoneIn},
               {kTo, kYes, kNone},
               {kToIn, kYes, kNoneIn},
               {kFrom, kNo, kSame},
               {kFromOut, kYes, kFrom},
               {kBoth, kYes, kFrom}}},
             Event::kUnsubscribed, Inbound);
}

// Section 3.4: who was approved beforehand is answered, and the user is not asked.
TEST(SubscriptionState, PreApproval) {
  const struct {
    SubscriptionState before, after;
  } lines[] = {{kNone, kFrom}, {kNoneOut, kFromOut}, {kTo, kBoth}};
  for (const auto& line : lines) {
    const Transition next = Inbound(Approved(line.before), Event::kSubscribe);
    EXPECT_EQ(next.state, Approved(line.after));
    EXPECT_TRUE(next.auto_reply);
    EXPECT_FALSE(next.pass_on);
    // `unsubscribed` takes the approval back, and nobody hears of it.
    const Transition cancelled = Outbound(Approved(line.before), Event::kUnsubscribed);
    EXPECT_EQ(cancelled.state, line.before);
    EXPECT_FALSE(cancelled.pass_on);
    // Once more changes nothing.
    EXPECT_EQ(Outbound(Approved(line.before), Event::kSubscribed).state, Approved(line.before));
  }
}

}  // namespace
}  // namespace rookery::roster
