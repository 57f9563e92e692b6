#include "rookery/xmpp/rsm.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rookery::xmpp {
namespace {

absl::StatusOr<std::optional<PageRequest>> Read(const std::string& set) {
  return ReadPageRequest(ParsePayload("<query xmlns='q'>" + set + "</query>")->front());
}
absl::StatusOr<std::optional<PageRequest>> ReadSet(const std::string& children) {
  return Read("<set xmlns='http://jabber.org/protocol/rsm'>" + children + "</set>");
}

// XEP-0059 sections 2.1 to 2.7.
TEST(Rsm, AsksForAPage) {
  EXPECT_EQ(Read("")->has_value(), false);
  EXPECT_EQ(Read("<set xmlns='other'><max>1</max></set>")->has_value(), false);
  const PageRequest forwards = **ReadSet("<max>10</max><after>a@b</after>");
  EXPECT_EQ(forwards.max, 10);
  EXPECT_EQ(forwards.after, "a@b");
  EXPECT_EQ(forwards.before, std::nullopt);
  EXPECT_EQ((**ReadSet("<before/>")).before, "");
  EXPECT_EQ((**ReadSet("<index>371</index>")).index, 371);
  EXPECT_EQ((**ReadSet("<after/>")).after, std::nullopt);
}

TEST(Rsm, RefusesWhatIsNoPage) {
  for (const char* wrong :
       {"<max>-1</max>", "<max>ten</max>", "<max/>", "<index>1.5</index>", "<max>99999999999999999999</max>",
        "<after>a</after><before>b</before>", "<after>a</after><index>1</index>"})
    EXPECT_FALSE(ReadSet(wrong).ok()) << wrong;
  EXPECT_TRUE(ReadSet("<after>" + std::string(kMaxPageUidBytes, 'a') + "</after>").ok());
  EXPECT_FALSE(ReadSet("<after>" + std::string(kMaxPageUidBytes + 1, 'a') + "</after>").ok());
}

TEST(Rsm, TellsWhereAPageIs) {
  EXPECT_EQ(MakePageInfo({.first = "a", .last = "c", .first_index = 3, .count = 9}).ToXml(),
            "<set xmlns=\"http://jabber.org/protocol/rsm\"><first index=\"3\">a</first><last>c</last>"
            "<count>9</count></set>");
  EXPECT_EQ(
      MakePageInfo({.first = "a", .last = "a", .count = 9}).ToXml(),
      "<set xmlns=\"http://jabber.org/protocol/rsm\"><first>a</first><last>a</last><count>9</count></set>");
  EXPECT_EQ(MakePageInfo({.count = 800}).ToXml(),
            "<set xmlns=\"http://jabber.org/protocol/rsm\"><count>800</count></set>");
}

TEST(Rsm, APageIsAPartOfTheList) {
  const std::vector<std::string> list{"a", "b", "c", "d", "e"};
  const auto find = [&](std::string_view uid) -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < list.size(); ++i)
      if (list[i] == uid) return i;
    return std::nullopt;
  };
  const auto range = [&](const PageRequest& request) {
    const auto found = RangeOf(request, list.size(), 3, find);
    if (!found.ok()) return std::string(found.status().message());
    std::string page;
    for (std::size_t i = found->begin; i < found->end; ++i) page += list[i];
    return page;
  };
  EXPECT_EQ(range({}), "abc");
  EXPECT_EQ(range({.max = 2}), "ab");
  EXPECT_EQ(range({.max = 100}), "abc");
  EXPECT_EQ(range({.max = 0}), "");
  EXPECT_EQ(range({.after = "c"}), "de");
  EXPECT_EQ(range({.after = "e"}), "");
  EXPECT_EQ(range({.max = 2, .before = "d"}), "bc");
  EXPECT_EQ(range({.before = "b"}), "a");
  EXPECT_EQ(range({.max = 2, .before = ""}), "de");
  EXPECT_EQ(range({.index = 3}), "de");
  EXPECT_EQ(range({.index = INT64_MAX}), "");
  EXPECT_EQ(range({.after = "x"}), "no such item");
  EXPECT_EQ(range({.before = "x"}), "no such item");
}

}  // namespace
}  // namespace rookery::xmpp
