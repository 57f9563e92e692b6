#include <gtest/gtest.h>

#include "adapters/pg_roster_store.h"
#include "keeper_scenarios.h"
#include "migrations.h"
#include "rookery/testing/postgres_server.h"

namespace rookery::roster {
namespace {

class PgFixture : public ::testing::Test {
 protected:
  PgFixture() {
    pg::Options options;
    options.connection = server_.connection();
    EXPECT_TRUE(testing::RunTask(io_, pg::Migrate(io_, options, "roster", Migrations())).ok());
    pool_ = pg::Pool::Create(io_, options, metrics_);
    EXPECT_TRUE(testing::RunUntil(io_, [this] { return pool_->is_connected(); }));
    store_ = std::make_unique<PgRosterStore>(*pool_, std::chrono::seconds(600));
  }
  asio::io_context& io() { return io_; }
  RosterStore& store() { return *store_; }

  testing::PostgresServer server_;
  asio::io_context io_;
  telemetry::Metrics metrics_{"test"};
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<PgRosterStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, KeeperScenarios, PgFixture);

class PgStore : public PgFixture {
 protected:
  std::int64_t DatabaseTime() { return testing::RunTask(io_, store_->Read("u@x", "", ""))->read_at_ms; }
  /// As who has read just now.
  Change NewChange() {
    Change change;
    change.read_at_ms = DatabaseTime();
    return change;
  }
};

TEST_F(PgStore, CompareAndSet) {
  const auto apply = [this](Change change) {
    return testing::RunTask(io_, store_->Apply("u@x", std::move(change)));
  };
  Change change = NewChange();
  change.kind = Change::Kind::kSave;
  change.contact.jid = "a@b";
  change.contact.listed = true;
  change.is_visible = true;
  change.added.items = 1;
  ASSERT_TRUE(apply(change).ok());
  // Somebody else's insert of the same, and a change on top of what is no longer there.
  EXPECT_TRUE(absl::IsAborted(apply(change).status()));
  change.contact.revision = 5;
  change.request_id = "lost";
  EXPECT_TRUE(absl::IsAborted(apply(change).status()));
  change.kind = Change::Kind::kRemove;
  EXPECT_TRUE(absl::IsAborted(apply(change).status()));
  change.kind = Change::Kind::kSave;
  const auto before = testing::RunTask(io_, store_->Load("u@x"));
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(before->contacts.size(), 1u);
  change.contact.revision = before->contacts[0].revision;
  change.contact.name = "n";
  change.added.items = 0;
  change.request_id = "1";
  change.response = "answer";
  const auto version = apply(change);
  ASSERT_TRUE(version.ok()) << version.status();
  // The lost races left everything alone: version, totals, answers.
  EXPECT_EQ(*version, before->version + 1);
  const auto read = [this](std::string id) { return testing::RunTask(io_, store_->Read("u@x", "a@b", id)); };
  EXPECT_EQ(read("lost")->totals.items, 1);
  EXPECT_FALSE(read("lost")->answer);
  ASSERT_TRUE(read("1")->answer);
  EXPECT_EQ(read("1")->answer->response, "answer");
  EXPECT_EQ(read("1")->answer->version, *version);
  // The same request once more, on top of the change or without one: it has been answered.
  ++change.contact.revision;
  EXPECT_TRUE(absl::IsAborted(apply(change).status()));
  change.kind = Change::Kind::kNone;
  EXPECT_TRUE(absl::IsAborted(apply(change).status()));
  const Removal removal{change.read_at_ms, "1", ""};
  EXPECT_TRUE(absl::IsAborted(testing::RunTask(io_, store_->RemoveAll("u@x", removal))));
  EXPECT_EQ(read("2")->contact->revision, change.contact.revision);
  // Nobody else's roster was touched.
  EXPECT_TRUE(testing::RunTask(io_, store_->Load("v@x"))->contacts.empty());
}

TEST_F(PgStore, TheLastAnswersStay) {
  Change change = NewChange();
  change.request_id = "0";
  ASSERT_TRUE(testing::RunTask(io_, store_->Apply("v@x", change)).ok());
  for (int i = 0; i < 515; ++i) {
    change.request_id = std::to_string(i);
    ASSERT_TRUE(testing::RunTask(io_, store_->Apply("u@x", change)).ok());
  }
  const auto is_kept = [this](std::string owner, std::string id) {
    return testing::RunTask(io_, store_->Read(owner, "", id))->answer.has_value();
  };
  EXPECT_FALSE(is_kept("u@x", "0"));
  EXPECT_FALSE(is_kept("u@x", "2"));
  EXPECT_TRUE(is_kept("u@x", "3"));
  EXPECT_TRUE(is_kept("u@x", "514"));
  EXPECT_TRUE(is_kept("v@x", "0"));
}

TEST_F(PgStore, OldAnswersAreForgotten) {
  Change change = NewChange();
  for (const char* id : {"old", "new"}) {
    change.request_id = id;
    ASSERT_TRUE(testing::RunTask(io_, store_->Apply("u@x", change)).ok());
    ASSERT_TRUE(testing::RunTask(io_, store_->Apply("v@x", change)).ok());
  }
  ASSERT_TRUE(testing::RunTask(io_, pool_->Execute(0,
                                                   "UPDATE roster_answers SET made_at = made_at - interval "
                                                   "'601 seconds' WHERE request_id = 'old'",
                                                   {}))
                  .ok());
  ASSERT_TRUE(testing::RunTask(io_, store_->ForgetOldAnswers()).ok());
  for (const char* owner : {"u@x", "v@x"}) {
    EXPECT_FALSE(testing::RunTask(io_, store_->Read(owner, "", "old"))->answer);
    EXPECT_TRUE(testing::RunTask(io_, store_->Read(owner, "", "new"))->answer);
  }
}

TEST_F(PgStore, OldAnswersAreForgottenHoweverManyThereAre) {
  const auto run = [this](const char* sql) {
    pg::ResultOr result = testing::RunTask(io_, pool_->Execute(0, sql, {}));
    EXPECT_TRUE(result.ok()) << result.status();
    return *std::move(result);
  };
  run("INSERT INTO roster_answers (owner, request_id, response, version, made_at) "
      "SELECT 'u' || n % 2500, n, '', 0, now() - interval '601 seconds' FROM generate_series(1, 5000) AS n");
  run("INSERT INTO roster_answers (owner, request_id, response, version) "
      "SELECT 'v' || n, 1, '', 0 FROM generate_series(1, 20000) AS n");
  run("ANALYZE roster_answers");
  ASSERT_TRUE(testing::RunTask(io_, store_->ForgetOldAnswers()).ok());
  EXPECT_EQ(run("SELECT count(*) FROM roster_answers WHERE owner LIKE 'u%'")->Int(0, 0), 0);
  EXPECT_EQ(run("SELECT count(*) FROM roster_answers")->Int(0, 0), 20'000);
  // They were found by their age: every page but the last was full.
  run("SELECT pg_stat_force_next_flush()");
  EXPECT_TRUE(testing::RunUntil(io_, [&] {
    return run("SELECT coalesce(max(idx_scan), 0) FROM pg_stat_user_indexes "
               "WHERE indexrelname = 'roster_answers_made_at'")
               ->Int(0, 0) >= 3;
  }));
}

// Whoever was quicker may have been answered, and that forgotten.
TEST_F(PgStore, WhatWasDecidedTooLongAgoIsNotMade) {
  const std::int64_t now = DatabaseTime();
  EXPECT_GT(now, 1'700'000'000'000);
  EXPECT_EQ(testing::RunTask(io_, store_->ReadSettings("u@x", ""))->read_at_ms / 600'000, now / 600'000);
  const auto is_refused = [](const absl::Status& status) { return absl::IsFailedPrecondition(status); };
  const auto apply = [this](const Change& change) {
    return testing::RunTask(io_, store_->Apply("u@x", change)).status();
  };
  Change change = NewChange();
  change.kind = Change::Kind::kSave;
  change.contact.jid = "a@b";
  change.contact.listed = change.is_visible = true;
  change.added.items = 1;
  change.request_id = "1";
  BlockChange block{now, {{"c@d"}, 0}, "2", ""};
  VcardChange vcard{now, "v", "abc", 0, "4", ""};
  // The answers are kept for 600 s; half of it is for the statement.
  for (const bool is_old : {true, false}) {
    const std::int64_t read_at = is_old ? now - 601'000 : now;
    change.read_at_ms = block.read_at_ms = vcard.read_at_ms = read_at;
    EXPECT_EQ(is_refused(apply(change)), is_old);
    EXPECT_EQ(is_refused(testing::RunTask(io_, store_->SaveBlockList("u@x", block))), is_old);
    EXPECT_EQ(is_refused(testing::RunTask(io_, store_->SaveVcard("u@x", vcard))), is_old);
    EXPECT_EQ(*testing::RunTask(io_, store_->LoadVcard("u@x")), is_old ? "" : "v");
    const auto found = testing::RunTask(io_, store_->Load("u@x"));
    EXPECT_EQ(found->contacts.empty(), is_old);
    EXPECT_EQ(found->has_blocked, !is_old);
    EXPECT_EQ(found->avatar_hash, is_old ? std::nullopt : std::optional<std::string>("abc"));
  }
  const auto before = testing::RunTask(io_, store_->Read("u@x", "a@b", "1"));
  ASSERT_TRUE(before->contact);
  EXPECT_TRUE(before->answer);
  change.contact = *before->contact;
  change.read_at_ms = now - 601'000;
  change.request_id = "3";
  for (const auto kind : {Change::Kind::kSave, Change::Kind::kRemove, Change::Kind::kNone}) {
    change.kind = kind;
    EXPECT_TRUE(is_refused(apply(change)));
  }
  const Removal removal{now - 601'000, "3", ""};
  EXPECT_TRUE(is_refused(testing::RunTask(io_, store_->RemoveAll("u@x", removal))));
  const auto after = testing::RunTask(io_, store_->Read("u@x", "a@b", "3"));
  ASSERT_TRUE(after->contact);
  EXPECT_EQ(after->contact->revision, before->contact->revision);
  EXPECT_EQ(after->totals, before->totals);
  EXPECT_FALSE(after->answer);
  EXPECT_TRUE(testing::RunTask(io_, store_->Load("u@x"))->has_blocked);
  EXPECT_EQ(testing::RunTask(io_, store_->LoadPending("u@x"))->avatar_hash, "abc");
  EXPECT_EQ(*testing::RunTask(io_, store_->LoadVcard("u@x")), "v");
}

TEST_F(PgStore, VcardsAreComparedAndSet) {
  const auto save = [this](std::string vcard, std::int64_t revision, std::string id) {
    return testing::RunTask(
        io_, store_->SaveVcard("u@x", {DatabaseTime(), vcard, "of " + vcard, revision, id, "answer"}));
  };
  const auto read = [this](std::string id) { return testing::RunTask(io_, store_->ReadSettings("u@x", id)); };
  EXPECT_EQ(read("")->vcard.avatar_hash, std::nullopt);
  EXPECT_TRUE(absl::IsAborted(save("too early", 3, "0")));
  ASSERT_TRUE(save("one", 0, "1").ok());
  EXPECT_EQ(read("")->vcard.revision, 1);
  // Somebody else's first one, and one on top of what is no longer there.
  EXPECT_TRUE(absl::IsAborted(save("lost", 0, "2")));
  EXPECT_TRUE(absl::IsAborted(save("lost", 2, "2")));
  EXPECT_FALSE(read("2")->answer);
  ASSERT_TRUE(save("two", 1, "2").ok());
  EXPECT_EQ(read("2")->answer->response, "answer");
  EXPECT_EQ(read("2")->vcard.avatar_hash, "of two");
  EXPECT_EQ(read("2")->vcard.revision, 2);
  // The same request once more.
  EXPECT_TRUE(absl::IsAborted(save("three", 2, "2")));
  EXPECT_EQ(*testing::RunTask(io_, store_->LoadVcard("u@x")), "two");
}

// However long its answers are kept.
TEST_F(PgStore, WhatWasDecidedMinutesAgoIsNotMade) {
  PgRosterStore store(*pool_, std::chrono::hours(24));
  for (const bool is_old : {true, false}) {
    const BlockChange block{DatabaseTime() - (is_old ? 301'000 : 240'000), {{"c@d"}, 0}, "1", ""};
    const absl::Status saved = testing::RunTask(io_, store.SaveBlockList("u@x", block));
    EXPECT_EQ(absl::IsFailedPrecondition(saved), is_old) << saved;
  }
}

TEST_F(PgStore, TheServerAway) {
  server_.Stop();
  ASSERT_TRUE(testing::RunUntil(io_, [this] { return !pool_->is_connected(); }));
  EXPECT_EQ(testing::RunTask(io_, store_->Load("u@x")).status().code(), absl::StatusCode::kUnavailable);
  server_.Start();
  ASSERT_TRUE(testing::RunUntil(io_, [this] { return pool_->is_connected(); }));
  EXPECT_TRUE(testing::RunTask(io_, store_->Load("u@x")).ok());
}

// A database of before the totals were kept.
TEST(PgMigration, TotalsOfWhatIsThere) {
  testing::PostgresServer server;
  asio::io_context io;
  telemetry::Metrics metrics{"test"};
  pg::Options options;
  options.connection = server.connection();
  auto first = Migrations();
  first.resize(1);
  ASSERT_TRUE(testing::RunTask(io, pg::Migrate(io, options, "roster", first)).ok());
  auto pool = pg::Pool::Create(io, options, metrics);
  ASSERT_TRUE(testing::RunUntil(io, [&] { return pool->is_connected(); }));
  for (const char* sql : {"INSERT INTO roster_versions VALUES ('u@x', 7), ('w@x', 3)",
                          "INSERT INTO roster_items VALUES "
                          "('u@x', 'a@b', 'Ä', '{G,Hi}', 3, false, false, false, true, NULL), "
                          "('u@x', 'c@d', '', '{}', 0, false, true, false, false, 'request')"})
    ASSERT_TRUE(testing::RunTask(io, pool->Execute(0, sql, {})).ok());
  ASSERT_TRUE(testing::RunTask(io, pg::Migrate(io, options, "roster", Migrations())).ok());
  PgRosterStore store(*pool, std::chrono::seconds(600));
  auto snapshot = testing::RunTask(io, store.Read("u@x", "a@b", ""));
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->totals, (Totals{1, 8, 1, 7}));
  EXPECT_EQ(snapshot->contact->groups, (std::vector<std::string>{"G", "Hi"}));
  EXPECT_EQ(testing::RunTask(io, store.Read("w@x", "", ""))->totals, Totals());
  EXPECT_EQ(testing::RunTask(io, store.Load("w@x"))->version, 3u);
}

}  // namespace
}  // namespace rookery::roster
