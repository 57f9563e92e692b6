#include "domain/features/feature_hooks.h"

#include <gmock/gmock.h>

#include "domain/state/shard.h"

namespace rookery::session_manager {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

xmpp::Stanza Message(std::uint32_t traits = 0) {
  xmpp::Stanza message = xmpp::MakeMessage("chat", "a@x/1", "b@x");
  message.set_traits(traits);
  return message;
}

class FeatureHooksTest : public ::testing::Test {
 protected:
  FeatureHooks::Judge Note(std::string name, std::optional<Veto> refusal = {}) {
    return [this, name, refusal](const User&, const xmpp::Stanza&) {
      asked_.push_back(name);
      return refusal;
    };
  }
  FeatureHooks hooks_;
  User user_;
  std::vector<std::string> asked_;
};

TEST_F(FeatureHooksTest, AskedInOrder_UntilOneRefuses) {
  hooks_.OnToUser({}, Note("first"));
  hooks_.OnToUser({}, Note("second", Veto{}));
  hooks_.OnToUser({}, Note("third"));
  hooks_.OnFromClient({}, Note("other way"));
  EXPECT_TRUE(hooks_.ToUser(user_, Message()));
  EXPECT_THAT(asked_, ElementsAre("first", "second"));
}

TEST_F(FeatureHooksTest, NotAskedAboutWhatItDoesNotCareFor) {
  hooks_.OnFromClient({.messages = false}, Note("no messages"));
  hooks_.OnFromClient({.traits = common::v1::STANZA_TRAIT_CHAT_STATE}, Note("chat states"));
  EXPECT_FALSE(hooks_.FromClient(user_, Message(common::v1::STANZA_TRAIT_BODY)));
  EXPECT_TRUE(asked_.empty());
  EXPECT_FALSE(hooks_.FromClient(user_, Message(common::v1::STANZA_TRAIT_CHAT_STATE)));
  EXPECT_FALSE(hooks_.FromClient(user_, xmpp::MakePresence("", "a@x/1", "b@x")));
  EXPECT_THAT(asked_, ElementsAre("chat states", "no messages"));
}

TEST_F(FeatureHooksTest, RecipientsThatOneFeatureLeavesOutAreLeftOut) {
  hooks_.OnRecipient([](const User&, std::string_view recipient) { return recipient != "a@x"; });
  hooks_.OnRecipient([](const User&, std::string_view recipient) { return recipient != "c@x"; });
  std::vector<std::string> recipients{"a@x", "b@x", "c@x"};
  hooks_.FilterRecipients(user_, recipients);
  EXPECT_THAT(recipients, ElementsAre("b@x"));
}

TEST_F(FeatureHooksTest, ARefusalSaysWhyBesideTheCondition) {
  const xmpp::Stanza error =
      MakeRefusal(Message(), {xmpp::ErrorCondition::kNotAcceptable, xmpp::Element("why", "urn:example")});
  EXPECT_EQ(error.type(), "error");
  EXPECT_EQ(error.to(), "a@x/1");
  EXPECT_THAT(error.payload(), HasSubstr("not-acceptable"));
  EXPECT_THAT(error.payload(), HasSubstr("<why xmlns=\"urn:example\"/></error>"));
}

TEST_F(FeatureHooksTest, EveryStepOfALifeIsToldInOrder) {
  struct Feature final : LifeHook {
    Feature(std::string n, std::vector<std::string>& t) : name(std::move(n)), told(t) {}
    void OnSessionBegun(Session&) override { told.push_back(name + " begun"); }
    void OnSessionEnded(Session&) override { told.push_back(name + " ended"); }
    std::string name;
    std::vector<std::string>& told;
  };
  Feature one("one", asked_), two("two", asked_);
  hooks_.OnLife(one);
  hooks_.OnLife(two);
  Session session;
  hooks_.Tell(&LifeHook::OnSessionBegun, session);
  hooks_.Tell(&LifeHook::OnSessionEnded, session);
  EXPECT_THAT(asked_, ElementsAre("one begun", "two begun", "one ended", "two ended"));
}

TEST_F(FeatureHooksTest, AShardIsSettledWhenItIsForAll) {
  struct Feature final : LifeHook {
    bool IsSettled(const Shard&) const override { return is_settled; }
    bool is_settled = true;
  };
  Feature one, two;
  hooks_.OnLife(one);
  hooks_.OnLife(two);
  const Shard shard(0, std::chrono::seconds(1));
  EXPECT_TRUE(hooks_.AreSettled(shard));
  two.is_settled = false;
  EXPECT_FALSE(hooks_.AreSettled(shard));
}

TEST(FeatureState, EachTypeIsMadeOnce_WhenItIsAskedFor_AndGoesWithItsOwner) {
  struct Count {
    int value = 0;
  };
  struct Kept {
    std::shared_ptr<int> something;
  };
  const auto something = std::make_shared<int>(1);
  {
    FeatureState features;
    EXPECT_EQ(features.Find<Count>(), nullptr);
    features.Of<Count>().value = 7;
    features.Of<Kept>().something = something;
    EXPECT_EQ(features.Of<Count>().value, 7);
    EXPECT_EQ(features.Find<Kept>()->something, something);
    EXPECT_EQ(something.use_count(), 2);
  }
  EXPECT_EQ(something.use_count(), 1);
}

}  // namespace
}  // namespace rookery::session_manager
