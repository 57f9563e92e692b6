#pragma once

// The promises of the stores, whatever database is below them. A fixture gives `io()`, `accounts()`,
// `waiting()`, and `other()`, another process's `waiting()`; each scenario has users and shards of its own.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ports/account_store.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"
#include "rookery/testing/run_task.h"

namespace rookery::session_manager {

template <typename Fixture>
class StoreScenarios : public Fixture {
 protected:
  using Stored = WaitingStore::Stored;
  using Writer = WaitingStore::Writer;
  using SessionKey = WaitingStore::SessionKey;
  using PacketWrite = WaitingStore::PacketWrite;

  StoreScenarios() {
    static std::uint32_t shards = 900;
    shard_ = ++shards;
    user_ = "u" + std::to_string(shard_) + "@localhost";
  }
  template <typename T>
  T Run(Task<T> task) {
    return testing::RunTask(this->io(), std::move(task));
  }
  void Account(const std::string& user) {
    ASSERT_TRUE(Run(this->accounts().Create(user, {Keys("k"), 7}, {})).ok());
  }
  void Account() { Account(user_); }
  static AccountStore::Keys Keys(const std::string& stored) {
    AccountStore::Keys keys(2);
    keys[0].set_mechanism("SCRAM-SHA-1");
    keys[0].set_salt(std::string("\0salt\xff", 6));
    keys[0].set_iterations(4'096);
    keys[1].set_mechanism("SCRAM-SHA-256");
    keys[1].set_stored_key(stored);
    return keys;
  }
  static WaitingStore::SharedStanza StanzaOf(std::uint64_t id, std::size_t size = 0) {
    auto stanza = std::make_shared<xmpp::Stanza>(xmpp::MakeMessage("chat", "a@localhost/x", "b@localhost"));
    stanza->set_id(std::to_string(id));
    stanza->set_payload(std::string("<body>nul \0 and \xe2\x82\xac and \\ and '</body>", 42) +
                        std::string(size, 'x'));
    return stanza;
  }
  WaitingStore::OfflineWrite Row(std::uint64_t id, std::optional<std::int64_t> quota = 10,
                                 std::int64_t at = 1'000) {
    return {{user_, id}, at, StanzaOf(id), quota ? std::optional(QuotaOf(*quota)) : std::nullopt};
  }
  /// So many messages of one sender.
  static WaitingStore::Quota QuotaOf(std::int64_t messages) { return {2 * messages, std::int64_t{1} << 30}; }
  WaitingStore::OfflineWrite RowFrom(std::uint64_t id, const std::string& sender, WaitingStore::Quota quota,
                                     std::size_t size = 0) {
    auto stanza = std::make_shared<xmpp::Stanza>(*StanzaOf(id, size));
    stanza->set_from(sender + "/r");
    return {{user_, id}, 1'000, stanza, quota};
  }
  WaitingStore::OfflineWrite RowOf(const std::string& user, std::uint64_t id) {
    return {{user, id}, 1'000, StanzaOf(id), QuotaOf(10)};
  }
  std::vector<Stored> Store(std::vector<WaitingStore::OfflineWrite> rows) {
    auto stored = Run(this->waiting().StoreOffline(rows));
    EXPECT_TRUE(stored.ok()) << stored.status();
    return stored.ok() ? *std::move(stored) : std::vector<Stored>();
  }
  Stored StoreOne(WaitingStore::OfflineWrite row) {
    const std::vector<Stored> stored = Store({std::move(row)});
    EXPECT_EQ(stored.size(), 1u);
    return stored.empty() ? Stored::kQuotaReached : stored.front();
  }
  void Mark(const std::string& user, std::vector<std::uint64_t> ids) {
    std::vector<WaitingStore::RowKey> keys;
    for (const std::uint64_t id : ids) keys.push_back({user, id});
    EXPECT_TRUE(Run(this->waiting().MarkGiven(keys)).ok());
  }
  std::vector<std::uint64_t> Ids(WaitingStore::PageLimit limit = {}, std::uint64_t after = 0) {
    auto rows = Run(this->waiting().LoadOffline(user_, after, limit));
    EXPECT_TRUE(rows.ok()) << rows.status();
    std::vector<std::uint64_t> ids;
    if (rows.ok())
      for (const auto& row : *rows) ids.push_back(row.id);
    return ids;
  }
  SessionKey Key(const std::string& name = {}) { return {user_, (name + id_).substr(0, 16)}; }
  PacketWrite Packet(const SessionKey& session, std::uint64_t seq, std::size_t size = 0) {
    PacketWrite row;
    row.session = session;
    row.packet.seq = seq;
    row.packet.offset = static_cast<std::int64_t>(seq) * 10;
    row.packet.offline_id = seq == 2 ? 77 : 0;
    row.packet.primary = seq % 2 == 1;
    row.packet.to_each = seq % 2 == 0;
    row.packet.reached = seq % 3 == 0;
    if (seq % 2 == 0) row.packet.given_to = std::string(16, '\0') + id_;
    row.packet.received_at_ms = 1'700'000'000'000 + static_cast<std::int64_t>(seq);
    row.packet.stanza = StanzaOf(seq, size);
    return row;
  }
  void StorePackets(Writer writer, const SessionKey& session, std::vector<std::uint64_t> seqs) {
    std::vector<PacketWrite> rows;
    for (const std::uint64_t seq : seqs) rows.push_back(Packet(session, seq));
    ASSERT_EQ(Run(this->waiting().StorePackets(writer, rows)), absl::OkStatus());
  }
  WaitingStore::ParkedSession Parked(const SessionKey& key,
                                     std::chrono::milliseconds left = std::chrono::hours(1)) {
    WaitingStore::ParkedSession parked;
    parked.key = key;
    parked.attach.set_full_jid(key.owner + "/r");
    parked.attach.set_state(std::string("\0\1\2", 3));
    parked.left = left;
    return parked;
  }
  void Park(Writer writer, WaitingStore::ParkedSession session) {
    const std::vector<WaitingStore::ParkedSession> sessions{std::move(session)};
    ASSERT_EQ(Run(this->waiting().Park(writer, sessions)), absl::OkStatus());
  }
  void Remove(Writer writer, const SessionKey& key) {
    const std::vector<SessionKey> keys{key};
    ASSERT_EQ(Run(this->waiting().RemoveSessions(writer, keys)), absl::OkStatus());
  }
  void Unpark(Writer writer, const SessionKey& key) {
    const std::vector<SessionKey> keys{key};
    ASSERT_EQ(Run(this->waiting().Unpark(writer, keys)), absl::OkStatus());
  }
  void RemovePackets(Writer writer, const SessionKey& key, std::uint64_t up_to) {
    const std::vector<WaitingStore::PacketsUpTo> rows{{key, up_to}};
    ASSERT_EQ(Run(this->waiting().RemovePackets(writer, rows)), absl::OkStatus());
  }
  /// Everything of the shard, page by page.
  WaitingStore::Page Load(WaitingStore::PageLimit limit = {}, int* pages = nullptr) {
    return Collect([&](WaitingStore::Place after) { return this->waiting().LoadPage(shard_, after, limit); },
                   pages);
  }
  template <typename LoadPage>
  WaitingStore::Page Collect(const LoadPage& load, int* pages) {
    WaitingStore::Page all;
    WaitingStore::Place after;
    while (true) {
      auto page = Run(load(after));
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok() || !page->next) return all;
      EXPECT_LT(after, *page->next);
      after = *page->next;
      if (pages != nullptr) ++*pages;
      for (auto& session : page->sessions) all.sessions.push_back(std::move(session));
      for (auto& packet : page->packets) all.packets.push_back(std::move(packet));
    }
  }
  static std::vector<std::uint64_t> Seqs(const WaitingStore::Page& page) {
    std::vector<std::uint64_t> seqs;
    for (const PacketWrite& row : page.packets) seqs.push_back(row.packet.seq);
    return seqs;
  }
  /// The writer of that epoch, which has claimed the shard.
  Writer At(std::int64_t epoch) {
    const Writer writer{shard_, epoch};
    EXPECT_EQ(Run(this->waiting().Claim(writer)), absl::OkStatus());
    return writer;
  }

  const std::string id_ = std::string("\0\1\2\3session\xff\xfe\xfdyz", 16);
  std::uint32_t shard_ = 0;
  std::string user_;
};

TYPED_TEST_SUITE_P(StoreScenarios);

// ---- accounts ---------------------------------------------------------------

TYPED_TEST_P(StoreScenarios, Account_CreatedOnce) {
  EXPECT_FALSE(*this->Run(this->accounts().Exists(this->user_)));
  EXPECT_FALSE(this->Run(this->accounts().Find(this->user_))->exists());
  this->Account();
  EXPECT_TRUE(*this->Run(this->accounts().Exists(this->user_)));
  EXPECT_TRUE(
      absl::IsAlreadyExists(this->Run(this->accounts().Create(this->user_, {this->Keys("other"), 8}, {}))));
  const auto found = this->Run(this->accounts().Find(this->user_));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->generation, 7u);
  ASSERT_EQ(found->keys.size(), 2u);
  EXPECT_EQ(found->keys[0].SerializeAsString(), this->Keys("k")[0].SerializeAsString());
  EXPECT_EQ(found->keys[1].stored_key(), "k");
}

TYPED_TEST_P(StoreScenarios, Account_FoundTogether) {
  this->Account();
  const std::vector<std::string> asked{"nobody@localhost", this->user_};
  const auto found = this->Run(this->accounts().FindAll(asked));
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().first, this->user_);
  ASSERT_TRUE(found->front().second.ok());
  EXPECT_EQ(found->front().second->generation, 7u);
  EXPECT_EQ(found->front().second->keys[1].stored_key(), "k");
}

TYPED_TEST_P(StoreScenarios, Account_KeysChange_OnlyThoseThatWereKnown) {
  const AccountStore::Account before{this->Keys("k"), 7};
  EXPECT_TRUE(absl::IsAborted(this->Run(this->accounts().SetKeys(this->user_, before, this->Keys("fresh")))));
  this->Account();
  EXPECT_TRUE(this->Run(this->accounts().SetKeys(this->user_, before, this->Keys("fresh"))).ok());
  EXPECT_EQ(this->Run(this->accounts().Find(this->user_))->keys[1].stored_key(), "fresh");
  // The same statement, done late.
  EXPECT_TRUE(absl::IsAborted(this->Run(this->accounts().SetKeys(this->user_, before, this->Keys("late")))));
  const AccountStore::Account other{this->Keys("fresh"), 6};
  EXPECT_TRUE(absl::IsAborted(this->Run(this->accounts().SetKeys(this->user_, other, this->Keys("late")))));
  EXPECT_EQ(this->Run(this->accounts().Find(this->user_))->keys[1].stored_key(), "fresh");
}

TYPED_TEST_P(StoreScenarios, Account_RemovedWithEverything) {
  this->Account();
  ASSERT_EQ(this->StoreOne(this->Row(1)), WaitingStore::Stored::kStored);
  this->StorePackets(this->At(1), this->Key(), {1});
  this->Park(this->At(1), this->Parked(this->Key()));
  ASSERT_TRUE(this->Run(this->accounts().SetLastActivities({{this->user_, 0, {5, "gone"}}})).ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(this->Run(this->accounts().Remove(this->user_, 7)).ok());
    EXPECT_FALSE(*this->Run(this->accounts().Exists(this->user_)));
    EXPECT_TRUE(this->Ids().empty());
    EXPECT_TRUE(this->Load().packets.empty());
    EXPECT_TRUE(this->Load().sessions.empty());
    EXPECT_FALSE(this->Run(this->accounts().GetLastActivity(this->user_))->has_value());
  }
}

TYPED_TEST_P(StoreScenarios, Account_RemovedAgain_TheNextOwnerOfTheNameKeepsEverything) {
  this->Account();
  ASSERT_TRUE(this->Run(this->accounts().Remove(this->user_, 7)).ok());
  ASSERT_TRUE(this->Run(this->accounts().Create(this->user_, {this->Keys("next"), 8}, {})).ok());
  ASSERT_EQ(this->StoreOne(this->Row(1)), WaitingStore::Stored::kStored);
  this->StorePackets(this->At(1), this->Key(), {1});
  this->Park(this->At(1), this->Parked(this->Key()));
  ASSERT_TRUE(this->Run(this->accounts().SetLastActivities({{this->user_, 8, {5, "mine"}}})).ok());
  ASSERT_TRUE(this->Run(this->accounts().SetLastActivities({{this->user_, 7, {6, "the old one's"}}})).ok());
  ASSERT_TRUE(this->Run(this->accounts().Remove(this->user_, 7)).ok());
  EXPECT_EQ(this->Run(this->accounts().Find(this->user_))->generation, 8u);
  EXPECT_EQ(this->Ids().size(), 1u);
  EXPECT_EQ(this->Load().packets.size(), 1u);
  EXPECT_EQ(this->Load().sessions.size(), 1u);
  EXPECT_EQ((*this->Run(this->accounts().GetLastActivity(this->user_)))->status, "mine");
}

TYPED_TEST_P(StoreScenarios, Account_TheNameIsKeptForAWhile) {
  this->Account();
  ASSERT_TRUE(this->Run(this->accounts().Remove(this->user_, 7)).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(this->Run(
      this->accounts().Create(this->user_, {this->Keys("k"), 8}, std::chrono::milliseconds(3'600'000)))));
  EXPECT_FALSE(this->Run(this->accounts().Find(this->user_))->exists());
  EXPECT_TRUE(this->Run(this->accounts().Create(this->user_, {this->Keys("k"), 8}, {})).ok());
}

TYPED_TEST_P(StoreScenarios, Account_RemovedLongAgo_IsForgotten) {
  using std::chrono::milliseconds;
  // Others' tests have removed accounts, too.
  while (*this->Run(this->accounts().ForgetRemoved(milliseconds(0), 1'000)) > 0) {
  }
  std::vector<std::string> users;
  for (int i = 0; i < 3; ++i) {
    users.push_back(std::to_string(i) + this->user_);
    this->Account(users.back());
    ASSERT_TRUE(this->Run(this->accounts().Remove(users.back(), 7)).ok());
    const std::int64_t removed = UnixMillis();
    while (UnixMillis() - removed < 2) {
    }
  }
  EXPECT_EQ(*this->Run(this->accounts().ForgetRemoved(milliseconds(3'600'000), 10)), 0u);
  EXPECT_EQ(*this->Run(this->accounts().ForgetRemoved(milliseconds(0), 2)), 2u);
  // The oldest first: their names are free, whatever is asked for.
  const milliseconds reuse_after(3'600'000);
  EXPECT_TRUE(this->Run(this->accounts().Create(users[0], {this->Keys("k"), 8}, reuse_after)).ok());
  EXPECT_TRUE(this->Run(this->accounts().Create(users[1], {this->Keys("k"), 8}, reuse_after)).ok());
  EXPECT_TRUE(
      absl::IsAlreadyExists(this->Run(this->accounts().Create(users[2], {this->Keys("k"), 8}, reuse_after))));
  // Done once more, a removal is not remembered anew.
  EXPECT_EQ(*this->Run(this->accounts().ForgetRemoved(milliseconds(0), 2)), 1u);
  ASSERT_TRUE(this->Run(this->accounts().Remove(users[2], 7)).ok());
  EXPECT_EQ(*this->Run(this->accounts().ForgetRemoved(milliseconds(-1'000), 2)), 0u);
}

TYPED_TEST_P(StoreScenarios, Account_LastActivity) {
  EXPECT_TRUE(this->Run(this->accounts().SetLastActivities({{this->user_, 0, {5, "nobody"}}})).ok());
  EXPECT_FALSE(this->Run(this->accounts().GetLastActivity(this->user_))->has_value());
  this->Account();
  ASSERT_TRUE(
      this->Run(this->accounts().SetLastActivities({{this->user_, 0, {5, "off to \xe2\x82\xac"}}})).ok());
  ASSERT_TRUE(this->Run(this->accounts().SetLastActivities({{this->user_, 0, {6, "later"}}})).ok());
  const auto last = this->Run(this->accounts().GetLastActivity(this->user_));
  ASSERT_TRUE(last.ok() && last->has_value());
  EXPECT_EQ((*last)->unix_millis, 6);
  EXPECT_EQ((*last)->status, "later");
}

TYPED_TEST_P(StoreScenarios, Account_LastActivities_OfManyAtOnce_EachOfItsOwnAccount) {
  const std::string status = "\"{a,b}\" 'c' \\ NULL \xe2\x82\xac";
  std::vector<AccountStore::UserActivity> activities;
  for (int i = 5; i > 0; --i) activities.push_back({std::to_string(i) + this->user_, 7, {i, status}});
  for (int i = 1; i < 5; ++i) this->Account(std::to_string(i) + this->user_);
  activities.back().generation = 6;
  activities.push_back({this->user_, 0, {9, ""}});
  this->Account();
  ASSERT_EQ(this->Run(this->accounts().SetLastActivities({})), absl::OkStatus());
  ASSERT_EQ(this->Run(this->accounts().SetLastActivities(activities)), absl::OkStatus());
  const auto of = [this](const std::string& user) {
    return *this->Run(this->accounts().GetLastActivity(user));
  };
  EXPECT_EQ(of("5" + this->user_), std::nullopt) << "there is no such account";
  EXPECT_EQ(of("1" + this->user_), std::nullopt) << "it is another's";
  for (int i = 2; i < 5; ++i)
    EXPECT_EQ(of(std::to_string(i) + this->user_), (AccountStore::LastActivity{i, status}));
  EXPECT_EQ(of(this->user_), (AccountStore::LastActivity{9, ""}));
}

TYPED_TEST_P(StoreScenarios, Account_LastActivity_AnOlderOneThatComesLateChangesNothing) {
  this->Account();
  const auto set = [this](AccountStore::LastActivity last) {
    EXPECT_EQ(this->Run(this->accounts().SetLastActivities({{this->user_, 7, std::move(last)}})),
              absl::OkStatus());
    return **this->Run(this->accounts().GetLastActivity(this->user_));
  };
  EXPECT_EQ(set({6, "newer"}).status, "newer");
  EXPECT_EQ(set({5, "older"}).status, "newer");
  EXPECT_EQ(set({6, "of the same moment"}).status, "of the same moment");
}

// ---- messages for users who are away ----------------------------------------

TYPED_TEST_P(StoreScenarios, Offline_OldestFirstAndWhole) {
  this->Account();
  for (const std::uint64_t id : {3, 1, 2})
    ASSERT_EQ(this->StoreOne(this->Row(id)), WaitingStore::Stored::kStored);
  EXPECT_EQ(this->Ids(), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(this->Ids({2, 1'000'000}), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(this->Ids({}, 2), (std::vector<std::uint64_t>{3}));
  const auto rows = this->Run(this->waiting().LoadOffline(this->user_, 0, {}));
  EXPECT_EQ((*rows)[0].stanza.SerializeAsString(), this->StanzaOf(1)->SerializeAsString());
  EXPECT_EQ((*rows)[0].received_at_ms, 1'000);
}

TYPED_TEST_P(StoreScenarios, Offline_PagesAreBoundedInBytes) {
  this->Account();
  std::vector<WaitingStore::OfflineWrite> rows;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    rows.push_back(this->Row(id));
    rows.back().stanza = this->StanzaOf(id, 10'000);
  }
  this->Store(rows);
  EXPECT_EQ(this->Ids({100, 15'000}), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(this->Ids({100, 1}), (std::vector<std::uint64_t>{1})) << "one, whatever its size";
}

TYPED_TEST_P(StoreScenarios, Offline_OrderIsThatOfTheLogEvenWhenClocksDiffer) {
  this->Account();
  ASSERT_EQ(this->StoreOne(this->Row(1, 10, 2'000)), WaitingStore::Stored::kStored);
  ASSERT_EQ(this->StoreOne(this->Row(2, 10, 1'000)), WaitingStore::Stored::kStored);
  EXPECT_EQ(this->Ids(), (std::vector<std::uint64_t>{1, 2}));
}

TYPED_TEST_P(StoreScenarios, Offline_QuotaAndDuplicates) {
  using Stored = WaitingStore::Stored;
  this->Account();
  EXPECT_EQ(this->StoreOne(this->Row(1, 2)), Stored::kStored);
  EXPECT_EQ(this->StoreOne(this->Row(1, 2)), Stored::kAlreadyThere);
  EXPECT_EQ(this->StoreOne(this->Row(2, 2)), Stored::kStored);
  EXPECT_EQ(this->StoreOne(this->Row(3, 2)), Stored::kQuotaReached);
  // A row that is there already is no question of room.
  EXPECT_EQ(this->StoreOne(this->Row(2, 2)), Stored::kAlreadyThere);
  EXPECT_EQ(this->StoreOne(this->Row(3, 0)), Stored::kQuotaReached);
  this->Mark(this->user_, {1});
  EXPECT_EQ(this->StoreOne(this->Row(3, 2)), Stored::kStored);
  EXPECT_EQ(this->StoreOne(this->Row(4, std::nullopt)), Stored::kStored) << "without a quota";
}

TYPED_TEST_P(StoreScenarios, Offline_ASenderHasHalfOfWhatOthersLeave) {
  using Stored = WaitingStore::Stored;
  this->Account();
  const WaitingStore::Quota most{8, 1 << 30};
  const auto store = [&](std::uint64_t id, const std::string& sender) {
    return this->StoreOne(this->RowFrom(id, sender, most));
  };
  for (const std::uint64_t id : {1, 2, 3, 4}) EXPECT_EQ(store(id, "a@x"), Stored::kStored);
  EXPECT_EQ(store(5, "a@x"), Stored::kQuotaReached);
  // All in one statement.
  EXPECT_EQ(this->Store({this->RowFrom(6, "b@x", most), this->RowFrom(7, "b@x", most),
                         this->RowFrom(8, "b@x", most), this->RowFrom(9, "c@x", most)}),
            (std::vector{Stored::kStored, Stored::kStored, Stored::kQuotaReached, Stored::kQuotaReached}));
  EXPECT_EQ(store(9, "c@x"), Stored::kStored);
  EXPECT_EQ(store(10, "d@x"), Stored::kQuotaReached);
  this->Mark(this->user_, {1, 2});
  EXPECT_EQ(store(10, "d@x"), Stored::kStored);
}

TYPED_TEST_P(StoreScenarios, Offline_BytesCount) {
  using Stored = WaitingStore::Stored;
  this->Account();
  const WaitingStore::Quota most{100, 20'000};
  const auto store = [&](std::uint64_t id, const std::string& sender, std::size_t size) {
    return this->StoreOne(this->RowFrom(id, sender, most, size));
  };
  EXPECT_EQ(store(1, "a@x", 9'000), Stored::kStored);
  EXPECT_EQ(store(2, "a@x", 9'000), Stored::kQuotaReached);
  EXPECT_EQ(store(3, "b@x", 9'000), Stored::kQuotaReached);
  EXPECT_EQ(store(3, "b@x", 4'000), Stored::kStored);
  EXPECT_EQ(store(4, "a@x", 10), Stored::kQuotaReached);
}

TYPED_TEST_P(StoreScenarios, Offline_OneStatementForMany_AnAnswerForEachRow) {
  using Stored = WaitingStore::Stored;
  this->Account();
  const std::string other = "x" + this->user_;
  this->Account(other);
  ASSERT_EQ(this->StoreOne(this->Row(2, 3)), Stored::kStored);
  const std::vector<Stored> stored =
      this->Store({this->Row(5, 3), this->RowOf("nobody@x", 1), this->Row(2, 3), this->RowOf(other, 5),
                   this->Row(3, 3), this->Row(9, 3), this->RowOf(other, 1), this->Row(1, std::nullopt)});
  EXPECT_EQ(stored,
            (std::vector<Stored>{Stored::kStored, Stored::kNoSuchUser, Stored::kAlreadyThere, Stored::kStored,
                                 Stored::kStored, Stored::kQuotaReached, Stored::kStored, Stored::kStored}));
  EXPECT_EQ(this->Ids(), (std::vector<std::uint64_t>{1, 2, 3, 5}));
  EXPECT_TRUE(this->Store({}).empty());
}

TYPED_TEST_P(StoreScenarios, Offline_GivenStaysAsAMark) {
  using Stored = WaitingStore::Stored;
  this->Account();
  for (const std::uint64_t id : {1, 2}) ASSERT_EQ(this->StoreOne(this->Row(id)), Stored::kStored);
  // As often as takes the store some milliseconds: each would have a time of its own.
  const std::vector<std::uint64_t> often(5'000, 1);
  for (int i = 0; i < 2; ++i) this->Mark(this->user_, often);
  EXPECT_EQ(this->Ids(), (std::vector<std::uint64_t>{2}));
  EXPECT_EQ(this->StoreOne(this->Row(1)), Stored::kAlreadyThere);
  EXPECT_EQ(this->Ids(), (std::vector<std::uint64_t>{2}));
  const std::vector<std::string> owners{this->user_, "nobody@x"};
  ASSERT_TRUE(this->Run(this->waiting().PurgeGiven(owners, std::chrono::minutes(1), 1)).ok());
  EXPECT_EQ(this->StoreOne(this->Row(1)), Stored::kAlreadyThere);
  ASSERT_TRUE(this->Run(this->waiting().PurgeGiven(owners, -std::chrono::minutes(1), 0)).ok());
  EXPECT_EQ(this->StoreOne(this->Row(1)), Stored::kAlreadyThere);
  ASSERT_TRUE(this->Run(this->waiting().PurgeGiven(owners, -std::chrono::minutes(1), 1)).ok());
  EXPECT_EQ(this->StoreOne(this->Row(1)), Stored::kStored);
  EXPECT_EQ(this->Ids(), (std::vector<std::uint64_t>{1, 2}));
}

TYPED_TEST_P(StoreScenarios, Offline_AMarkKeepsOutWhatIsStoredLate) {
  // It was given from memory while the write that was to store it was still under way.
  using Stored = WaitingStore::Stored;
  this->Account();
  this->Mark(this->user_, {7});
  EXPECT_EQ(this->StoreOne(this->Row(7)), Stored::kAlreadyThere);
  EXPECT_TRUE(this->Ids().empty());
  this->Mark("nobody@x", {7});
  EXPECT_EQ(this->StoreOne(this->RowOf("nobody@x", 7)), Stored::kNoSuchUser);
}

TYPED_TEST_P(StoreScenarios, Offline_UsersAreApart) {
  this->Account();
  const std::string other = "x" + this->user_;
  this->Account(other);
  this->Store({this->Row(1), this->RowOf(other, 1)});
  this->Mark(other, {1});
  EXPECT_EQ(this->Ids(), (std::vector<std::uint64_t>{1}));
}

TYPED_TEST_P(StoreScenarios, Offline_RowsByKey_ThoseThatWait) {
  this->Account();
  const std::string other = "x" + this->user_;
  this->Account(other);
  this->Store({this->Row(1), this->Row(2), this->Row(3), this->RowOf(other, 2)});
  this->Mark(this->user_, {3});
  // Not each owner with each id, and nothing that was given or never was.
  const std::vector<WaitingStore::RowKey> wanted{
      {this->user_, 1}, {other, 2}, {this->user_, 3}, {this->user_, 4}, {"nobody@x", 1}};
  auto found = this->Run(this->waiting().LoadRows(wanted, 1'000'000));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->answered, wanted.size());
  std::vector<std::pair<std::string, std::uint64_t>> keys;
  for (const auto& [owner, row] : found->rows) keys.emplace_back(owner, row.id);
  EXPECT_THAT(keys, ::testing::ElementsAre(std::pair(this->user_, 1u), std::pair(other, 2u)));
  for (const auto& [owner, row] : found->rows)
    EXPECT_EQ(row.stanza.SerializeAsString(), this->StanzaOf(row.id)->SerializeAsString());
  std::vector<std::string> owners{this->user_, "nobody@x", other};
  EXPECT_THAT(*this->Run(this->waiting().OwnersWaiting(owners)),
              ::testing::UnorderedElementsAre(this->user_, other));
  this->Mark(other, {2});
  EXPECT_THAT(*this->Run(this->waiting().OwnersWaiting(owners)), ::testing::ElementsAre(this->user_));
  const std::vector<WaitingStore::RowKey> none;
  found = this->Run(this->waiting().LoadRows(none, 1));
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found->rows.empty());
}

TYPED_TEST_P(StoreScenarios, Offline_RowsByKey_AreBoundedInBytes) {
  this->Account();
  std::vector<WaitingStore::OfflineWrite> rows;
  for (const std::uint64_t id : {1, 2, 3, 5}) {
    rows.push_back(this->Row(id));
    rows.back().stanza = this->StanzaOf(id, 10'000);
  }
  this->Store(rows);
  // In the order of the keys; 4 and 6 are not there.
  std::vector<WaitingStore::RowKey> keys;
  for (const std::uint64_t id : {5, 4, 3, 6, 2, 1}) keys.push_back({this->user_, id});
  const auto ids = [&](std::size_t bytes) {
    std::vector<std::vector<std::uint64_t>> pages;
    std::vector<WaitingStore::RowKey> left = keys;
    while (!left.empty()) {
      const auto page = this->Run(this->waiting().LoadRows(left, bytes));
      EXPECT_TRUE(page.ok() && page->answered > 0) << page.status();
      if (!page.ok() || page->answered == 0) break;
      pages.emplace_back();
      for (const auto& [owner, row] : page->rows) pages.back().push_back(row.id);
      left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(page->answered));
    }
    return pages;
  };
  using Pages = std::vector<std::vector<std::uint64_t>>;
  EXPECT_EQ(ids(100'000), (Pages{{5, 3, 2, 1}}));
  EXPECT_EQ(ids(15'000), (Pages{{5, 3}, {2, 1}}));
  EXPECT_EQ(ids(1), (Pages{{5}, {3}, {2}, {1}})) << "one, whatever its size";
}

// ---- sessions and their packets ---------------------------------------------

TYPED_TEST_P(StoreScenarios, Packets_StoredOnceAndLoadedInOrder) {
  for (int i = 0; i < 2; ++i) this->StorePackets(this->At(1), this->Key(), {2, 1, 3});
  this->StorePackets(this->At(1), {"a" + this->user_, this->id_}, {1});
  const WaitingStore::Writer elsewhere{this->shard_ + 5'000, 1};
  const std::vector<WaitingStore::PacketWrite> there{this->Packet({"b" + this->user_, this->id_}, 1)};
  ASSERT_TRUE(this->Run(this->waiting().Claim(elsewhere)).ok());
  ASSERT_TRUE(this->Run(this->waiting().StorePackets(elsewhere, there)).ok());
  const WaitingStore::Page loaded = this->Load();
  ASSERT_EQ(loaded.packets.size(), 4u);
  std::vector<std::uint64_t> seqs;
  for (const auto& row : loaded.packets) {
    EXPECT_EQ(row.session.session, this->id_);
    if (row.session.owner != this->user_) continue;
    const auto expected = this->Packet(this->Key(), row.packet.seq).packet;
    seqs.push_back(row.packet.seq);
    EXPECT_EQ(row.packet.offset, expected.offset);
    EXPECT_EQ(row.packet.offline_id, expected.offline_id);
    EXPECT_EQ(row.packet.primary, expected.primary);
    EXPECT_EQ(row.packet.to_each, expected.to_each);
    EXPECT_EQ(row.packet.reached, expected.reached);
    EXPECT_EQ(row.packet.given_to, expected.given_to);
    EXPECT_EQ(row.packet.received_at_ms, expected.received_at_ms);
    EXPECT_EQ(row.packet.stanza->SerializeAsString(), expected.stanza->SerializeAsString());
  }
  EXPECT_EQ(seqs, (std::vector<std::uint64_t>{1, 2, 3}));
}

TYPED_TEST_P(StoreScenarios, Packets_ManySessionsInOneStatement) {
  std::vector<WaitingStore::PacketWrite> rows;
  for (const char* name : {"a", "b", "a"})
    for (std::uint64_t seq = 1; seq <= 3; ++seq) rows.push_back(this->Packet(this->Key(name), seq));
  ASSERT_TRUE(this->Run(this->waiting().StorePackets(this->At(1), rows)).ok());
  EXPECT_EQ(this->Load().packets.size(), 6u);
  const std::vector<WaitingStore::PacketsUpTo> gone{
      {this->Key("a"), 2}, {this->Key("b"), 3}, {this->Key("c"), 9}};
  ASSERT_TRUE(this->Run(this->waiting().RemovePackets(this->At(1), gone)).ok());
  EXPECT_EQ(this->Seqs(this->Load()), (std::vector<std::uint64_t>{3}));
  rows.clear();
  EXPECT_TRUE(this->Run(this->waiting().StorePackets(this->At(1), rows)).ok());
}

TYPED_TEST_P(StoreScenarios, Packets_Removed) {
  this->StorePackets(this->At(1), this->Key(), {1, 2, 3, 4, 5});
  for (int i = 0; i < 2; ++i) this->RemovePackets(this->At(1), this->Key(), 3);
  EXPECT_EQ(this->Seqs(this->Load()), (std::vector<std::uint64_t>{4, 5}));
  this->Remove(this->At(1), this->Key());
  EXPECT_TRUE(this->Load().packets.empty());
}

TYPED_TEST_P(StoreScenarios, Packets_WithoutARecord) {
  auto row = this->Packet(this->Key(), 9);
  row.packet.offset = -1;
  const std::vector<WaitingStore::PacketWrite> rows{row};
  ASSERT_TRUE(this->Run(this->waiting().StorePackets(this->At(1), rows)).ok());
  EXPECT_EQ(this->Load().packets.at(0).packet.offset, -1);
}

TYPED_TEST_P(StoreScenarios, Parked_NewestWins_UnparkKeepsPackets) {
  this->Park(this->At(1), this->Parked(this->Key(), std::chrono::hours(1)));
  this->Park(this->At(1), this->Parked(this->Key(), std::chrono::hours(3)));
  this->StorePackets(this->At(1), this->Key(), {1});
  WaitingStore::Page loaded = this->Load();
  ASSERT_EQ(loaded.sessions.size(), 1u);
  EXPECT_EQ(loaded.sessions[0].key, this->Key());
  EXPECT_GT(loaded.sessions[0].left, std::chrono::hours(2));
  EXPECT_EQ(loaded.sessions[0].attach.SerializeAsString(),
            this->Parked(this->Key()).attach.SerializeAsString());
  for (int i = 0; i < 2; ++i) this->Unpark(this->At(1), this->Key());
  loaded = this->Load();
  EXPECT_TRUE(loaded.sessions.empty());
  EXPECT_EQ(loaded.packets.size(), 1u);
}

TYPED_TEST_P(StoreScenarios, Parked_TheStoreMeasuresWhatIsLeft) {
  const std::chrono::milliseconds given = std::chrono::minutes(5);
  const SteadyTime before = Clock::System().Now();
  this->Park(this->At(1), this->Parked(this->Key(), given));
  this->Park(this->At(1), this->Parked(this->Key("over"), std::chrono::milliseconds(-1)));
  const WaitingStore::Page loaded = this->Load();
  const auto passed = Clock::System().Now() - before;
  ASSERT_EQ(loaded.sessions.size(), 2u);
  const auto left = [&](const WaitingStore::SessionKey& key) {
    return loaded.sessions[loaded.sessions[0].key == key ? 0 : 1].left;
  };
  EXPECT_LE(left(this->Key()), given);
  EXPECT_GE(left(this->Key()), given - passed - std::chrono::seconds(1));
  EXPECT_LT(left(this->Key("over")).count(), 0);
}

TYPED_TEST_P(StoreScenarios, Parked_RemovedWithItsPackets) {
  this->Park(this->At(1), this->Parked(this->Key()));
  this->Park(this->At(1), this->Parked(this->Key("other")));
  this->StorePackets(this->At(1), this->Key(), {1});
  for (int i = 0; i < 2; ++i) this->Remove(this->At(1), this->Key());
  const WaitingStore::Page loaded = this->Load();
  ASSERT_EQ(loaded.sessions.size(), 1u);
  EXPECT_EQ(loaded.sessions[0].key, this->Key("other"));
  EXPECT_TRUE(loaded.packets.empty());
}

// ---- fences -----------------------------------------------------------------

// The promises of claims are tested in libs/pg (claim_scenarios.h). Here: each statement is under one.
TYPED_TEST_P(StoreScenarios, Fence_AnOlderOwnerChangesNothing) {
  const auto writer = this->At(4);
  this->Park(writer, this->Parked(this->Key(), std::chrono::hours(3)));
  this->StorePackets(writer, this->Key(), {1, 2});
  ASSERT_EQ(this->Run(this->other().Claim({this->shard_, 9})), absl::OkStatus());
  EXPECT_EQ(*this->Run(this->waiting().ClaimedBy(this->shard_)), 9);

  const std::vector<WaitingStore::ParkedSession> sessions{this->Parked(this->Key(), std::chrono::hours(1)),
                                                          this->Parked(this->Key("other"))};
  const std::vector<WaitingStore::SessionKey> keys{this->Key()};
  const std::vector<WaitingStore::PacketsUpTo> up_to{{this->Key(), 2}};
  std::vector<WaitingStore::PacketWrite> packets{this->Packet(this->Key(), 1), this->Packet(this->Key(), 3)};
  // Two owners have given the same number to different packets.
  packets[0].packet.stanza = this->StanzaOf(1'000);
  const auto is_refused = [this](Task<absl::Status> call) {
    return absl::IsFailedPrecondition(this->Run(std::move(call)));
  };
  EXPECT_TRUE(is_refused(this->waiting().Park(writer, sessions)));
  EXPECT_TRUE(is_refused(this->waiting().Unpark(writer, keys)));
  EXPECT_TRUE(is_refused(this->waiting().StorePackets(writer, packets)));
  EXPECT_TRUE(is_refused(this->waiting().RemovePackets(writer, up_to)));
  EXPECT_TRUE(is_refused(this->waiting().RemoveSessions(writer, keys)));
  WaitingStore::Page loaded = this->Load();
  ASSERT_EQ(loaded.sessions.size(), 1u);
  EXPECT_GT(loaded.sessions[0].left, std::chrono::hours(2));
  EXPECT_EQ(this->Seqs(loaded), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(loaded.packets[0].packet.stanza->id(), "1");

  ASSERT_EQ(this->Run(this->other().RemoveSessions({this->shard_, 9}, keys)), absl::OkStatus());
  loaded = this->Load();
  EXPECT_TRUE(loaded.sessions.empty());
  EXPECT_TRUE(loaded.packets.empty());
}

TYPED_TEST_P(StoreScenarios, Cursor_TheNewestOwnersLastWord) {
  const auto keep = [this](std::int64_t epoch, std::int64_t cursor) {
    EXPECT_EQ(this->Run(this->other().KeepCursor({this->shard_, epoch}, cursor)), absl::OkStatus());
    return *this->Run(this->waiting().FindCursor(this->shard_));
  };
  EXPECT_EQ(*this->Run(this->waiting().FindCursor(this->shard_)), -1);
  EXPECT_EQ(keep(5, 100), 100);
  EXPECT_EQ(keep(5, 120), 120);
  EXPECT_EQ(keep(4, 130), 120) << "an older owner's";
  EXPECT_EQ(keep(6, 7), 7) << "the log was cut";
  EXPECT_EQ(*this->Run(this->waiting().FindCursor(this->shard_ + 1'000)), -1);
}

// ---- pages ------------------------------------------------------------------

TYPED_TEST_P(StoreScenarios, Pages_EveryRowOnce_SessionsBeforeTheirPackets) {
  for (int session = 0; session < 10; ++session) {
    const auto key = this->Key("session-" + std::to_string(session));
    std::vector<WaitingStore::PacketWrite> packets;
    for (std::uint64_t seq = 1; seq <= 50; ++seq) packets.push_back(this->Packet(key, seq));
    ASSERT_TRUE(this->Run(this->waiting().StorePackets(this->At(1), packets)).ok());
    this->Park(this->At(1), this->Parked(key));
  }
  // Bytes decide the order, whatever the language of the database.
  for (const char* name : {"Z", "_", "a", "\xc3\xa4"})
    this->Park(this->At(1), this->Parked({name + this->user_, this->id_}));
  for (const std::size_t rows : {1'000u, 77u, 13u}) {
    int pages = 0;
    const WaitingStore::Page loaded = this->Load({rows, 100'000'000}, &pages);
    EXPECT_EQ(pages, static_cast<int>((514 + rows - 1) / rows));
    EXPECT_EQ(loaded.packets.size(), 500u);
    EXPECT_EQ(loaded.sessions.size(), 14u);
    EXPECT_TRUE(
        std::is_sorted(loaded.packets.begin(), loaded.packets.end(), [](const auto& a, const auto& b) {
          return std::tie(a.session, a.packet.seq) < std::tie(b.session, b.packet.seq);
        }));
    EXPECT_TRUE(std::is_sorted(loaded.sessions.begin(), loaded.sessions.end(),
                               [](const auto& a, const auto& b) { return a.key < b.key; }));
  }
}

TYPED_TEST_P(StoreScenarios, Pages_AreBoundedInBytes) {
  std::vector<WaitingStore::PacketWrite> packets;
  for (std::uint64_t seq = 1; seq <= 6; ++seq) packets.push_back(this->Packet(this->Key(), seq, 10'000));
  ASSERT_TRUE(this->Run(this->waiting().StorePackets(this->At(1), packets)).ok());
  int pages = 0;
  EXPECT_EQ(this->Load({100, 15'000}, &pages).packets.size(), 6u);
  EXPECT_EQ(pages, 3);
  pages = 0;
  EXPECT_EQ(this->Load({100, 1}, &pages).packets.size(), 6u);
  EXPECT_EQ(pages, 6) << "one row, whatever its size";
}

REGISTER_TYPED_TEST_SUITE_P(StoreScenarios, Account_CreatedOnce, Account_FoundTogether,
                            Account_KeysChange_OnlyThoseThatWereKnown, Account_RemovedWithEverything,
                            Account_RemovedAgain_TheNextOwnerOfTheNameKeepsEverything,
                            Account_TheNameIsKeptForAWhile, Account_RemovedLongAgo_IsForgotten,
                            Account_LastActivity, Account_LastActivities_OfManyAtOnce_EachOfItsOwnAccount,
                            Account_LastActivity_AnOlderOneThatComesLateChangesNothing,
                            Offline_OldestFirstAndWhole, Offline_PagesAreBoundedInBytes,
                            Offline_OrderIsThatOfTheLogEvenWhenClocksDiffer, Offline_QuotaAndDuplicates,
                            Offline_ASenderHasHalfOfWhatOthersLeave, Offline_BytesCount,
                            Offline_OneStatementForMany_AnAnswerForEachRow, Offline_GivenStaysAsAMark,
                            Offline_AMarkKeepsOutWhatIsStoredLate, Offline_UsersAreApart,
                            Offline_RowsByKey_ThoseThatWait, Offline_RowsByKey_AreBoundedInBytes,
                            Packets_StoredOnceAndLoadedInOrder, Packets_ManySessionsInOneStatement,
                            Packets_Removed, Packets_WithoutARecord, Parked_NewestWins_UnparkKeepsPackets,
                            Parked_TheStoreMeasuresWhatIsLeft, Parked_RemovedWithItsPackets,
                            Fence_AnOlderOwnerChangesNothing, Cursor_TheNewestOwnersLastWord,
                            Pages_EveryRowOnce_SessionsBeforeTheirPackets, Pages_AreBoundedInBytes);

}  // namespace rookery::session_manager
