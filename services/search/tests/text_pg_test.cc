// What is written for PostgreSQL, on a real one: it takes all of it, and finds what is to be found.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "domain/text/text_search.h"
#include "domain/text/tsquery.h"
#include "domain/text/tsvector.h"
#include "rookery/pg/pool.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::search {
namespace {

using pg::Param;

/// One server for all tests.
testing::PostgresServer& Server() {
  static testing::PostgresServer server;
  return server;
}

std::string Repeat(std::string_view part, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += part;
  return text;
}

class TextOnPostgres : public ::testing::Test {
 protected:
  TextOnPostgres() {
    pg::Options options;
    options.connection = Server().connection();
    options.connections = 1;
    pool_ = pg::Pool::Create(io_, options, metrics_);
    EXPECT_TRUE(testing::RunUntil(io_, [&] { return pool_->is_connected(); }));
  }

  pg::ResultOr Run(const char* sql, std::vector<Param> params) {
    return testing::RunTask(io_, pool_->Execute(0, sql, std::move(params)));
  }
  /// False where there is nothing to look for.
  bool Finds(std::string_view typed, std::string_view text) {
    const std::optional<TextSearch> search = ReadTextSearch(typed);
    if (!search) return false;
    const pg::ResultOr result = Run("SELECT $1::tsvector @@ $2::tsquery",
                                    {Param::Text(TsvectorOf(text)), Param::Text(TsqueryOf(*search))});
    EXPECT_TRUE(result.ok()) << result.status() << " " << typed;
    return result.ok() && (*result)->Bool(0, 0);
  }
  void ExpectFound(std::string_view text, std::initializer_list<std::string_view> searches) {
    for (const std::string_view typed : searches) EXPECT_TRUE(Finds(typed, text)) << typed << " in " << text;
  }
  void ExpectNotFound(std::string_view text, std::initializer_list<std::string_view> searches) {
    for (const std::string_view typed : searches) EXPECT_FALSE(Finds(typed, text)) << typed << " in " << text;
  }
  /// It takes the text and the search, and changes nothing of the text.
  void ExpectTaken(std::string_view text) {
    const std::string vector = TsvectorOf(text);
    const pg::ResultOr kept = Run("SELECT $1::tsvector::text", {Param::Text(vector)});
    ASSERT_TRUE(kept.ok()) << kept.status() << " " << text.substr(0, 100);
    EXPECT_EQ((*kept)->Text(0, 0), vector) << text.substr(0, 100);
    const std::optional<TextSearch> search = ReadTextSearch(text);
    if (!search) return;
    const pg::ResultOr nodes = Run("SELECT numnode($1::tsquery)", {Param::Text(TsqueryOf(*search))});
    ASSERT_TRUE(nodes.ok()) << nodes.status() << " " << text.substr(0, 100);
    EXPECT_GT((*nodes)->Int(0, 0), 0) << text.substr(0, 100);
  }

  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  std::unique_ptr<pg::Pool> pool_;
};

TEST_F(TextOnPostgres, WordsPhrasesAndOperators) {
  constexpr std::string_view kText = "To be, or not to be: that is the question. It's Ann's e-mail.";
  ExpectFound(kText,
              {"question", "QUESTION be", "\"to be\"", "\"not to be that\"", "“to be or not”", "quest*",
               "\"the quest*\"", "x OR be", "be -hamlet", "be NOT \"be to\"", "(x OR be) (y OR that)", "it's",
               "Ann’s", "e-mail", "\"e mail\"", "be (x OR -y)", "-(-be)", "be -(x y)"});
  ExpectNotFound(kText,
                 {"hamlet", "be hamlet", "\"be to\"", "\"question the\"", "quest", "\"quest* the\"", "x OR y",
                  "be -that", "be -quest*", "-hamlet", "be OR -x", "mail-e", "", "\"to be\" -\"or not\""});
}

TEST_F(TextOnPostgres, Languages) {
  ExpectFound("我喜欢北京大学，今天天气很好。",
              {"北京", "北京大学", "今天天气", "「天气很好」", "喜欢 今天", "北*"});
  ExpectNotFound("我喜欢北京大学，今天天气很好。", {"上海", "大学北京", "天气今天"});
  ExpectFound("東京都に住んでいます。コーヒーを飲む", {"東京", "住んで", "ｺｰﾋｰ", "コー*"});
  ExpectNotFound("かき", {"がき"});
  ExpectFound("서울에서 만나요", {"서울에서", "서울*", "\"서울에서 만나요\""});
  ExpectNotFound("서울에서 만나요", {"부산*"});
  ExpectFound("ภาษาไทยเขียนติดกัน กินน้ำเย็น", {"ไทย", "ภาษาไทย", "น้ำ", "น้ำเย็น"});
  ExpectNotFound("ภาษาไทยเขียนติดกัน", {"ไทยภาษา"});
  ExpectFound("كِتَابٌ جديد إلى أحمد", {"كتاب", "كتـاب", "\"كتاب جديد\"", "احمد", "كت*"});
  ExpectFound("צה״ל שָׁלוֹם", {"צה\"ל", "שלום"});
  ExpectFound("Die Donaudampfschifffahrtsgesellschaft in der Hauptstraße",
              {"donau*", "Donaudampf*", "HAUPTSTRASSE", "hauptstrass*"});
  ExpectNotFound("Die Donaudampfschifffahrtsgesellschaft", {"Donau", "gesellschaft", "schiff*"});
  ExpectFound("Ёжик в тумане", {"ежик", "ЁЖИК", "\"в тумане\"", "туман*"});
  ExpectFound("Ο Οδυσσεύς", {"ΟΔΥΣΣΕΥΣ", "οδυσσευς", "Οδυσσ*"});
  ExpectFound("Kadıköy'de", {"KADIKÖY", "kadiköy", "kadikoy"});
  ExpectFound("gut 👍🏽 👨\u200d👩\u200d👧 ❤\ufe0f", {"👍", "👍🏿", "👨\u200d👩\u200d👧", "❤", "\"gut 👍\""});
  ExpectNotFound("gut 👍🏽 👨\u200d👩\u200d👧", {"👎", "👩"});
  ExpectFound("Привет from 東京 to café", {"привет tokyo OR 東京", "\"from 東京 to cafe\""});
}

TEST_F(TextOnPostgres, LimitsOfATextAreThoseOfPostgres) {
  // The last place that there is, and places side by side just in front of it.
  std::string text = Repeat("a ", 2 * (kMaxTextWords - 2)) + "x y z";
  ExpectTaken(text);
  ExpectFound(text, {"\"x y\"", "a", "\"a a\""});
  ExpectNotFound(text, {"z", "\"a x\""});
  // Different words, each of them long: as many bytes as fit in.
  text.clear();
  for (int i = 0; text.size() < kMaxTextBytes; ++i) absl::StrAppend(&text, Repeat("ж", 500), i, " ");
  ExpectTaken(text);
  text.clear();
  for (int i = 0; text.size() < kMaxTextBytes; ++i) absl::StrAppend(&text, i, " ");
  ExpectTaken(text);
  // What is cut is found by itself and by its beginning.
  text = Repeat("ж", 10'000);
  ExpectTaken(text);
  ExpectFound(text, {text, "жжж*", text.substr(0, 500) + "*"});
}

TEST_F(TextOnPostgres, HostileInputIsNeverRefused) {
  const std::string texts[] = {"'",
                               "''",
                               "\\",
                               "\\'",
                               "' | '",
                               "':*",
                               "'a':1",
                               "a:1A,2B",
                               "a'b\\c",
                               "!",
                               "!!a",
                               "& a",
                               "a & ",
                               "a <-> b",
                               "<2>",
                               "((((",
                               "))))",
                               "-(-(-(a)))",
                               "a OR -(b (c OR -d))",
                               "NOT NOT NOT a",
                               "\"",
                               "\"\"\"",
                               "\"a'b\" \"\\",
                               ":* a:*",
                               "a*:*",
                               "$1",
                               "%s",
                               "x'); DROP TABLE y; --",
                               "\xff\xfe",
                               "a\xc3",
                               "\xed\xa0\x80 a",
                               "\xf4\x90\x80\x80 a",
                               "\u0301",
                               "a\u0301\u0323",
                               "\u202e abc",
                               "\ufeff",
                               "\uffff a",
                               "a\u200db",
                               "\u0345",
                               "\u037a",
                               "\u115f",
                               "🏽",
                               "🇩",
                               "#\ufe0f\u20e3",
                               "\u0600\u0661",
                               "\ufdfa"};
  for (const std::string& text : texts) {
    ExpectTaken(text);
    ExpectTaken(Repeat(text, 100'000));
    ExpectTaken(Repeat(absl::StrCat(text, " "), 100'000));
    ExpectTaken(Repeat(absl::StrCat("x ", text, "("), 1'000));
    ExpectTaken(absl::StrCat("\"", text, "\"* -\"", text, "\" a"));
  }
  for (int c = 0; c < 256; ++c) {
    const std::string one(1, static_cast<char>(c));
    ExpectTaken(absl::StrCat("a", one, "b ", one, " ", one, one, "c", one));
  }
}

TEST_F(TextOnPostgres, AnIndexFindsTheSame) {
  ASSERT_TRUE(Run("CREATE TABLE said (id bigint, words tsvector)", {}).ok());
  ASSERT_TRUE(Run("CREATE INDEX ON said USING gin (words)", {}).ok());
  ASSERT_TRUE(Run("SET enable_seqscan = off", {}).ok());
  const std::string_view texts[] = {"Donaudampfschiff 👍", "das Schiff auf der Donau", "auf dem Schiff das",
                                    "今天天气很好"};
  for (std::int64_t i = 0; i < 4; ++i)
    ASSERT_TRUE(Run("INSERT INTO said VALUES ($1::bigint, $2::tsvector)",
                    {Param::Int(i), Param::Text(TsvectorOf(texts[i]))})
                    .ok());
  const auto found = [&](std::string_view typed) {
    const pg::ResultOr ids =
        Run("SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM said "
            "WHERE words @@ $1::tsquery",
            {Param::Text(TsqueryOf(*ReadTextSearch(typed)))});
    return ids.ok() ? std::string((*ids)->Text(0, 0)) : ids.status().ToString();
  };
  EXPECT_EQ(found("donau*"), "0 1");
  EXPECT_EQ(found("\"das schiff\""), "1");
  EXPECT_EQ(found("schiff -donau"), "2");
  EXPECT_EQ(found("👍 OR 天气"), "0 3");
  EXPECT_EQ(found("schiff (donau OR -dem)"), "1");
  EXPECT_EQ(found("boot"), "");
}

/// Ends the server after the last test.
class StopServer : public ::testing::Environment {
 public:
  void TearDown() override { Server().Kill(); }
};
const auto* const stop_server = ::testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace
}  // namespace rookery::search
