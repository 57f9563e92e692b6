#include "rookery/xmpp/archive_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace rookery::xmpp {
namespace {

using ::testing::ElementsAre;
using Code = absl::StatusCode;

constexpr ArchiveFields kAll{.groupchat = true, .full_text = true};

absl::StatusOr<ArchiveQuery> Read(const std::string& xml, const ArchiveFields& fields = kAll) {
  return ReadArchiveQuery(ParsePayload(xml)->front(), fields);
}
std::string Field(std::string_view name, const std::vector<std::string>& values) {
  std::string field = "<field var='" + std::string(name) + "'>";
  for (const std::string& value : values) field += "<value>" + value + "</value>";
  return field + "</field>";
}
absl::StatusOr<ArchiveQuery> ReadFields(const std::string& form, const ArchiveFields& fields = kAll,
                                        std::string_view form_type = "urn:xmpp:mam:2") {
  return Read("<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>" +
                  Field("FORM_TYPE", {std::string(form_type)}) + form + "</x></query>",
              fields);
}
Code CodeOf(const absl::StatusOr<ArchiveQuery>& query) { return query.status().code(); }

// XEP-0313 section 4.
TEST(ArchiveQuery, WithoutFiltersAsksForEverything) {
  const auto query = Read("<query xmlns='urn:xmpp:mam:2'/>");
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->query_id, "");
  EXPECT_FALSE(query->with || query->start_ms || query->end_ms || query->before_id || query->after_id ||
               query->include_groupchat || query->page.max || query->is_flipped);
  EXPECT_TRUE(query->ids.empty() && query->words.empty());
}

TEST(ArchiveQuery, HasItsFiltersAndItsPage) {
  const auto query = Read(
      "<query xmlns='urn:xmpp:mam:2' queryid='f27'><x xmlns='jabber:x:data' type='submit'>" +
      Field("FORM_TYPE", {"urn:xmpp:mam:2"}) + Field("with", {"Juliet@Capulet.lit/Balcony"}) +
      Field("start", {"2010-06-07T00:00:00Z"}) + Field("end", {"2010-06-07T01:00:00.250+01:00"}) +
      Field("before-id", {"9"}) + Field("after-id", {"3"}) + Field("ids", {"5", "4", "5"}) +
      Field("include-groupchat", {"false"}) + Field("{urn:xmpp:fulltext:0}fulltext", {"to be"}) +
      "</x><set xmlns='http://jabber.org/protocol/rsm'><max>10</max><before/></set><flip-page/></query>");
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->query_id, "f27");
  EXPECT_EQ(query->with, "juliet@capulet.lit/Balcony");
  EXPECT_EQ(query->start_ms, 1'275'868'800'000);
  EXPECT_EQ(query->end_ms, 1'275'868'800'250);
  EXPECT_EQ(query->before_id, "9");
  EXPECT_EQ(query->after_id, "3");
  EXPECT_THAT(query->ids, ElementsAre("5", "4"));
  EXPECT_EQ(query->include_groupchat, false);
  EXPECT_EQ(query->words, "to be");
  EXPECT_EQ(query->page.max, 10);
  EXPECT_EQ(query->page.before, "");
  EXPECT_TRUE(query->is_flipped);
}

TEST(ArchiveQuery, AFieldWithoutAValueAsksForNothing) {
  for (const std::vector<std::string>& none : {std::vector<std::string>(), std::vector<std::string>{""}}) {
    const auto query = ReadFields(Field("with", none) + Field("start", none) + Field("end", none) +
                                  Field("before-id", none) + Field("after-id", none) +
                                  Field("include-groupchat", none) + Field("search", none));
    ASSERT_TRUE(query.ok()) << query.status();
    EXPECT_FALSE(query->with || query->start_ms || query->end_ms || query->before_id || query->after_id ||
                 query->include_groupchat);
  }
}

// Section 4.1.2: no result is earlier than `start`.
TEST(ArchiveQuery, StartIsRoundedUp_EndDown) {
  const auto times = [](const std::string& text) {
    const auto query = ReadFields(Field("start", {text}) + Field("end", {text}));
    return std::pair(query->start_ms.value() % 1'000, query->end_ms.value() % 1'000);
  };
  EXPECT_EQ(times("2010-06-07T00:00:00.123Z"), std::pair(123L, 123L));
  EXPECT_EQ(times("2010-06-07T00:00:00.1230000Z"), std::pair(123L, 123L));
  EXPECT_EQ(times("2010-06-07T00:00:00.123001+00:00"), std::pair(124L, 123L));
  EXPECT_EQ(times("2010-06-07T00:00:00.1Z"), std::pair(100L, 100L));
}

TEST(ArchiveQuery, OlderNamesOfTheWords) {
  for (const char* name : {"withtext", "full-text-search", "search"})
    EXPECT_EQ(ReadFields(Field(name, {"be"}))->words, "be") << name;
  EXPECT_EQ(CodeOf(ReadFields(Field("withtext", {"be"}) + Field("search", {"be"}))), Code::kInvalidArgument);
}

// Section 4.1.6.
TEST(ArchiveQuery, AFieldThatTheArchiveLacksIsNotImplemented) {
  EXPECT_EQ(CodeOf(ReadFields(Field("{http://example.com/}mood", {"lonely"}))), Code::kUnimplemented);
  EXPECT_EQ(CodeOf(ReadFields(Field("include-groupchat", {"true"}), {.full_text = true})),
            Code::kUnimplemented);
  for (const char* name : {"{urn:xmpp:fulltext:0}fulltext", "withtext"})
    EXPECT_EQ(CodeOf(ReadFields(Field(name, {"be"}), {.groupchat = true})), Code::kUnimplemented) << name;
  EXPECT_EQ(CodeOf(Read("<query xmlns='urn:xmpp:mam:2' node='fdp/submitted/x'/>")), Code::kUnimplemented);
}

TEST(ArchiveQuery, WhatIsMalformedIsRefused) {
  for (const std::string& form :
       {Field("with", {"@"}), Field("with", {"a@b", "c@d"}), Field("start", {"yesterday"}),
        Field("end", {"2010-13-07T00:00:00Z"}), Field("start", {std::string(65, '1')}),
        Field("include-groupchat", {"perhaps"}), Field("ids", {"1", ""}), Field("after-id", {"1", "2"}),
        Field("after-id", {std::string(kMaxArchiveIdBytes + 1, '1')}),
        Field("ids", {std::string(kMaxArchiveIdBytes + 1, '1')}),
        Field("search", {std::string(kMaxArchiveWordsBytes + 1, 'a')}),
        std::string("<field><value>1</value></field>")})
    EXPECT_EQ(CodeOf(ReadFields(form)), Code::kInvalidArgument) << form.substr(0, 80);
  EXPECT_EQ(CodeOf(ReadFields("", kAll, "urn:xmpp:mam:1")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(ReadFields("", kAll, "")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(Read("<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='result'><field "
                        "var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field></x></query>")),
            Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(Read("<query xmlns='urn:xmpp:mam:1'/>")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(Read("<query xmlns='urn:xmpp:mam:2' queryid='" + std::string(kMaxArchiveIdBytes + 1, 'q') +
                        "'/>")),
            Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(Read("<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
                        "<max>-1</max></set></query>")),
            Code::kInvalidArgument);
}

TEST(ArchiveQuery, IdsAreBounded) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < kMaxArchiveIds; ++i) ids.push_back(std::to_string(i));
  EXPECT_EQ(ReadFields(Field("ids", ids))->ids, ids);
  ids.push_back("0");
  EXPECT_EQ(ReadFields(Field("ids", ids))->ids.size(), kMaxArchiveIds);
  ids.push_back("another");
  EXPECT_EQ(CodeOf(ReadFields(Field("ids", ids))), Code::kInvalidArgument);
}

TEST(ArchiveForm, SaysWhichFieldsThereAre) {
  EXPECT_EQ(MakeArchiveForm({}).ToXml(),
            "<query xmlns=\"urn:xmpp:mam:2\"><x xmlns=\"jabber:x:data\" type=\"form\">"
            "<field var=\"FORM_TYPE\" type=\"hidden\"><value>urn:xmpp:mam:2</value></field>"
            "<field var=\"with\" type=\"jid-single\"/><field var=\"start\" type=\"text-single\"/>"
            "<field var=\"end\" type=\"text-single\"/><field var=\"before-id\" type=\"text-single\"/>"
            "<field var=\"after-id\" type=\"text-single\"/><field var=\"ids\" type=\"list-multi\">"
            "<validate xmlns=\"http://jabber.org/protocol/xdata-validate\" datatype=\"xs:string\"><open/>"
            "</validate></field></x></query>");
  const std::string all = MakeArchiveForm(kAll).ToXml();
  EXPECT_THAT(all, ::testing::HasSubstr("<field var=\"include-groupchat\" type=\"boolean\"/>"));
  EXPECT_THAT(all,
              ::testing::HasSubstr("<field var=\"{urn:xmpp:fulltext:0}fulltext\" type=\"text-single\"/>"));
}

// Section 4.2.
TEST(ArchiveResult, HoldsTheMessageAndWhenItCame) {
  Stanza said = MakeMessage("chat", "romeo@montague.lit/orchard", "juliet@capulet.lit");
  said.set_payload("<body>Call me but love</body>");
  const Stanza result = MakeArchiveResult(
      "juliet@capulet.lit", "f'27", {.id = "28482&", .received_at_ms = 1'278'803'305'000, .stanza = &said});
  EXPECT_EQ(result.from(), "juliet@capulet.lit");
  EXPECT_EQ(result.payload(),
            "<result xmlns=\"urn:xmpp:mam:2\" id=\"28482&amp;\" queryid=\"f&apos;27\">"
            "<forwarded xmlns=\"urn:xmpp:forward:0\">"
            "<delay xmlns=\"urn:xmpp:delay\" stamp=\"2010-07-10T23:08:25.000Z\"/>"
            "<message xmlns=\"jabber:client\" from=\"romeo@montague.lit/orchard\" to=\"juliet@capulet.lit\" "
            "type=\"chat\"><body>Call me but love</body></message></forwarded></result>");
  EXPECT_TRUE(ParsePayload(result.payload()).ok());
}

// Section 3: what was taken away leaves its place.
TEST(ArchiveResult, WithoutTheMessageThatWasTakenAway) {
  const Stanza result = MakeArchiveResult("juliet@capulet.lit", {}, {.id = "1", .received_at_ms = 0});
  EXPECT_EQ(result.payload(),
            "<result xmlns=\"urn:xmpp:mam:2\" id=\"1\"><forwarded xmlns=\"urn:xmpp:forward:0\">"
            "<delay xmlns=\"urn:xmpp:delay\" stamp=\"1970-01-01T00:00:00.000Z\"/></forwarded></result>");
}

TEST(ArchivePageEnd, SaysWhereThePageIsAndWhetherThereIsMore) {
  EXPECT_EQ(MakeArchivePageEnd({.first = "1", .last = "9", .count = 20}).ToXml(),
            "<fin xmlns=\"urn:xmpp:mam:2\"><set xmlns=\"http://jabber.org/protocol/rsm\"><first>1</first>"
            "<last>9</last><count>20</count></set></fin>");
  EXPECT_EQ(MakeArchivePageEnd({.is_complete = true, .is_unstable = true}).ToXml(),
            "<fin xmlns=\"urn:xmpp:mam:2\" complete=\"true\" stable=\"false\">"
            "<set xmlns=\"http://jabber.org/protocol/rsm\"/></fin>");
}

// Section 5.
TEST(ArchiveMetadata, NamesTheOldestAndTheNewest) {
  const ArchiveEnd first{"a", 1'000}, last{"b", 2'500};
  EXPECT_EQ(MakeArchiveMetadata(&first, &last).ToXml(),
            "<metadata xmlns=\"urn:xmpp:mam:2\"><start id=\"a\" timestamp=\"1970-01-01T00:00:01.000Z\"/>"
            "<end id=\"b\" timestamp=\"1970-01-01T00:00:02.500Z\"/></metadata>");
  EXPECT_EQ(MakeArchiveMetadata(nullptr, nullptr).ToXml(), "<metadata xmlns=\"urn:xmpp:mam:2\"/>");
}

}  // namespace
}  // namespace rookery::xmpp
