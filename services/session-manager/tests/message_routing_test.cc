// The table of RFC 6121 section 8.5 (test names are its rows) and XEP-0280, -0160, -0313.
#include "domain/delivery/message_routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

using namespace rookery::common::v1;  // the trait names
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

xmpp::Stanza Make(std::string_view type, std::uint32_t traits = STANZA_TRAIT_BODY) {
  xmpp::Stanza message = xmpp::MakeMessage(type, "a@localhost/x", "b@localhost");
  message.set_traits(traits);
  return message;
}

using Fate = MessageFate;
using Sessions = std::vector<Candidate>;

MessageRoute Route(std::string_view type, std::string_view resource, const Sessions& sessions) {
  return RouteMessage(Make(type), resource, sessions);
}
Fate FateOf(std::string_view type, std::string_view resource, const Sessions& sessions) {
  return Route(type, resource, sessions).fate;
}

const Sessions kNobody;
const Sessions kOnlyNegative{{"neg", true, -1}};
const Sessions kOne{{"neg", true, -5}, {"one", true, 0}, {"away", false, 0}};
const Sessions kSeveral{{"low", true, 0}, {"neg", true, -1}, {"high", true, 5}, {"away", false, 9}};

TEST(RouteMessage, NobodyAvailable_Bare) {
  for (const Sessions& sessions : {kNobody, Sessions{{"away", false, 0}}}) {
    EXPECT_EQ(FateOf("", "", sessions), Fate::kStore);
    EXPECT_EQ(FateOf("normal", "", sessions), Fate::kStore);
    EXPECT_EQ(FateOf("chat", "", sessions), Fate::kStore);
    EXPECT_EQ(FateOf("groupchat", "", sessions), Fate::kBounce);
    EXPECT_EQ(FateOf("headline", "", sessions), Fate::kIgnore);
    EXPECT_EQ(FateOf("error", "", sessions), Fate::kIgnore);
  }
}

TEST(RouteMessage, NobodyAvailable_FullWithoutMatch) {
  EXPECT_EQ(FateOf("normal", "gone", kNobody), Fate::kBounce);
  EXPECT_EQ(FateOf("chat", "gone", kNobody), Fate::kStore);
  EXPECT_EQ(FateOf("groupchat", "gone", kNobody), Fate::kBounce);
  EXPECT_EQ(FateOf("headline", "gone", kNobody), Fate::kIgnore);
  EXPECT_EQ(FateOf("error", "gone", kNobody), Fate::kIgnore);
}

TEST(RouteMessage, OnlyNegativePriorities_Bare) {
  EXPECT_EQ(FateOf("normal", "", kOnlyNegative), Fate::kStore);
  EXPECT_EQ(FateOf("chat", "", kOnlyNegative), Fate::kStore);
  EXPECT_EQ(FateOf("groupchat", "", kOnlyNegative), Fate::kBounce);
  EXPECT_EQ(FateOf("headline", "", kOnlyNegative), Fate::kIgnore);
  EXPECT_EQ(FateOf("error", "", kOnlyNegative), Fate::kIgnore);
}

TEST(RouteMessage, OneNonNegative_Bare) {
  for (const char* type : {"", "normal", "chat", "headline", "nonsense"}) {
    const MessageRoute route = Route(type, "", kOne);
    EXPECT_EQ(route.fate, Fate::kDeliver) << type;
    EXPECT_THAT(route.targets, ElementsAre(1)) << type;
  }
  EXPECT_EQ(FateOf("groupchat", "", kOne), Fate::kBounce);
  EXPECT_EQ(FateOf("error", "", kOne), Fate::kIgnore);
}

TEST(RouteMessage, SeveralNonNegative_Bare) {
  EXPECT_THAT(Route("normal", "", kSeveral).targets, ElementsAre(2));
  EXPECT_THAT(Route("chat", "", kSeveral).targets, ElementsAre(2));
  EXPECT_THAT(Route("headline", "", kSeveral).targets, UnorderedElementsAre(0, 2));
  EXPECT_EQ(FateOf("groupchat", "", kSeveral), Fate::kBounce);
  EXPECT_EQ(FateOf("error", "", kSeveral), Fate::kIgnore);
}

TEST(RouteMessage, SeveralOfTheSamePriority_Bare) {
  EXPECT_THAT(Route("chat", "", {{"a", true, 3}, {"b", true, 3}, {"c", true, 1}}).targets,
              UnorderedElementsAre(0, 1));
}

TEST(RouteMessage, FullJidMatches_AnyPriority) {
  for (const char* type : {"normal", "chat", "groupchat", "headline", "error"}) {
    EXPECT_THAT(Route(type, "neg", kSeveral).targets, ElementsAre(1)) << type;
    EXPECT_THAT(Route(type, "low", kSeveral).targets, ElementsAre(0)) << type;
    // Connected is enough (RFC 6121 section 8.5.3.1).
    EXPECT_THAT(Route(type, "away", kSeveral).targets, ElementsAre(3)) << type;
  }
}

TEST(RouteMessage, SomeAvailable_FullWithoutMatch) {
  EXPECT_EQ(FateOf("normal", "gone", kSeveral), Fate::kBounce);
  EXPECT_THAT(Route("chat", "gone", kSeveral).targets, ElementsAre(2));
  EXPECT_EQ(FateOf("groupchat", "gone", kSeveral), Fate::kBounce);
  EXPECT_EQ(FateOf("headline", "gone", kSeveral), Fate::kIgnore);
  EXPECT_EQ(FateOf("error", "gone", kSeveral), Fate::kIgnore);
}

TEST(RouteMessage, OnlyNegativePriorities_FullWithoutMatch) {
  EXPECT_EQ(FateOf("normal", "gone", kOnlyNegative), Fate::kBounce);
  EXPECT_EQ(FateOf("chat", "gone", kOnlyNegative), Fate::kStore);
  EXPECT_EQ(FateOf("groupchat", "gone", kOnlyNegative), Fate::kBounce);
  EXPECT_EQ(FateOf("headline", "gone", kOnlyNegative), Fate::kIgnore);
  EXPECT_EQ(FateOf("error", "gone", kOnlyNegative), Fate::kIgnore);
  // An unknown type is normal.
  EXPECT_EQ(FateOf("odd", "gone", kOnlyNegative), Fate::kBounce);
}

TEST(RouteMessage, ResourcesAreCaseSensitive) {
  EXPECT_EQ(FateOf("groupchat", "LOW", kSeveral), Fate::kBounce);
}

TEST(RouteMessage, CopiesGoToTheOthersThatAskedForThem) {
  const Sessions sessions{{"target", true, 5, true},
                          {"copies", true, 0, true},
                          {"none", true, 0, false},
                          {"away", false, 0, true}};
  const MessageRoute bare = Route("chat", "", sessions);
  EXPECT_THAT(bare.targets, ElementsAre(0));
  EXPECT_THAT(bare.copies, UnorderedElementsAre(1, 3));
  EXPECT_THAT(Route("chat", "none", sessions).copies, UnorderedElementsAre(0, 1, 3));
  EXPECT_THAT(Route("groupchat", "none", sessions).copies, IsEmpty());
  EXPECT_THAT(Route("headline", "none", sessions).copies, IsEmpty());
}

TEST(RouteMessage, WhatAResourceSentToItsOwnAccountDoesNotComeBackToIt) {
  xmpp::Stanza message = xmpp::MakeMessage("chat", "b@localhost/one", "b@localhost");
  message.set_traits(STANZA_TRAIT_BODY);
  const Sessions sessions{{"one", true, 0, true}, {"two", true, 5, true}, {"three", true, 0, true}};
  EXPECT_THAT(RouteMessage(message, "", sessions).copies, ElementsAre(2));
  message.set_from("a@localhost/one");
  EXPECT_THAT(RouteMessage(message, "", sessions).copies, UnorderedElementsAre(0, 2));
}

TEST(RouteMessage, ErrorIsCopiedIfWhatItAnswersWas) {
  const Sessions sessions{{"one", true, 0, true}, {"two", true, 0, true}};
  const xmpp::Stanza error = Make("error");
  EXPECT_THAT(RouteMessage(error, "one", sessions, false).copies, IsEmpty());
  const MessageRoute copied = RouteMessage(error, "one", sessions, true);
  EXPECT_THAT(copied.targets, ElementsAre(0));
  EXPECT_THAT(copied.copies, ElementsAre(1));
  const MessageRoute gone = RouteMessage(error, "gone", sessions, true);
  EXPECT_EQ(gone.fate, Fate::kIgnore);
  EXPECT_THAT(gone.copies, UnorderedElementsAre(0, 1));
  // Only an error is an answer.
  EXPECT_THAT(RouteMessage(Make("headline"), "one", sessions, true).copies, IsEmpty());
}

TEST(RouteMessage, NothingDeliveredNothingCopied) {
  const Sessions sessions{{"neg", true, -1, true}};
  const MessageRoute route = Route("chat", "", sessions);
  EXPECT_EQ(route.fate, Fate::kStore);
  EXPECT_THAT(route.copies, IsEmpty());
}

// ---- appendix D -------------------------------------------------------------

struct Row {
  const char* name;
  const char* type;
  std::uint32_t traits;
  bool archive, sent_copy, received_copy, offline;
};

class MessageClass : public ::testing::TestWithParam<Row> {};

TEST_P(MessageClass, Keeps) {
  const Row& row = GetParam();
  const xmpp::Stanza message = Make(row.type, row.traits);
  EXPECT_EQ(IsArchivable(message), row.archive);
  EXPECT_EQ(IsCarbonEligible(message, true), row.sent_copy);
  EXPECT_EQ(IsCarbonEligible(message, false), row.received_copy);
  EXPECT_EQ(IsStorable(message), row.offline);
}

constexpr std::uint32_t kBody = STANZA_TRAIT_BODY;
INSTANTIATE_TEST_SUITE_P(
    AppendixD, MessageClass,
    ::testing::Values(
        Row{"ChatWithBody", "chat", kBody, true, true, true, true},
        Row{"NormalWithBody", "", kBody, true, true, true, true},
        Row{"UnknownTypeIsNormal", "odd", kBody, true, true, true, true},
        Row{"Encrypted", "chat", STANZA_TRAIT_ENCRYPTED, true, true, true, true},
        Row{"EncryptedNormal", "", STANZA_TRAIT_ENCRYPTED, true, true, true, true},
        Row{"Receipt", "chat", STANZA_TRAIT_RECEIPT, true, true, true, true},
        Row{"NormalWithoutBody", "", STANZA_TRAIT_OTHER_PAYLOAD, false, false, false, true},
        Row{"NormalWithReceipt", "", STANZA_TRAIT_RECEIPT, true, true, true, true},
        Row{"NormalWithChatState", "", STANZA_TRAIT_CHAT_STATE, false, true, true, false},
        Row{"NormalReactionWithStoreHint", "", STANZA_TRAIT_OTHER_PAYLOAD | STANZA_TRAIT_STORE, true, true,
            true, true},
        Row{"HeadlineWithReceipt", "headline", STANZA_TRAIT_RECEIPT, false, false, false, false},
        Row{"GroupchatWithInvitation", "groupchat", STANZA_TRAIT_MUC_INVITE, false, false, false, false},
        Row{"RoomPrivateMessageWithoutBody", "", STANZA_TRAIT_MUC_USER, false, true, false, true},
        Row{"MarkerWithStoreHint", "chat", STANZA_TRAIT_OTHER_PAYLOAD | STANZA_TRAIT_STORE, true, true, true,
            true},
        Row{"ChatStateOnly", "chat", STANZA_TRAIT_CHAT_STATE, false, true, true, false},
        Row{"ChatStateOnlyWithHint", "chat", STANZA_TRAIT_CHAT_STATE | STANZA_TRAIT_NO_PERMANENT_STORE, false,
            true, true, false},
        Row{"ChatStateWithBody", "chat", STANZA_TRAIT_CHAT_STATE | kBody, true, true, true, true},
        Row{"Call", "chat", STANZA_TRAIT_CALL, true, true, true, true},
        Row{"Groupchat", "groupchat", kBody, false, false, false, false},
        Row{"RoomPrivateMessage", "chat", kBody | STANZA_TRAIT_MUC_USER, true, true, false, true},
        Row{"RoomPrivateMessageNormal", "", kBody | STANZA_TRAIT_MUC_USER, true, true, false, true},
        Row{"MediatedInvitation", "", STANZA_TRAIT_MUC_USER | STANZA_TRAIT_MUC_INVITE, true, true, true,
            true},
        Row{"DirectInvitation", "chat", STANZA_TRAIT_MUC_INVITE, true, true, true, true},
        Row{"Headline", "headline", kBody, false, false, false, false},
        Row{"Error", "error", kBody, false, false, false, false},
        Row{"NoStore", "chat", kBody | STANZA_TRAIT_NO_STORE, false, true, true, false},
        Row{"NoPermanentStore", "chat", kBody | STANZA_TRAIT_NO_PERMANENT_STORE, false, true, true, true},
        Row{"Private", "chat", kBody | STANZA_TRAIT_PRIVATE, true, false, false, true},
        Row{"NoCopy", "chat", kBody | STANZA_TRAIT_NO_COPY, true, false, false, true},
        Row{"CarbonItself", "chat", kBody | STANZA_TRAIT_CARBON, false, false, false, true}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rookery::session_manager
