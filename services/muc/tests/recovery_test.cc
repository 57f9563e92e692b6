// The work of a new owner of a room's shard: R2, R5.
#include <gtest/gtest.h>

#include <stdexcept>

#include "muc_cluster.h"

namespace rookery::muc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Recovery : public ::testing::Test, protected MucCluster {
 protected:
  const std::string room_ = RoomIn(1);
  const std::string crone_ = "crone1@example.org/desktop";
  const std::string hag_ = "hag66@example.org/pda";
};

TEST_F(Recovery, R2_NothingIsAppliedBeforeOurFenceIsRead) {
  for (int i = 0; i < 50; ++i) Enter(crone_, RoomIn(1, i), "firstwitch");
  MucProcess& process = Start();
  bool was_read = false;
  database_.on_call = [&](std::string_view call) -> Task<void> {
    if (call == "Load") was_read = process.shard(1).next_read > process.shard(1).fence_offset;
    co_return;
  };
  Assign(process, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
  EXPECT_TRUE(was_read);
  EXPECT_EQ(database_.calls["Load"], 1) << "together";
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 50);
}

TEST_F(Recovery, R2_NotLiveBeforeWhatCameBeforeIsApplied) {
  Enter(crone_, room_, "firstwitch");
  MucProcess& process = Start();
  database_.on_call = [&](std::string_view call) -> Task<void> {
    if (call == "Load") co_await runtime::Sleep(seconds(2));
  };
  Assign(process, 1);
  Elapse(milliseconds(500));
  Enter(hag_, room_, "thirdwitch");
  Elapse(milliseconds(500));
  EXPECT_FALSE(IsLive(process, 1));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 0);
  Elapse(seconds(2));
  EXPECT_TRUE(IsLive(process, 1));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), 2);
}

TEST_F(Recovery, ApplyingARecordFails_ItIsAppliedByAShardThatIsAcquiredAfresh) {
  MucProcess& process = Start();
  Assign(process, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
  const auto fail_once = [this] {
    broker_.on_append = [this](events::Topic topic) {
      if (topic != events::Topic::kUsers) return;
      broker_.on_append = nullptr;
      throw std::runtime_error("half-way");
    };
  };
  // As it is read, and among several that have waited for their room.
  Enter(crone_, room_, "firstwitch");
  Elapse(seconds(1));
  fail_once();
  Show(crone_, room_ + "/firstwitch", "one");
  Elapse(seconds(2));
  EXPECT_FALSE(broker_.on_append);
  ASSERT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
  TakeHeard(crone_);
  database_.on_call = [](std::string_view call) -> Task<void> {
    if (call == "Load") co_await runtime::Sleep(seconds(2));
  };
  const std::string other = RoomIn(1, 1);
  Enter(hag_, other, "thirdwitch");
  for (const char* status : {"two", "three"}) Show(hag_, other + "/thirdwitch", status);
  Elapse(seconds(1));
  fail_once();
  Elapse(seconds(5));
  EXPECT_FALSE(broker_.on_append);
  ASSERT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
  Elapse(seconds(5));
  EXPECT_EQ(TakeHeard(hag_).size(), 3u);
  EXPECT_EQ(process.shard(1).window.size(), 0u);
  EXPECT_EQ(process.owner.metrics().failed_records.Value(), 2);
}

TEST_F(Recovery, AllWereOffUntilKafkaHadForgottenTheGroup_NothingIsAppliedAgain) {
  for (const bool is_orderly : {true, false}) {
    MucProcess& process = Start();
    Assign(process, 1);
    ASSERT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
    Enter(crone_, room_, "firstwitch");
    for (int i = 0; i < 10; ++i) Show(crone_, room_ + "/firstwitch", "mood " + std::to_string(i));
    Elapse(std::chrono::minutes(2));
    TakeHeard(crone_);
    if (is_orderly) ASSERT_TRUE(Revoke(process, 1));
    Kill(process);
    broker_.committed(events::Topic::kRooms).clear();

    MucProcess& next = Start();
    Assign(next, 1);
    ASSERT_TRUE(RunUntil([&] { return IsLive(next, 1); }));
    EXPECT_EQ(next.muc_metrics.stanzas.Value(), 0);
    Show(crone_, room_ + "/firstwitch", "new");
    Elapse(seconds(1));
    EXPECT_EQ(TakeHeard(crone_).size(), 1u);
    Leave(crone_, room_);
    Elapse(seconds(2));
    ASSERT_TRUE(Revoke(next, 1));
    Kill(next);
    TakeHeard(crone_);
  }
}

TEST_F(Recovery, R2_ARoomThatCannotBeRead_KeepsNoShardFromGoingLive) {
  database_.unreadable.insert(room_);
  Leave(crone_, room_);
  const std::string other = RoomIn(1, 1);
  Enter(hag_, other, "thirdwitch");
  MucProcess& process = Start();
  Assign(process, 1);
  Elapse(RoomLoader::kPatience + seconds(1));
  ASSERT_TRUE(IsLive(process, 1));
  EXPECT_NE(process.slot(other)->room->FindNick("thirdwitch"), nullptr);
}

TEST_F(Recovery, R2_MoreThanCanBeKept_IsAppliedAsItComes) {
  // Nothing more would be read before what was read is finished.
  options_.max_unfinished_bytes = RoomShards::kMaxKeptBytes / 4;
  const std::string much(1'000'000, '.');
  constexpr int kCount = 100;
  for (int i = 0; i < kCount; ++i) Show(crone_, room_ + "/nick", std::to_string(i % 10) + much);
  MucProcess& process = Start();
  Assign(process, 1);
  ASSERT_TRUE(RunUntil([&] { return IsLive(process, 1); }));
  Elapse(seconds(2));
  EXPECT_EQ(process.muc_metrics.stanzas.Value(), kCount);
  EXPECT_EQ(process.shard(1).window.size(), 0u);
}

TEST_F(Recovery, R3_WhatAnEarlierOwnerMayHaveApplied_WaitsForItsRoom) {
  Enter(crone_, room_, "firstwitch");
  database_.unreadable.insert(room_);
  MucProcess& process = Start();
  Assign(process, 1);
  Elapse(2 * RoomLoader::kPatience + seconds(1));
  ASSERT_TRUE(IsLive(process, 1));
  EXPECT_TRUE(Verdicts(1).empty());
  // Records that come now were applied by nobody.
  const std::int64_t late = EnterByMuc(hag_, room_, "thirdwitch");
  Elapse(RoomLoader::kPatience + seconds(1));
  ASSERT_EQ(Verdicts(1).size(), 1u);
  EXPECT_EQ(Verdicts(1).front().offset(), late);
  database_.unreadable.clear();
  Elapse(seconds(5));
  EXPECT_NE(process.slot(room_)->room->FindNick("firstwitch"), nullptr);
  EXPECT_EQ(process.slot(room_)->room->FindNick("thirdwitch"), nullptr);
}

// ---- deaths ---------------------------------------------------------------------

/// Rooms as they are in the store, but for when that was written.
std::map<std::string, std::vector<std::string>> RoomsOf(const MemoryRoomDatabase& database) {
  std::map<std::string, std::vector<std::string>> rooms;
  for (const auto& [name, room] : database.rooms) {
    std::vector<std::string>& parts = rooms[name];
    parts.push_back(room.state.ShortDebugString());
    for (const auto& [jid, entry] : room.affiliations) parts.push_back(entry.ShortDebugString());
    for (const auto& [nick, occupant] : room.occupants) parts.push_back(occupant.ShortDebugString());
    for (const auto& [id, message] : room.history) parts.push_back(message.ShortDebugString());
  }
  return rooms;
}

struct Death {
  /// In steps since the process began; 0: never.
  int at = 0;
  bool loses = true;
  /// A store's call is made, and its answer is lost.
  bool is_after_call = false;
};

/// The outcome of a run.
struct Life {
  decltype(Audience::dialogues) heard;
  decltype(Audience::archived) archived;
  std::map<std::string, std::vector<std::string>> rooms;
  /// The steps of the first process; and which of them were calls of the store.
  int steps = 0;
  std::set<int> calls;
  int repetitions = 0;
  int deaths = 0;
};

/// Two rooms of one shard and one of another, from their beginning to their end, while processes die.
class Lives {
 public:
  /// `asks`: before a room is made.
  explicit Lives(std::vector<Death> deaths, bool asks = false) : deaths_(std::move(deaths)) {
    if (asks) cluster_.settings_.max_rooms_per_user = 100;
  }

  Life Run() {
    cluster_.on_step_ = [this] { (void)Step(); };
    cluster_.database_.on_call = [this](std::string_view) -> Task<void> {
      if (life_.deaths == 0) life_.calls.insert(steps_ + 1);
      if (!Step()) co_return;
      if (current().is_after_call) {
        cluster_.database_.HoldAnswers();
        co_return;
      }
      for (;;) co_await runtime::Sleep(std::chrono::hours(1));
    };
    Begin();
    // Rooms are made again after they were destroyed.
    for (const bool destroys : {true, false}) Play(destroys);
    cluster_.Elapse(seconds(1));
    // Nobody dies any more.
    cluster_.on_step_ = nullptr;
    cluster_.database_.on_call = nullptr;
    cluster_.Elapse(seconds(2));
    cluster_.audience_.Read();
    life_.heard = cluster_.audience_.dialogues;
    life_.archived = cluster_.audience_.archived;
    life_.repetitions = cluster_.audience_.repetitions;
    EXPECT_EQ(cluster_.audience_.stale, 0);
    EXPECT_FALSE(life_.archived.empty());
    life_.rooms = RoomsOf(cluster_.database_);
    for (std::uint32_t shard = 0; shard < MucCluster::kShards; ++shard) {
      EXPECT_TRUE(cluster_.IsLive(*cluster_.processes_.back(), shard));
      EXPECT_EQ(cluster_.committed(shard), static_cast<std::int64_t>(cluster_.Records(shard).size()));
    }
    return std::move(life_);
  }

 private:
  const Death& current() const { return deaths_[static_cast<std::size_t>(life_.deaths)]; }

  void Begin() {
    steps_ = 0;
    MucProcess& process = cluster_.Start();
    for (std::uint32_t shard = 0; shard < MucCluster::kShards; ++shard) cluster_.Assign(process, shard);
  }

  /// True: the process dies here.
  bool Step() {
    ++steps_;
    if (life_.deaths == 0) life_.steps = steps_;
    if (static_cast<std::size_t>(life_.deaths) == deaths_.size() || steps_ != current().at) return false;
    cluster_.Doom(*cluster_.processes_.back(), current().loses, [this] {
      cluster_.database_.ReleaseAnswers();
      ++life_.deaths;
      Begin();
    });
    return true;
  }

  void Play(bool destroys) {
    MucCluster& c = cluster_;
    const std::string coven = c.RoomIn(1), cave = c.RoomIn(1, 1), heath = c.RoomIn(2), moor = c.RoomIn(2, 1);
    const std::string crone = "crone1@example.org/desktop", hag = "hag66@example.org/pda";
    const std::string wicca = "wiccarocks@example.org/laptop", phone = "crone1@example.org/phone";
    const auto talk = [&](const std::string& who, const std::string& room, const std::string& id) {
      c.Say("<message type='groupchat' id='" + id + "' from='" + who + "' to='" + room + "'><body>" + id +
            "</body></message>");
    };
    const auto of_owner = [&](const std::string& room, const std::string& payload) {
      c.Say("<iq type='set' id='c' from='" + crone + "' to='" + room +
            "'><query xmlns='http://jabber.org/protocol/muc#owner'>" + payload + "</query></iq>");
    };
    const auto configure = [&](const std::string& room, const std::string& field) {
      of_owner(room,
               "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
               "<value>http://jabber.org/protocol/muc#roomconfig</value></field><field var='" +
                   field + "'><value>1</value></field></x>");
    };
    c.Enter(crone, coven, "firstwitch");
    configure(coven, "muc#roomconfig_enablelogging");
    Pause();
    c.Enter(wicca, coven, "secondwitch");
    c.Enter(hag, coven, "thirdwitch");
    talk(crone, coven, "1");
    talk(hag, coven, "2");
    c.Enter(hag, cave, "hermit");
    Pause();
    c.Show(wicca, coven + "/secondwitch", "brewing");
    c.Enter(crone, cave, "guest");
    talk(crone, cave, "3");
    c.Enter(phone, coven, "firstwitch");
    talk(wicca, coven, "4");
    talk("nobody@example.org/x", coven, "5");  // is refused
    Pause();
    c.Enter(wicca, coven, "oldhag");  // a new nick
    c.Enter(crone, heath, "alone");
    configure(heath, "muc#roomconfig_persistentroom");
    c.Say("<message from='" + wicca + "' to='" + coven +
          "/thirdwitch' type='chat' id='6'><body>psst</body></message>");
    c.Leave(crone, cave);
    c.Leave(hag, cave);  // and it is gone
    c.Say("<iq type='get' id='7' from='" + wicca +
          "' to='conference.example.org'><query "
          "xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    Pause();
    c.Enter(crone, moor, "alone");
    c.Enter(hag, moor, "alone");  // a conflict
    c.Leave(crone, moor);
    c.Enter(wicca, cave, "new");  // another of the same name, with another owner
    c.Leave(crone, heath);
    talk(hag, coven, "8");
    c.Leave(hag, coven);
    Pause();
    c.Leave(crone, coven);
    c.Leave(wicca, cave);
    talk(phone, coven, "9");
    c.Enter(hag, heath, "visitor");  // it has stayed
    if (destroys) of_owner(heath, "<destroy/>");
    c.Leave(wicca, coven);
    c.Leave(phone, coven);
    Pause();
  }
  void Pause() {
    cluster_.Elapse(milliseconds(330));
    cluster_.FillUp(32);
  }

  const std::vector<Death> deaths_;
  Life life_;
  int steps_ = 0;
  MucCluster cluster_;
};

void ExpectTheSame(const Life& undisturbed, const Life& life) {
  EXPECT_EQ(life.rooms, undisturbed.rooms);
  EXPECT_EQ(life.archived, undisturbed.archived);
  ASSERT_EQ(life.heard.size(), undisturbed.heard.size());
  for (const auto& [pair, said] : undisturbed.heard)
    ASSERT_EQ(life.heard.at(pair), said) << pair.first << " to " << pair.second;
}

class Deaths : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(WithAndWithoutVerdicts, Deaths, ::testing::Bool());

TEST_P(Deaths, R5_AtAnyPoint_EverybodyHearsEverythingOnceAndInOrder) {
  const Life undisturbed = Lives({}, GetParam()).Run();
  ASSERT_EQ(undisturbed.repetitions, 0);
  ASSERT_GT(undisturbed.steps, 100);
  int repetitions = 0;
  for (int at = 1; at <= undisturbed.steps; ++at) {
    for (const bool loses : {true, false}) {
      for (const bool is_after_call : {true, false}) {
        if (is_after_call && !undisturbed.calls.contains(at)) continue;
        SCOPED_TRACE(::testing::Message()
                     << "at " << at << (loses ? ", loses" : "") << (is_after_call ? ", after the call" : ""));
        const Life life = Lives({{at, loses, is_after_call}}, GetParam()).Run();
        ASSERT_EQ(life.deaths, 1);
        ExpectTheSame(undisturbed, life);
        if (::testing::Test::HasFailure()) return;
        repetitions += life.repetitions;
      }
    }
  }
  EXPECT_GT(repetitions, 0);
}

TEST_P(Deaths, R5_OfTheNextOwnerToo) {
  const Life undisturbed = Lives({}, GetParam()).Run();
  for (int at = 1; at <= undisturbed.steps; at += 9) {
    for (const int then : {1, 2, 3, 5, 8, 13, 21, 34}) {
      SCOPED_TRACE(::testing::Message() << "at " << at << ", then at " << then);
      const bool loses = (at + then) % 2 == 0;
      const Life life = Lives({{at, loses, at % 3 == 0}, {then, !loses, at % 3 != 0}}, GetParam()).Run();
      ExpectTheSame(undisturbed, life);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace rookery::muc::testing
