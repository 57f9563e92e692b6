// The writer of the store and a write that does not get through: rule S4 of src/domain/delivery/README.md.
#include "domain/delivery/store_writer.h"

#include <gmock/gmock.h>

#include "domain/state/shard.h"
#include "memory_stores.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::session_manager {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StoreWriterTest : public ::testing::Test {
 protected:
  StoreWriterTest() {
    shard_->tasks = std::make_unique<runtime::TaskGroup>(io_.get_executor());
    writer_ = std::make_shared<StoreWriter>(
        io_.get_executor(), store_, metrics_, StoreWriter::Limits{}, kBackendRetries, *shard_, [] {}, [] {});
    database_.on_call = [this](std::string_view call) { statements_ += call == "StoreOffline" ? 1 : 0; };
  }
  ~StoreWriterTest() override {
    writer_->Abandon();
    shard_->phase = Shard::Phase::kReleased;
    shard_->tasks.reset();
    time_.Settle(io_);
  }
  static std::string UserOf(int n) { return "u" + std::to_string(n) + "@localhost"; }
  void Write(int user, std::uint64_t id) {
    database_.accounts[UserOf(user)];
    WaitingStore::OfflineWrite row;
    row.key = {UserOf(user), id};
    row.stanza = std::make_shared<xmpp::Stanza>(xmpp::MakeMessage("chat", "a@localhost/x", UserOf(user)));
    writer_->StoreOffline(row, [this, user](const StoreWriter::Answer& answer) {
      if (!answer.status.ok()) refused_.push_back(user);
    });
  }
  void WriteAll(int users, std::uint64_t id) {
    for (int i = 0; i < users; ++i) Write(i, id);
  }
  std::size_t Stored(int user) const { return database_.Waiting(UserOf(user)); }
  std::size_t StoredOf(int users) const {
    std::size_t stored = 0;
    for (int i = 0; i < users; ++i) stored += Stored(i);
    return stored;
  }

  testing::VirtualTime time_;
  asio::io_context io_;
  telemetry::Metrics telemetry_{"session_manager"};
  SessionManagerMetrics metrics_{telemetry_};
  MemoryDatabase database_;
  MemoryWaitingStore store_{database_};
  std::shared_ptr<Shard> shard_ = std::make_shared<Shard>(1, seconds(120));
  std::shared_ptr<StoreWriter> writer_;
  std::vector<int> refused_;
  int statements_ = 0;
};

TEST_F(StoreWriterTest, S4_ARowThatIsRefused_IsFoundInFewStatements) {
  database_.refuses = [](const std::string& owner) { return owner == UserOf(77); };
  WriteAll(200, 1);
  time_.Settle(io_);
  EXPECT_THAT(refused_, ElementsAre(77));
  EXPECT_EQ(StoredOf(200), 199u);
  EXPECT_LE(statements_, 18) << "not one for each row";
  EXPECT_EQ(metrics_.store_refused.Value(), 1);
}

TEST_F(StoreWriterTest, S4_SeveralAreRefused_EachIsFound) {
  database_.refuses = [](const std::string& owner) {
    return owner == UserOf(0) || owner == UserOf(99) || owner == UserOf(100);
  };
  WriteAll(101, 1);
  time_.Settle(io_);
  EXPECT_THAT(refused_, ElementsAre(0, 99, 100));
  EXPECT_EQ(StoredOf(101), 98u);
  EXPECT_EQ(writer_->rows(), 0u);
}

TEST_F(StoreWriterTest, S4_AUsersRowsAreLocked_TheOthersGoOn) {
  bool is_locked = true;
  database_.locks = [&](const std::string& owner) { return is_locked && owner == UserOf(0); };
  WriteAll(200, 1);
  Write(0, 2);
  EXPECT_TRUE(time_.RunUntil(io_, [&] { return StoredOf(200) == 199; }, seconds(30)));
  // While it lasts, others wait for one attempt at most.
  for (std::uint64_t id = 3; id < 20; ++id) {
    WriteAll(20, id);
    EXPECT_TRUE(time_.RunUntil(io_, [&] { return Stored(1) == id - 1; }, seconds(8))) << id;
    time_.RunFor(io_, seconds(10));
  }
  EXPECT_EQ(Stored(0), 0u);
  is_locked = false;
  // An attempt that is under way, and the longest pause.
  EXPECT_TRUE(time_.RunUntil(io_, [&] { return Stored(0) == 19; }, seconds(5 + 30 + 1)));
  EXPECT_EQ(writer_->rows(), 0u);
  EXPECT_THAT(refused_, IsEmpty());
}

TEST_F(StoreWriterTest, S4_TwoUsersAreLocked_TheOthersGoOn) {
  database_.locks = [&](const std::string& owner) { return owner == UserOf(0) || owner == UserOf(1); };
  WriteAll(100, 1);
  EXPECT_TRUE(time_.RunUntil(io_, [&] { return StoredOf(100) == 98; }, seconds(90)));
}

TEST_F(StoreWriterTest, S4_TheStoreAnswersNobodyInTime_ThatIsNoUsersFault) {
  bool is_slow = true;
  database_.locks = [&](const std::string&) { return is_slow; };
  WriteAll(50, 1);
  time_.RunFor(io_, std::chrono::minutes(5));
  EXPECT_EQ(StoredOf(50), 0u);
  is_slow = false;
  EXPECT_TRUE(time_.RunUntil(io_, [&] { return StoredOf(50) == 50; }, seconds(20)));
}

TEST_F(StoreWriterTest, S4_SetAside_WhatIsTakenBackIsNotWritten) {
  bool is_locked = true;
  database_.locks = [&](const std::string& owner) { return is_locked && owner == UserOf(0); };
  WriteAll(20, 1);
  ASSERT_TRUE(time_.RunUntil(io_, [&] { return StoredOf(20) == 19; }, seconds(30)));
  WaitingStore::OfflineWrite row;
  row.key = {UserOf(0), 2};
  row.stanza = std::make_shared<xmpp::Stanza>(xmpp::MakeMessage("chat", "a@localhost/x", UserOf(0)));
  const StoreWriter::Ticket ticket = writer_->StoreOffline(row, {});
  EXPECT_TRUE(writer_->Withdraw(ticket));
  is_locked = false;
  EXPECT_TRUE(time_.RunUntil(io_, [&] { return writer_->rows() == 0; }, seconds(31)));
  EXPECT_EQ(Stored(0), 1u);
}

}  // namespace
}  // namespace rookery::session_manager
