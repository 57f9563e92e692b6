#include "muc_cluster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "rookery/telemetry/log.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc::testing {

namespace {

sharding::OwnerOptions Named(sharding::OwnerOptions options, const std::string& name) {
  options.instance = name;
  options.topic = events::Topic::kRooms;
  return options;
}

constexpr std::chrono::milliseconds kTick{100};
/// In one turn of the loop.
constexpr std::size_t kMostAppends = 5;
constexpr int kMostRead = 16;

std::string XmlOf(const xmpp::Stanza& stanza, std::string_view to = {}) {
  std::string xml;
  xmpp::AppendXml(xml, stanza, xmpp::Framing::kStream, to);
  return xml;
}

}  // namespace

// ---- MucProcess -----------------------------------------------------------------

MucProcess::MucProcess(MucCluster& cluster, std::string process_name)
    : name(std::move(process_name)),
      settings(cluster.settings_),
      log(cluster.broker_, cluster.time_),
      store(cluster.database_),
      desk(settings, store),
      owner(
          cluster.io_.get_executor(), cluster.time_, Named(cluster.options_, name), log, [](const auto&) {},
          {}, metrics),
      shards(cluster.io_.get_executor(), settings, cluster.time_, owner, cluster.broker_.topology(), store,
             desk, muc_metrics),
      timer_(cluster.io_.get_executor(), kTick, [this] { shards.Tick(); }) {
  const absl::Status joined = owner.Join(shards, [this, &cluster](kafka::ConsumerHandler&) {
    return absl::StatusOr<std::unique_ptr<kafka::Consumer>>(std::make_unique<FakeConsumer>(
        cluster.broker_, events::Topic::kRooms, cluster.io_.get_executor(), consumer));
  });
  EXPECT_TRUE(joined.ok());
}

MucProcess::~MucProcess() { owner.End(); }

RoomSlot* MucProcess::slot(std::string_view room) {
  for (const auto& [number, shared] : owner.shards()) {
    const auto& rooms = static_cast<RoomShard&>(*shared).rooms;
    if (const auto it = rooms.find(room); it != rooms.end()) return it->second.get();
  }
  return nullptr;
}

// ---- Audience -------------------------------------------------------------------

Audience::Audience(FakeBroker& broker) : broker_(broker) {
  const std::uint32_t partitions = broker.topology().partitions(events::Topic::kUsers);
  filters_.reserve(std::size_t{2} * partitions);
  while (filters_.size() < std::size_t{2} * partitions) filters_.emplace_back(std::chrono::minutes(2));
}

bool Audience::Accepts(std::size_t at, const events::v1::Origin& origin, std::int64_t timestamp_ms) {
  switch (filters_[at].Check(origin, timestamp_ms)) {
    case sharding::DuplicateFilter::Verdict::kApply:
      return true;
    case sharding::DuplicateFilter::Verdict::kDuplicate:
      ++repetitions;
      return false;
    case sharding::DuplicateFilter::Verdict::kStaleEpoch:
      ++stale;
      return false;
  }
  return false;
}

void Audience::Read() {
  const std::uint32_t partitions = broker_.topology().partitions(events::Topic::kUsers);
  for (std::uint32_t partition = 0; partition < partitions; ++partition) {
    const auto& users = broker_.records(events::Topic::kUsers, partition);
    for (std::size_t& next = read_[{events::Topic::kUsers, partition}]; next < users.size(); ++next) {
      events::v1::UserRecord record;
      ASSERT_TRUE(record.ParseFromString(users[next].value));
      if (!Accepts(partition, record.origin(), users[next].timestamp_ms)) continue;
      const auto hear = [&](const std::string& to, const xmpp::Stanza& stanza) {
        EXPECT_EQ(broker_.topology().PartitionOf(events::Topic::kUsers, xmpp::BareOf(to)), partition);
        heard[to].push_back(XmlOf(stanza, to));
        dialogues[{std::string(xmpp::BareOf(stanza.from())), to}].push_back(heard[to].back());
      };
      if (record.has_delivery()) hear(record.delivery().stanza().to(), record.delivery().stanza());
      for (const std::string& to : record.fanout().recipients()) hear(to, record.fanout().stanza());
    }
    const auto& messages = broker_.records(events::Topic::kMessages, partition);
    for (std::size_t& next = read_[{events::Topic::kMessages, partition}]; next < messages.size(); ++next) {
      events::v1::MessageEvent event;
      ASSERT_TRUE(event.ParseFromString(messages[next].value));
      if (!Accepts(partitions + partition, event.origin(), messages[next].timestamp_ms)) continue;
      archived[event.owner()].push_back(std::to_string(event.archive_id()) + " " + XmlOf(event.stanza()));
    }
  }
}

// ---- MucCluster -----------------------------------------------------------------

MucCluster::MucCluster() {
  // Thousands of them are made.
  static const bool is_quiet = [] {
    telemetry::InitLog("muc", "test", "error");
    return true;
  }();
  (void)is_quiet;
  settings_.domains = {"example.org"};
  settings_.occupant_id_key = std::string(32, 'k');
  settings_.admits_groupchat_1 = true;
  settings_.max_rooms_per_user = 0;
}

MucCluster::~MucCluster() {
  processes_.clear();
  io_.restart();
  io_.poll();
}

MucProcess& MucCluster::Start(std::string name) {
  if (name.empty()) name = "muc-" + std::to_string(started_);
  ++started_;
  return *processes_.emplace_back(std::make_unique<MucProcess>(*this, std::move(name)));
}

void MucCluster::Assign(MucProcess& process, std::uint32_t shard) {
  process.owner.OnAssigned(static_cast<std::int32_t>(shard));
}

void MucCluster::Kill(MucProcess& process, bool lose) {
  if (!lose) process.log.LeaveInFlight();
  std::erase_if(processes_, [&](const auto& one) { return one.get() == &process; });
}

bool MucCluster::Revoke(MucProcess& process, std::uint32_t shard) {
  process.owner.OnRevoking(static_cast<std::int32_t>(shard));
  return RunUntil([&] { return process.owner.Find(shard) == nullptr; }, std::chrono::seconds(10));
}

void MucCluster::Doom(MucProcess& process, bool lose, std::function<void()> on_death) {
  doomed_ = &process;
  loses_ = lose;
  on_death_ = std::move(on_death);
  // Nothing more of what is ready runs before that.
  io_.stop();
}

void MucCluster::KillDoomed() {
  if (doomed_ == nullptr) return;
  Kill(*std::exchange(doomed_, nullptr), loses_);
  if (const auto on_death = std::exchange(on_death_, nullptr)) on_death();
}

void MucCluster::Settle() {
  for (bool moved = true; moved;) {
    time_.Settle(io_);
    moved = doomed_ != nullptr;
    KillDoomed();
    // Not always as many, so that the log is ahead of the loop and behind it.
    turns_ = (turns_ + 1) % kMostAppends;
    for (std::size_t i = 0; i <= turns_ && broker_.Flush(1); ++i) {
      moved = true;
      if (on_step_) on_step_();
      KillDoomed();
    }
    for (std::size_t i = 0; i < processes_.size(); ++i) {
      MucProcess& process = *processes_[i];
      for (int read = 0; read < kMostRead && process.consumer != nullptr; ++read) {
        if (!process.consumer->Give(process.owner)) break;
        moved = true;
      }
    }
  }
}

void MucCluster::Elapse(std::chrono::milliseconds duration) {
  const SteadyTime end = time_.Now() + duration;
  for (;;) {
    Settle();
    const SteadyTime next = time_.Settle(io_);
    if (next > end) break;
    time_.JumpTo(std::max(next, time_.Now()));
    if (on_step_) on_step_();
    KillDoomed();
  }
  time_.JumpTo(end);
}

bool MucCluster::RunUntil(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const SteadyTime end = time_.Now() + limit;
  for (;;) {
    Settle();
    if (done()) return true;
    const SteadyTime next = time_.Settle(io_);
    if (next > end) return false;
    time_.JumpTo(std::max(next, time_.Now()));
  }
}

bool MucCluster::IsLive(MucProcess& process, std::uint32_t shard) {
  const sharding::Shard* found = process.owner.Find(shard);
  return found != nullptr && found->live();
}

std::uint32_t MucCluster::ShardOf(std::string_view bare) const {
  return broker_.topology().PartitionOf(events::Topic::kRooms, bare);
}

std::string MucCluster::RoomIn(std::uint32_t shard, int n) const {
  for (int i = 0;; ++i) {
    std::string room = "room" + std::to_string(i) + "@conference.example.org";
    if (ShardOf(room) == shard && n-- == 0) return room;
  }
}

std::int64_t MucCluster::Say(std::string_view xml) {
  const auto elements = xmpp::ParsePayload(xml);
  EXPECT_TRUE(elements.ok()) << xml;
  events::v1::RoomRecord record;
  xmpp::Stanza& stanza = *record.mutable_delivery()->mutable_stanza();
  stanza = *xmpp::FromElement(elements->front());
  record.set_received_at_ms(time_.UnixMillisNow());
  auto& client = *record.mutable_origin()->mutable_client();
  client.set_session_id(stanza.from());
  client.set_count(++counts_[stanza.from()]);
  last_shard_ = ShardOf(xmpp::BareOf(stanza.to()));
  last_ = record.SerializeAsString();
  return SayAgain();
}

void MucCluster::FillUp(std::size_t multiple) {
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    events::v1::RoomRecord nothing;
    nothing.mutable_origin()->set_topic(events::v1::TOPIC_ROOMS);
    nothing.mutable_origin()->set_shard(shard);
    nothing.mutable_verdict()->set_offset(-1);
    const std::string bytes = nothing.SerializeAsString();
    while (Records(shard).size() % multiple != 0) Records(shard).push_back({bytes, time_.UnixMillisNow()});
  }
}

std::int64_t MucCluster::SayAgain() {
  Records(last_shard_).push_back({last_, time_.UnixMillisNow()});
  return static_cast<std::int64_t>(Records(last_shard_).size()) - 1;
}

std::int64_t MucCluster::Enter(const std::string& who, const std::string& room, const std::string& nick) {
  return Say("<presence from='" + who + "' to='" + room + "/" + nick + "'/>");
}

std::int64_t MucCluster::EnterByMuc(const std::string& who, const std::string& room,
                                    const std::string& nick) {
  return Say("<presence from='" + who + "' to='" + room + "/" + nick +
             "'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
}

std::int64_t MucCluster::Leave(const std::string& who, const std::string& room) {
  return Say("<presence type='unavailable' from='" + who + "' to='" + room + "/me'/>");
}

std::int64_t MucCluster::Show(const std::string& who, const std::string& address, const std::string& status) {
  return Say("<presence from='" + who + "' to='" + address + "'><status>" + status + "</status></presence>");
}

std::vector<events::v1::UserRecord> MucCluster::SaidOf(std::uint32_t shard, std::int64_t offset) {
  std::vector<events::v1::UserRecord> said;
  for (std::uint32_t partition = 0; partition < kShards; ++partition) {
    for (const FakeBroker::Record& kept : broker_.records(events::Topic::kUsers, partition)) {
      events::v1::UserRecord record;
      EXPECT_TRUE(record.ParseFromString(kept.value));
      if (record.origin().shard() == shard && record.origin().log().offset() == offset)
        said.push_back(std::move(record));
    }
  }
  return said;
}

std::vector<events::v1::RoomVerdict> MucCluster::Verdicts(std::uint32_t shard) {
  std::vector<events::v1::RoomVerdict> verdicts;
  for (const FakeBroker::Record& kept : Records(shard)) {
    events::v1::RoomRecord record;
    EXPECT_TRUE(record.ParseFromString(kept.value));
    if (record.has_verdict()) verdicts.push_back(record.verdict());
  }
  return verdicts;
}

std::vector<std::string> MucCluster::TakeHeard(const std::string& full_jid) {
  audience_.Read();
  std::vector<std::string> heard = std::exchange(audience_.heard[full_jid], {});
  std::erase_if(heard, [](const std::string& xml) { return xml.find("<subject/>") != std::string::npos; });
  return heard;
}

}  // namespace rookery::muc::testing
