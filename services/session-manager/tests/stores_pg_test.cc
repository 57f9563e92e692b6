// Both stores against a real PostgreSQL.
#include <gmock/gmock.h>

#include "adapters/pg_account_store.h"
#include "adapters/pg_waiting_store.h"
#include "migrations.h"
#include "rookery/base/clock.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::session_manager {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::RunTask;
using testing::RunUntil;
using ::testing::SizeIs;
using Stored = WaitingStore::Stored;

/// One server for all tests: each has its own users.
testing::PostgresServer& Server() {
  static auto* server = new testing::PostgresServer();
  return *server;
}

class StoresTest : public ::testing::Test {
 protected:
  static void TearDownTestSuite() { Server().Kill(); }
  StoresTest() {
    options_.connection = Server().connection();
    EXPECT_TRUE(RunTask(io_, pg::Migrate(io_, options_, "session-manager", Migrations())).ok());
    pool_ = pg::Pool::Create(io_, options_, metrics_);
    EXPECT_TRUE(RunUntil(io_, [&] { return pool_->is_connected(); }));
    accounts_ = std::make_unique<PgAccountStore>(*pool_);
    waiting_ = std::make_unique<PgWaitingStore>(*pool_);
    user_ = std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + "@localhost";
  }
  template <typename T>
  T Run(Task<T> task) {
    return RunTask(io_, std::move(task));
  }
  void Account() { ASSERT_TRUE(Run(accounts_->Create(user_, Keys("k"))).ok()); }
  static AccountStore::Keys Keys(const std::string& stored) {
    AccountStore::Keys keys(2);
    keys[0].set_mechanism("SCRAM-SHA-1");
    keys[0].set_salt(std::string("\0salt\xff", 6));
    keys[0].set_iterations(4'096);
    keys[1].set_mechanism("SCRAM-SHA-256");
    keys[1].set_stored_key(stored);
    return keys;
  }
  static WaitingStore::OfflineMessage Message(std::uint64_t id, std::int64_t at = 1'000) {
    WaitingStore::OfflineMessage message;
    message.id = id;
    message.received_at_ms = at;
    message.stanza = xmpp::MakeMessage("chat", "a@localhost/x", "b@localhost");
    message.stanza.set_id(std::to_string(id));
    message.stanza.set_payload(std::string("<body>nul \0 and \xe2\x82\xac and \\ and '</body>", 42));
    return message;
  }
  static WaitingStore::SessionPacket Packet(std::uint64_t seq) {
    WaitingStore::SessionPacket packet;
    packet.seq = seq;
    packet.offset = static_cast<std::int64_t>(seq) * 10;
    packet.offline_id = seq == 2 ? 77 : 0;
    packet.primary = seq % 2 == 1;
    packet.to_each = seq % 2 == 0;
    packet.received_at_ms = 1'700'000'000'000 + static_cast<std::int64_t>(seq);
    packet.stanza = Message(seq).stanza;
    return packet;
  }
  WaitingStore::ParkedSession Parked(const std::string& session, std::int64_t expires = 5'000) {
    WaitingStore::ParkedSession parked;
    parked.owner = user_;
    parked.session = session;
    parked.attach.set_full_jid(user_ + "/r");
    parked.attach.set_state(std::string("\0\1\2", 3));
    parked.expires_at_ms = expires;
    return parked;
  }
  std::vector<std::uint64_t> Ids(std::int64_t limit = 100) {
    auto rows = Run(waiting_->LoadOffline(user_, 0, limit));
    EXPECT_TRUE(rows.ok()) << rows.status();
    std::vector<std::uint64_t> ids;
    if (rows.ok())
      for (const auto& row : *rows) ids.push_back(row.id);
    return ids;
  }
  WaitingStore::Shard Load(std::uint32_t shard) {
    auto loaded = Run(waiting_->LoadShard(shard));
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? *std::move(loaded) : WaitingStore::Shard();
  }

  const std::string id_ = std::string("\0\1\2\3session\xff\xfe\xfdyz", 16);
  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  pg::Options options_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<PgAccountStore> accounts_;
  std::unique_ptr<PgWaitingStore> waiting_;
  std::string user_;
};

// ---- accounts ---------------------------------------------------------------

TEST_F(StoresTest, Account_CreatedOnce) {
  EXPECT_FALSE(*Run(accounts_->Exists(user_)));
  EXPECT_TRUE(Run(accounts_->GetKeys(user_))->empty());
  Account();
  EXPECT_TRUE(*Run(accounts_->Exists(user_)));
  EXPECT_TRUE(absl::IsAlreadyExists(Run(accounts_->Create(user_, Keys("other")))));
  const auto keys = Run(accounts_->GetKeys(user_));
  ASSERT_TRUE(keys.ok());
  ASSERT_THAT(*keys, SizeIs(2));
  EXPECT_EQ((*keys)[0].SerializeAsString(), Keys("k")[0].SerializeAsString());
  EXPECT_EQ((*keys)[1].stored_key(), "k");
}

TEST_F(StoresTest, Account_KeysChange) {
  EXPECT_TRUE(absl::IsNotFound(Run(accounts_->SetKeys(user_, Keys("k")))));
  Account();
  EXPECT_TRUE(Run(accounts_->SetKeys(user_, Keys("fresh"))).ok());
  EXPECT_EQ((*Run(accounts_->GetKeys(user_)))[1].stored_key(), "fresh");
}

TEST_F(StoresTest, Account_RemovedWithEverything) {
  Account();
  ASSERT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 10)), Stored::kStored);
  std::vector<WaitingStore::SessionPacket> packets;
  packets.push_back(Packet(1));
  ASSERT_TRUE(Run(waiting_->StorePackets(901, user_, id_, std::move(packets))).ok());
  ASSERT_TRUE(Run(waiting_->Park(901, Parked(id_))).ok());
  ASSERT_TRUE(Run(accounts_->SetLastActivity(user_, {5, "gone"})).ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Run(accounts_->Remove(user_)).ok());
    EXPECT_FALSE(*Run(accounts_->Exists(user_)));
    EXPECT_THAT(Ids(), IsEmpty());
    EXPECT_THAT(Load(901).packets, IsEmpty());
    EXPECT_THAT(Load(901).sessions, IsEmpty());
    EXPECT_FALSE(Run(accounts_->GetLastActivity(user_))->has_value());
  }
}

TEST_F(StoresTest, Account_LastActivity) {
  EXPECT_TRUE(Run(accounts_->SetLastActivity(user_, {5, "nobody"})).ok());
  EXPECT_FALSE(Run(accounts_->GetLastActivity(user_))->has_value());
  Account();
  ASSERT_TRUE(Run(accounts_->SetLastActivity(user_, {5, "off to \xe2\x82\xac"})).ok());
  ASSERT_TRUE(Run(accounts_->SetLastActivity(user_, {6, "later"})).ok());
  const auto last = Run(accounts_->GetLastActivity(user_));
  ASSERT_TRUE(last.ok() && last->has_value());
  EXPECT_EQ((*last)->unix_millis, 6);
  EXPECT_EQ((*last)->status, "later");
}

// ---- offline messages -------------------------------------------------------

TEST_F(StoresTest, Offline_OldestFirstAndWhole) {
  Account();
  for (const std::uint64_t id : {3, 1, 2})
    ASSERT_EQ(*Run(waiting_->StoreOffline(user_, Message(id), 10)), Stored::kStored);
  EXPECT_THAT(Ids(), ElementsAre(1, 2, 3));
  EXPECT_THAT(Ids(2), ElementsAre(1, 2));
  const auto rows = Run(waiting_->LoadOffline(user_, 0, 1));
  EXPECT_EQ((*rows)[0].stanza.SerializeAsString(), Message(1).stanza.SerializeAsString());
  EXPECT_EQ((*rows)[0].received_at_ms, 1'000);
}

TEST_F(StoresTest, Offline_OrderIsThatOfTheLogEvenWhenClocksDiffer) {
  // received_at comes from the clocks of several gateways; the record's offset is the order.
  Account();
  ASSERT_EQ(*Run(waiting_->StoreOffline(user_, Message(1, 2'000), 10)), Stored::kStored);
  ASSERT_EQ(*Run(waiting_->StoreOffline(user_, Message(2, 1'000), 10)), Stored::kStored);
  EXPECT_THAT(Ids(), ElementsAre(1, 2));
}

TEST_F(StoresTest, Offline_NoSuchUser) {
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 10)), Stored::kNoSuchUser);
}

TEST_F(StoresTest, Offline_QuotaAndDuplicates) {
  Account();
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 2)), Stored::kStored);
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 2)), Stored::kAlreadyThere);
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(2), 2)), Stored::kStored);
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(3), 2)), Stored::kQuotaReached);
  // What is there already is no question of room.
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(2), 2)), Stored::kAlreadyThere);
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(3), 0)), Stored::kQuotaReached);
  ASSERT_TRUE(Run(waiting_->MarkOfflineGiven(user_, {1})).ok());
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(3), 2)), Stored::kStored);
}

TEST_F(StoresTest, Offline_GivenStaysAsAMark) {
  Account();
  for (const std::uint64_t id : {1, 2})
    ASSERT_EQ(*Run(waiting_->StoreOffline(user_, Message(id), 10)), Stored::kStored);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Run(waiting_->MarkOfflineGiven(user_, {1, 99})).ok());
  EXPECT_THAT(Ids(), ElementsAre(2));
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 10)), Stored::kAlreadyThere);
  EXPECT_THAT(Ids(), ElementsAre(2));
  ASSERT_TRUE(Run(waiting_->PurgeOfflineGiven(user_, 1'000)).ok());
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 10)), Stored::kAlreadyThere);
  ASSERT_TRUE(Run(waiting_->PurgeOfflineGiven(user_, UnixMillis() + 60'000)).ok());
  EXPECT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 10)), Stored::kStored);
  EXPECT_THAT(Ids(), ElementsAre(1, 2));
}

TEST_F(StoresTest, Offline_UsersAreApart) {
  Account();
  ASSERT_TRUE(Run(accounts_->Create("x" + user_, Keys("k"))).ok());
  ASSERT_EQ(*Run(waiting_->StoreOffline(user_, Message(1), 10)), Stored::kStored);
  ASSERT_EQ(*Run(waiting_->StoreOffline("x" + user_, Message(1), 10)), Stored::kStored);
  ASSERT_TRUE(Run(waiting_->MarkOfflineGiven("x" + user_, {1})).ok());
  EXPECT_THAT(Ids(), ElementsAre(1));
}

TEST_F(StoresTest, Offline_RowsByKey_ThoseThatWait) {
  Account();
  const std::string other = "x" + user_;
  ASSERT_TRUE(Run(accounts_->Create(other, Keys("k"))).ok());
  for (const std::uint64_t id : {1, 2, 3})
    ASSERT_EQ(*Run(waiting_->StoreOffline(user_, Message(id), 10)), Stored::kStored);
  ASSERT_EQ(*Run(waiting_->StoreOffline(other, Message(2), 10)), Stored::kStored);
  ASSERT_TRUE(Run(waiting_->MarkOfflineGiven(user_, {3})).ok());
  // Not each owner with each id, and nothing that was given or never was.
  auto rows = Run(waiting_->LoadRows({{user_, 1}, {other, 2}, {user_, 3}, {user_, 4}, {"nobody@x", 1}}));
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::vector<std::pair<std::string, std::uint64_t>> keys;
  for (const auto& [owner, row] : *rows) keys.emplace_back(owner, row.id);
  EXPECT_THAT(keys, ::testing::UnorderedElementsAre(std::pair(user_, 1u), std::pair(other, 2u)));
  for (const auto& [owner, row] : *rows)
    EXPECT_EQ(row.stanza.SerializeAsString(), Message(row.id).stanza.SerializeAsString());
  const auto owners = Run(waiting_->OwnersWaiting({user_, "nobody@x", other}));
  ASSERT_TRUE(owners.ok()) << owners.status();
  EXPECT_THAT(*owners, ::testing::UnorderedElementsAre(user_, other));
  ASSERT_TRUE(Run(waiting_->MarkOfflineGiven(other, {2})).ok());
  EXPECT_THAT(*Run(waiting_->OwnersWaiting({other, user_})), ElementsAre(user_));
  rows = Run(waiting_->LoadRows({}));
  ASSERT_TRUE(rows.ok());
  EXPECT_TRUE(rows->empty());
}

// ---- packets and parked sessions --------------------------------------------

TEST_F(StoresTest, Packets_StoredOnceAndLoadedInOrder) {
  std::vector<WaitingStore::SessionPacket> packets;
  for (const std::uint64_t seq : {2, 1, 3}) packets.push_back(Packet(seq));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Run(waiting_->StorePackets(910, user_, id_, packets)).ok());
  std::vector<WaitingStore::SessionPacket> more;
  more.push_back(Packet(1));
  ASSERT_TRUE(Run(waiting_->StorePackets(910, "a" + user_, id_, more)).ok());
  ASSERT_TRUE(Run(waiting_->StorePackets(911, "b" + user_, id_, more)).ok());
  const WaitingStore::Shard loaded = Load(910);
  ASSERT_THAT(loaded.packets, SizeIs(4));
  std::vector<std::uint64_t> seqs;
  for (const auto& row : loaded.packets) {
    EXPECT_EQ(row.session, id_);
    if (row.owner != user_) continue;
    const WaitingStore::SessionPacket expected = Packet(row.packet.seq);
    seqs.push_back(row.packet.seq);
    EXPECT_EQ(row.packet.offset, expected.offset);
    EXPECT_EQ(row.packet.offline_id, expected.offline_id);
    EXPECT_EQ(row.packet.primary, expected.primary);
    EXPECT_EQ(row.packet.to_each, expected.to_each);
    EXPECT_EQ(row.packet.received_at_ms, expected.received_at_ms);
    EXPECT_EQ(row.packet.stanza.SerializeAsString(), expected.stanza.SerializeAsString());
  }
  EXPECT_THAT(seqs, ElementsAre(1, 2, 3));
}

TEST_F(StoresTest, Packets_Removed) {
  std::vector<WaitingStore::SessionPacket> packets;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) packets.push_back(Packet(seq));
  ASSERT_TRUE(Run(waiting_->StorePackets(912, user_, id_, packets)).ok());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Run(waiting_->RemovePackets(user_, id_, 3)).ok());
  EXPECT_THAT(Load(912).packets, SizeIs(2));
  ASSERT_TRUE(Run(waiting_->RemoveSession(user_, id_)).ok());
  EXPECT_THAT(Load(912).packets, IsEmpty());
}

TEST_F(StoresTest, Packets_None) {
  EXPECT_TRUE(Run(waiting_->StorePackets(913, user_, id_, {})).ok());
  EXPECT_THAT(Load(913).packets, IsEmpty());
}

TEST_F(StoresTest, Packets_OffsetlessOnes) {
  std::vector<WaitingStore::SessionPacket> packets(1);
  packets[0].seq = 9;
  ASSERT_TRUE(Run(waiting_->StorePackets(914, user_, id_, packets)).ok());
  EXPECT_EQ(Load(914).packets.at(0).packet.offset, -1);
}

TEST_F(StoresTest, Parked_NewestWins_UnparkKeepsPackets) {
  ASSERT_TRUE(Run(waiting_->Park(920, Parked(id_, 5'000))).ok());
  ASSERT_TRUE(Run(waiting_->Park(920, Parked(id_, 6'000))).ok());
  std::vector<WaitingStore::SessionPacket> packets;
  packets.push_back(Packet(1));
  ASSERT_TRUE(Run(waiting_->StorePackets(920, user_, id_, packets)).ok());
  WaitingStore::Shard loaded = Load(920);
  ASSERT_THAT(loaded.sessions, SizeIs(1));
  EXPECT_EQ(loaded.sessions[0].owner, user_);
  EXPECT_EQ(loaded.sessions[0].session, id_);
  EXPECT_EQ(loaded.sessions[0].expires_at_ms, 6'000);
  EXPECT_EQ(loaded.sessions[0].attach.SerializeAsString(), Parked(id_).attach.SerializeAsString());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Run(waiting_->Unpark(user_, id_)).ok());
  loaded = Load(920);
  EXPECT_THAT(loaded.sessions, IsEmpty());
  EXPECT_THAT(loaded.packets, SizeIs(1));
}

TEST_F(StoresTest, Parked_RemovedWithItsPackets) {
  ASSERT_TRUE(Run(waiting_->Park(921, Parked(id_))).ok());
  ASSERT_TRUE(Run(waiting_->Park(921, Parked(std::string(16, 'o')))).ok());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Run(waiting_->RemoveSession(user_, id_)).ok());
  EXPECT_THAT(Load(921).sessions, SizeIs(1));
}

TEST_F(StoresTest, ManyRowsOfAShard) {
  std::vector<WaitingStore::SessionPacket> packets;
  for (std::uint64_t seq = 1; seq <= 500; ++seq) packets.push_back(Packet(seq));
  for (int session = 0; session < 10; ++session) {
    const std::string id = "session-" + std::to_string(session) + std::string(7, '.');
    ASSERT_TRUE(Run(waiting_->StorePackets(930, user_, id, packets)).ok());
    ASSERT_TRUE(Run(waiting_->Park(930, Parked(id))).ok());
  }
  const WaitingStore::Shard loaded = Load(930);
  EXPECT_THAT(loaded.packets, SizeIs(5'000));
  EXPECT_THAT(loaded.sessions, SizeIs(10));
  EXPECT_TRUE(std::is_sorted(loaded.packets.begin(), loaded.packets.end(), [](const auto& a, const auto& b) {
    return std::tie(a.owner, a.session, a.packet.seq) < std::tie(b.owner, b.session, b.packet.seq);
  }));
}

}  // namespace
}  // namespace rookery::session_manager
