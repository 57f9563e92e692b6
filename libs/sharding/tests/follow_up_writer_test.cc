#include "rookery/sharding/follow_up_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/sharding/record_shards.h"
#include "rookery/testing/fake_broker.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::sharding {
namespace {

using rookery::testing::FakeBroker;
using rookery::testing::FakeConsumer;
using rookery::testing::FakeLog;
using rookery::testing::VirtualTime;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint32_t kShard = 1;
constexpr std::uint32_t kTo = 2;

using Pending = FakeBroker::Pending;

/// A reader whose records are finished when the test says so.
class Reader final : public RecordShards<events::v1::RoomRecord> {
 public:
  void Apply(Shard&, std::shared_ptr<Record> record) override { applied.push_back(record->offset); }
  std::vector<std::int64_t> applied;
};

/// The calls by which the writer tells of one record.
struct Told {
  std::vector<std::int64_t> done;
  int refused = 0;
};

/// As a service may answer, by functions that may be missing.
struct Then {
  std::shared_ptr<Told> told;
  std::function<AfterRefusal(const absl::Status&, events::v1::UserRecord&)> on_refused = {};
  std::function<bool(events::v1::UserRecord&)> is_wanted = {};
  std::function<void()> on_said = {};

  void operator()(Shard&, std::int64_t offset) const {
    told->done.push_back(offset);
    if (on_said) on_said();
  }
  AfterRefusal OnRefused(Shard&, const absl::Status& why, events::v1::UserRecord& record) const {
    ++told->refused;
    return on_refused ? on_refused(why, record) : AfterRefusal::kSayAgain;
  }
  bool IsWanted(Shard&, events::v1::UserRecord& record) const { return !is_wanted || is_wanted(record); }
};

class FollowUpWriterTest : public ::testing::Test {
 protected:
  FollowUpWriterTest() {
    OwnerOptions options;
    options.instance = "one";
    options.topic = events::Topic::kRooms;
    owner_ = std::make_unique<ShardOwner>(
        io_.get_executor(), time_, options, log_, [](const auto&) {}, nullptr, metrics_);
    writer_ = std::make_unique<FollowUpWriter>(*owner_);
    owner_->JoinForTest(reader_, std::make_unique<FakeConsumer>(broker_, events::Topic::kRooms,
                                                                io_.get_executor(), consumer_));
    owner_->OnAssigned(kShard);
    Settle();
    Put();
    cause_ = reader_.applied.at(0);
  }
  ~FollowUpWriterTest() override { owner_->End(); }

  void Settle() {
    for (bool moved = true; moved;) {
      time_.Settle(io_);
      moved = broker_.Flush();
      if (consumer_ != nullptr) moved = consumer_->Give(*owner_) || moved;
    }
  }
  void Elapse(milliseconds duration) {
    const SteadyTime end = time_.Now() + duration;
    for (;;) {
      Settle();
      const SteadyTime next = time_.Settle(io_);
      if (next > end) break;
      time_.JumpTo(std::max(next, time_.Now()));
    }
    time_.JumpTo(end);
    Settle();
  }

  /// One more record in the shard.
  void Put() {
    broker_.records(events::Topic::kRooms, kShard)
        .push_back({events::v1::RoomRecord().SerializeAsString(), time_.UnixMillisNow()});
    Settle();
  }
  Shard& shard() { return *owner_->Find(kShard); }
  bool IsCauseFinished() { return shard().window.cursor() > cause_; }
  std::shared_ptr<Told> Say(const std::string& id, Then then = {}, FollowUpWriter::Cause cause = {}) {
    events::v1::UserRecord record;
    record.mutable_delivery()->mutable_stanza()->set_id(id);
    then.told = std::make_shared<Told>();
    writer_->Append(shard(), cause, {events::Topic::kUsers, kTo, "key of " + id}, record, then);
    return then.told;
  }
  std::vector<events::v1::UserRecord> Said() {
    std::vector<events::v1::UserRecord> said;
    for (const auto& entry : broker_.records(events::Topic::kUsers, kTo))
      EXPECT_TRUE(said.emplace_back().ParseFromString(entry.value));
    return said;
  }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    for (const auto& record : Said()) ids.push_back(record.delivery().stanza().id());
    return ids;
  }
  static std::string IdOf(const Pending& pending) {
    events::v1::UserRecord record;
    EXPECT_TRUE(record.ParseFromString(pending.value));
    return record.delivery().stanza().id();
  }
  /// The log refuses what is said to users.
  void Refuse(const absl::Status& why = absl::PermissionDeniedError("not yet")) {
    broker_.refuse = [why](const Pending& pending) {
      return pending.topic == events::Topic::kUsers ? why : absl::OkStatus();
    };
  }
  void RefuseNothing() { broker_.refuse = nullptr; }
  double refused() const { return owner_->metrics().records_refused.Value(); }
  double lost() const { return owner_->metrics().records_lost.Value(); }

  VirtualTime time_;
  asio::io_context io_;
  FakeBroker broker_;
  telemetry::Metrics metrics_{"test"};
  FakeLog log_{broker_, time_};
  Reader reader_;
  FakeConsumer* consumer_ = nullptr;
  std::unique_ptr<ShardOwner> owner_;
  std::unique_ptr<FollowUpWriter> writer_;
  /// The offset of a record of the shard that is not finished.
  std::int64_t cause_ = -1;
};

// One record may lead to very many, each with long lists of who is to hear it.
TEST_F(FollowUpWriterTest, WhatTheLogRefusesCountsAsUnfinished_TheShardIsReadNoFurther) {
  Refuse();
  const std::string id(200'000, 'x');
  for (int i = 0; i < 400; ++i) Say(id);
  Settle();
  EXPECT_GT(shard().refused_bytes, 400 * id.size());
  Put();
  EXPECT_TRUE(shard().paused);
  RefuseNothing();
  for (int i = 0; i < 20; ++i) {
    Elapse(seconds(1));
    owner_->Tick();
  }
  EXPECT_EQ(shard().refused_bytes, 0u);
  EXPECT_FALSE(shard().paused);
}

TEST_F(FollowUpWriterTest, TheCauseIsUnfinishedUntilTheLogHasIt_AndTheOriginSaysWhatItFollowsFrom) {
  broker_.holds = [](const Pending&) { return true; };
  const auto told = Say("a", {}, {cause_, 7});
  shard().window.Release(cause_);
  Settle();
  EXPECT_FALSE(IsCauseFinished());
  EXPECT_THAT(told->done, IsEmpty());
  broker_.holds = nullptr;
  Settle();
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_THAT(told->done, ElementsAre(0));
  const events::v1::Origin origin = Said().at(0).origin();
  EXPECT_EQ(origin.topic(), events::v1::TOPIC_ROOMS);
  EXPECT_EQ(origin.shard(), kShard);
  EXPECT_EQ(origin.epoch(), shard().epoch);
  EXPECT_EQ(origin.log().offset(), cause_);
  EXPECT_EQ(origin.log().part(), 7u);
  EXPECT_EQ(shard().follow_ups.count(), 1u);
}

TEST_F(FollowUpWriterTest, ADecisionHoldsARecordAndDoesNotNameIt) {
  Say("a", {}, {.offset = cause_});
  shard().window.Release(cause_);
  EXPECT_FALSE(IsCauseFinished());
  Settle();
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_FALSE(Said().at(0).origin().has_log());
  EXPECT_EQ(Said().at(0).origin().epoch(), shard().epoch);
  EXPECT_EQ(shard().follow_ups.count(), 0u);
}

TEST_F(FollowUpWriterTest, WhatACallerHasPutIntoTheOriginStays) {
  events::v1::UserRecord record;
  record.mutable_origin()->mutable_client()->set_count(3);
  writer_->Append(shard(), {}, {events::Topic::kUsers, kTo, "key"}, record, [](Shard&, std::int64_t) {});
  Settle();
  EXPECT_EQ(Said().at(0).origin().client().count(), 3u);
  EXPECT_EQ(Said().at(0).origin().shard(), kShard);
}

TEST_F(FollowUpWriterTest, ARecordWithoutOriginIsAppendedAsItIs) {
  events::v1::PresenceEvent event;
  event.set_jid("juliet@example.org/balcony");
  std::int64_t at = -1;
  writer_->Append(shard(), {.offset = cause_}, {events::Topic::kPresence, 0, "juliet@example.org"}, event,
                  [&](Shard&, std::int64_t offset) { at = offset; });
  Settle();
  EXPECT_EQ(at, 0);
  const auto& log = broker_.records(events::Topic::kPresence, 0);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].key, "juliet@example.org");
  EXPECT_EQ(log[0].value, event.SerializeAsString());
}

TEST_F(FollowUpWriterTest, WhoIsToldThrows_TheShardIsAcquiredAfresh_AndTheCauseIsAppliedAgain) {
  const double failed = owner_->metrics().failed_records.Value();
  Say("one", {.told = {}, .on_said = [] { throw std::runtime_error("half-way"); }}, {cause_, 1});
  Elapse(milliseconds(1000));
  EXPECT_EQ(owner_->metrics().failed_records.Value(), failed + 1);
  EXPECT_EQ(reader_.applied, (std::vector<std::int64_t>{cause_, cause_}));
  EXPECT_FALSE(IsCauseFinished());
}

TEST_F(FollowUpWriterTest, WhoIsToldOfOneThatWasRefusedThrows_TheCauseIsAppliedAgain) {
  const double failed = owner_->metrics().failed_records.Value();
  Refuse();
  Say("one", {.told = {}, .on_said = [] { throw std::runtime_error("half-way"); }}, {cause_, 1});
  Settle();
  RefuseNothing();
  Elapse(seconds(1));
  EXPECT_EQ(owner_->metrics().failed_records.Value(), failed + 1);
  EXPECT_EQ(reader_.applied, (std::vector<std::int64_t>{cause_, cause_}));
  EXPECT_FALSE(IsCauseFinished());
}

TEST_F(FollowUpWriterTest, WhoIsAskedWhetherItIsWantedThrows_TheCauseIsAppliedAgain) {
  const double failed = owner_->metrics().failed_records.Value();
  Refuse();
  Say("one", {.told = {}, .is_wanted = [](auto&) -> bool { throw std::runtime_error("half-way"); }},
      {cause_, 1});
  Elapse(seconds(1));
  EXPECT_EQ(owner_->metrics().failed_records.Value(), failed + 1);
  EXPECT_EQ(reader_.applied, (std::vector<std::int64_t>{cause_, cause_}));
  EXPECT_FALSE(IsCauseFinished());
  EXPECT_EQ(writer_->waiting(), 0u);
}

TEST_F(FollowUpWriterTest, WhoIsToldOfADecisionThrows_TheShardIsAcquiredAfresh) {
  const double failed = owner_->metrics().failed_steps.Value();
  Say("one", {.told = {}, .on_said = [] { throw std::runtime_error("half-way"); }});
  Elapse(milliseconds(1000));
  EXPECT_EQ(owner_->metrics().failed_steps.Value(), failed + 1);
  EXPECT_EQ(owner_->live(), 1u);
}

TEST_F(FollowUpWriterTest, RefusedOnce_IsSaidAgainAsItWas_AndTheCauseWaitsForIt) {
  Refuse();
  const auto told = Say("a", {}, {cause_, 7});
  shard().window.Release(cause_);
  Settle();
  RefuseNothing();
  EXPECT_EQ(told->refused, 1);
  EXPECT_EQ(writer_->waiting(), 1u);
  Elapse(milliseconds(199));
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_FALSE(IsCauseFinished());
  EXPECT_THAT(told->done, IsEmpty());
  Elapse(milliseconds(1));
  EXPECT_THAT(Ids(), ElementsAre("a"));
  EXPECT_EQ(broker_.records(events::Topic::kUsers, kTo)[0].key, "key of a");
  EXPECT_EQ(Said()[0].origin().log().part(), 7u);
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_THAT(told->done, ElementsAre(0));
  EXPECT_EQ(writer_->waiting(), 0u);
  EXPECT_EQ(refused(), 1);
  EXPECT_EQ(lost(), 0);
}

TEST_F(FollowUpWriterTest, RefusedForALongTime_IsSaidAgainWithLongerAndLongerPauses_AndCountedOnce) {
  int attempts = 0;
  broker_.refuse = [&](const Pending& pending) {
    if (pending.topic != events::Topic::kUsers) return absl::OkStatus();
    ++attempts;
    return absl::PermissionDeniedError("not yet");
  };
  const auto told = Say("a");
  Elapse(seconds(60));
  EXPECT_GT(attempts, 8);
  EXPECT_LT(attempts, 25);
  EXPECT_EQ(told->refused, 1);
  EXPECT_EQ(refused(), 1);
  RefuseNothing();
  Elapse(seconds(10));
  EXPECT_THAT(Ids(), ElementsAre("a"));
  EXPECT_THAT(told->done, ElementsAre(0));
}

TEST_F(FollowUpWriterTest, TooLarge_IsLost_AndTheCauseDoesNotWaitForIt) {
  Refuse(absl::InvalidArgumentError("too large"));
  const auto told = Say("a", {}, {cause_, 1});
  shard().window.Release(cause_);
  Settle();
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_THAT(told->done, ElementsAre(-1));
  EXPECT_EQ(refused(), 1);
  EXPECT_EQ(lost(), 1);
  RefuseNothing();
  Elapse(seconds(20));
  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(FollowUpWriterTest, TooLargeByTheTimeThatItIsSaidAgain_IsLost_AndThoseBehindItAreSaid) {
  Refuse();
  const auto told = Say("a", {}, {cause_, 1});
  shard().window.Release(cause_);
  Say("b");
  Settle();
  broker_.refuse = [](const Pending& pending) {
    return pending.topic == events::Topic::kUsers && IdOf(pending) == "a"
               ? absl::InvalidArgumentError("too large")
               : absl::OkStatus();
  };
  Elapse(seconds(20));
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_THAT(told->done, ElementsAre(-1));
  EXPECT_EQ(lost(), 1);
  EXPECT_THAT(Ids(), ElementsAre("b"));
}

TEST_F(FollowUpWriterTest, NotGivenBackByTheLog_IsLost) {
  log_.refusal = absl::UnavailableError("nothing is known");
  broker_.forgets = true;
  const auto told = Say("a", {}, {cause_, 1});
  shard().window.Release(cause_);
  Settle();
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_THAT(told->done, ElementsAre(-1));
  EXPECT_EQ(told->refused, 0);
  EXPECT_EQ(lost(), 1);
}

TEST_F(FollowUpWriterTest, TheServiceMayChangeARefusedRecord) {
  Refuse();
  Then then;
  then.on_refused = [](const absl::Status& why, events::v1::UserRecord& record) {
    EXPECT_TRUE(absl::IsPermissionDenied(why));
    record.mutable_delivery()->mutable_stanza()->set_id("changed");
    return AfterRefusal::kSayAgain;
  };
  Say("a", then);
  Settle();
  RefuseNothing();
  Elapse(milliseconds(200));
  EXPECT_THAT(Ids(), ElementsAre("changed"));
  EXPECT_EQ(broker_.records(events::Topic::kUsers, kTo)[0].key, "key of a");
}

TEST_F(FollowUpWriterTest, TheServiceLetsItBeLost_OrHasSeenToIt) {
  Refuse();
  Then lost_one;
  lost_one.on_refused = [](const auto&, auto&) { return AfterRefusal::kLost; };
  const auto told_lost = Say("a", lost_one);
  Settle();
  EXPECT_EQ(lost(), 1);
  // The cause is still unfinished when the service appends something else in its place.
  Then handled;
  bool was_finished = true;
  handled.on_refused = [&](const auto&, auto&) {
    was_finished = IsCauseFinished();
    return AfterRefusal::kHandled;
  };
  const auto told_handled = Say("b", handled, {cause_, 1});
  shard().window.Release(cause_);
  Settle();
  EXPECT_FALSE(was_finished);
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_EQ(lost(), 1);
  EXPECT_EQ(refused(), 2);
  EXPECT_THAT(told_lost->done, ElementsAre(-1));
  EXPECT_THAT(told_handled->done, ElementsAre(-1));
  RefuseNothing();
  Elapse(seconds(20));
  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(FollowUpWriterTest, OutdatedWhileItWaits_IsNotSaid_AndTheCauseDoesNotWaitForIt) {
  Refuse();
  Then then;
  bool is_outdated = false;
  then.is_wanted = [&](auto&) { return !is_outdated; };
  const auto told = Say("a", then, {cause_, 1});
  shard().window.Release(cause_);
  Elapse(seconds(5));
  EXPECT_FALSE(IsCauseFinished());
  is_outdated = true;
  RefuseNothing();
  Elapse(seconds(10));
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_TRUE(IsCauseFinished());
  EXPECT_THAT(told->done, ElementsAre(-1));
  EXPECT_EQ(lost(), 0);
}

TEST_F(FollowUpWriterTest, PartlyOutdated_TheRestIsSaid) {
  Refuse();
  Then then;
  then.is_wanted = [](events::v1::UserRecord& record) {
    record.mutable_delivery()->mutable_stanza()->set_id("rest");
    return true;
  };
  Say("a", then);
  Settle();
  RefuseNothing();
  Elapse(milliseconds(200));
  EXPECT_THAT(Ids(), ElementsAre("rest"));
}

TEST_F(FollowUpWriterTest, ReleasedBeforeTheLogAnswers_NobodyIsTold) {
  broker_.holds = [](const Pending&) { return true; };
  const auto refused_late = Say("a");
  const auto taken_late = Say("b");
  owner_->OnLost(kShard);
  broker_.refuse = [](const Pending& pending) {
    return IdOf(pending) == "a" ? absl::PermissionDeniedError("no") : absl::OkStatus();
  };
  for (Pending& pending : broker_.in_flight) pending.is_dropped = false;
  broker_.holds = nullptr;
  Elapse(seconds(20));
  EXPECT_THAT(Ids(), ElementsAre("b"));
  EXPECT_THAT(taken_late->done, IsEmpty());
  EXPECT_THAT(refused_late->done, IsEmpty());
  EXPECT_EQ(refused_late->refused, 0);
  EXPECT_EQ(refused(), 0);
}

TEST_F(FollowUpWriterTest, ReleasedWhileItWaits_IsNotSaidAgain_AndNothingIsKept) {
  Refuse();
  const auto first = Say("a");
  const auto second = Say("b");
  Settle();
  EXPECT_EQ(writer_->waiting(), 2u);
  owner_->OnLost(kShard);
  RefuseNothing();
  Elapse(seconds(20));
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_THAT(first->done, IsEmpty());
  EXPECT_THAT(second->done, IsEmpty());
  EXPECT_EQ(writer_->waiting(), 0u);
  // Whatever the kept one held is gone with it.
  EXPECT_EQ(first.use_count(), 1);
}

TEST_F(FollowUpWriterTest, ReleasedWhileItWaits_AndOursAgain_WhatIsRefusedThenIsSaidAgain) {
  Refuse();
  Say("a");
  Settle();
  owner_->OnLost(kShard);
  owner_->OnAssigned(kShard);
  Settle();
  Say("b");
  Settle();
  RefuseNothing();
  Elapse(seconds(20));
  EXPECT_THAT(Ids(), ElementsAre("b"));
}

TEST_F(FollowUpWriterTest, AfterTheReleaseNothingIsAppended) {
  const std::shared_ptr<Shard> kept = owner_->Shared(kShard);
  owner_->OnLost(kShard);
  events::v1::UserRecord record;
  bool is_told = false;
  writer_->Append(*kept, {cause_, 1}, {events::Topic::kUsers, kTo, "key"}, record,
                  [&](Shard&, std::int64_t) { is_told = true; });
  Settle();
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_FALSE(is_told);
}

TEST_F(FollowUpWriterTest, Aborted_NobodyIsTold_AndNothingIsSaidAgain) {
  const auto told = Say("a", {}, {cause_, 1});
  shard().window.Release(cause_);
  log_.DropInFlight();
  Elapse(seconds(20));
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_THAT(told->done, IsEmpty());
  EXPECT_EQ(told->refused, 0);
  EXPECT_FALSE(IsCauseFinished());
  EXPECT_EQ(refused(), 0);
}

TEST_F(FollowUpWriterTest, ThoseThatAreSaidAgainKeepTheirOrder_WhateverTheLogDoesWithEach) {
  Refuse();
  Say("a");
  Settle();
  Elapse(milliseconds(150));
  Say("b");
  Say("c");
  Settle();
  // `a` would be said again at 200 ms, at 300 to 600 ms and so on, the others at 350 ms.
  int refusals = 3;
  broker_.refuse = [&](const Pending& pending) {
    if (pending.topic != events::Topic::kUsers) return absl::OkStatus();
    EXPECT_EQ(IdOf(pending), refusals > 0 ? "a" : IdOf(pending));
    return IdOf(pending) == "a" && refusals-- > 0 ? absl::PermissionDeniedError("not yet") : absl::OkStatus();
  };
  Elapse(seconds(20));
  EXPECT_THAT(Ids(), ElementsAre("a", "b", "c"));
}

TEST_F(FollowUpWriterTest, OneThatIsRefusedForEverHoldsBackOnlyItsPartition) {
  broker_.refuse = [](const Pending& pending) {
    return pending.topic == events::Topic::kUsers && pending.partition == kTo
               ? absl::NotFoundError("no such partition")
               : absl::OkStatus();
  };
  Say("a");
  int refusals = 1;
  const auto refuse_all = broker_.refuse;
  broker_.refuse = [&](const Pending& pending) {
    if (pending.partition != kTo && refusals-- > 0) return absl::PermissionDeniedError("not yet");
    return refuse_all(pending);
  };
  events::v1::UserRecord record;
  writer_->Append(shard(), {}, {events::Topic::kUsers, 0, "key"}, record, [](Shard&, std::int64_t) {});
  Elapse(milliseconds(200));
  EXPECT_EQ(broker_.records(events::Topic::kUsers, 0).size(), 1u);
  EXPECT_EQ(writer_->waiting(), 1u);
}

TEST_F(FollowUpWriterTest, WhatWasAppendedLaterOvertakesWhatIsSaidAgain) {
  Refuse();
  Say("a");
  Settle();
  RefuseNothing();
  Say("b");
  Settle();
  EXPECT_THAT(Ids(), ElementsAre("b"));
  Elapse(milliseconds(200));
  EXPECT_THAT(Ids(), ElementsAre("b", "a"));
}

}  // namespace
}  // namespace rookery::sharding
