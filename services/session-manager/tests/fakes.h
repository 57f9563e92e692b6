#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "memory_stores.h"
#include "ports/account_store.h"
#include "ports/membership.h"
#include "ports/roster.h"
#include "ports/service_disco.h"
#include "ports/session_directory.h"
#include "rookery/base/clock.h"
#include "rookery/events/log.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/kafka/consumer.h"
#include "rookery/kafka/refusal.h"

namespace rookery::session_manager {

/// The topics in memory. An append waits in `in_flight` until Flush: a process may die before.
class FakeLog {
 public:
  explicit FakeLog(std::uint32_t partitions) : users(partitions), rooms(partitions) {}

  struct Pending {
    int node;
    events::Topic topic;
    std::uint32_t partition;
    std::string key;
    std::string value;
    events::Log::OnAppended appended;
    bool is_dropped = false;
  };
  /// Records that a process (`node`) has given and the broker does not have.
  std::deque<Pending> in_flight;
  /// Appends stay in flight while set.
  bool held = false;
  /// So do those to these partitions of `users`, while others pass them.
  std::set<std::uint32_t> held_partitions;
  /// Asked for each append before it reaches the log: what is not OK is refused.
  std::function<absl::Status(std::uint32_t partition, const events::v1::UserRecord&)> refuse;
  std::function<absl::Status(std::uint32_t partition, const events::v1::RoomRecord&)> refuse_room;
  /// Of those to `messages` and `presence`. `key`: whose they are.
  std::function<absl::Status(events::Topic, std::string_view key)> refuse_event;
  /// Before each. May throw.
  std::function<void(events::Topic)> on_append;
  /// Before each to `users`. May throw.
  std::function<void(const events::v1::UserRecord&)> on_user_record;

  std::vector<std::vector<std::string>> users;
  struct RoomEntry {
    std::string key;
    events::v1::RoomRecord record;
  };
  std::vector<std::vector<RoomEntry>> rooms;
  /// Set: when each record came counts for how far back an owner reads; else owners read everything.
  const Clock* clock = nullptr;
  std::vector<std::vector<std::int64_t>> times;
  std::vector<events::v1::MessageEvent> messages;
  std::vector<events::v1::PresenceEvent> presences;
  std::map<std::uint32_t, std::int64_t> committed;

  /// Up to `count` appends reach the log; the answer reaches who is still alive.
  bool Flush(std::size_t count = ~std::size_t{0}) {
    bool any = false;
    while (count-- > 0) {
      const auto first = std::find_if(in_flight.begin(), in_flight.end(), [&](const Pending& pending) {
        return pending.topic != events::Topic::kUsers || !held_partitions.contains(pending.partition);
      });
      if (first == in_flight.end()) break;
      Pending next = std::move(*first);
      in_flight.erase(first);
      any = true;
      if (const absl::Status refused = Ask(next); !refused.ok()) {
        if (next.appended) next.appended(kafka::Refused(refused, next.key, next.value));
        continue;
      }
      const std::int64_t offset = Take(next);
      if (!next.appended) continue;
      if (next.is_dropped) {
        next.appended(absl::AbortedError("given up"));
      } else {
        next.appended(offset);
      }
    }
    return any;
  }
  /// `node` was killed: what it had in flight is lost, or is there and nobody was told.
  void Kill(int node, bool lose) {
    for (Pending& pending : in_flight)
      if (pending.node == node) pending.appended = {};
    if (lose) std::erase_if(in_flight, [&](const Pending& pending) { return pending.node == node; });
  }
  events::v1::UserRecord Record(std::uint32_t partition, std::size_t offset) const {
    events::v1::UserRecord record;
    record.ParseFromString(users[partition][offset]);
    return record;
  }
  std::vector<events::v1::UserRecord> Records(std::uint32_t partition) const {
    std::vector<events::v1::UserRecord> records;
    for (std::size_t i = 0; i < users[partition].size(); ++i) records.push_back(Record(partition, i));
    return records;
  }
  /// Returns the records of the room's shard that are for the room or its occupants.
  std::vector<events::v1::RoomRecord> RoomRecords(std::string_view room) const {
    std::vector<events::v1::RoomRecord> records;
    for (const auto& partition : rooms)
      for (const RoomEntry& entry : partition)
        if (entry.key == room) records.push_back(entry.record);
    return records;
  }

 private:
  template <typename Record, typename Refuse>
  static absl::Status AskOf(const Refuse& refuses, const Pending& pending) {
    if (!refuses) return absl::OkStatus();
    Record record;
    record.ParseFromString(pending.value);
    return refuses(pending.partition, record);
  }
  absl::Status Ask(const Pending& next) const {
    if (next.topic == events::Topic::kUsers) return AskOf<events::v1::UserRecord>(refuse, next);
    if (next.topic == events::Topic::kRooms) return AskOf<events::v1::RoomRecord>(refuse_room, next);
    return refuse_event ? refuse_event(next.topic, next.key) : absl::OkStatus();
  }
  /// Its offset; among events that is one of all partitions together.
  template <typename Event>
  static std::int64_t TakeEvent(std::vector<Event>& events, const Pending& next) {
    events.emplace_back().ParseFromString(next.value);
    return static_cast<std::int64_t>(events.size()) - 1;
  }
  std::int64_t Take(Pending& next) {
    if (next.topic == events::Topic::kMessages) return TakeEvent(messages, next);
    if (next.topic == events::Topic::kPresence) return TakeEvent(presences, next);
    if (next.topic == events::Topic::kRooms) {
      std::vector<RoomEntry>& log = rooms[next.partition];
      log.emplace_back().key = std::move(next.key);
      log.back().record.ParseFromString(next.value);
      return static_cast<std::int64_t>(log.size()) - 1;
    }
    users[next.partition].push_back(std::move(next.value));
    if (clock != nullptr) {
      times.resize(users.size());
      times[next.partition].resize(users[next.partition].size(), clock->UnixMillisNow());
    }
    return static_cast<std::int64_t>(users[next.partition].size()) - 1;
  }
};

class FakeEventLog final : public events::Log {
 public:
  FakeEventLog(FakeLog& log, int node)
      : log_(log), node_(node), topology_({Count(log), Count(log), Count(log), Count(log)}) {}
  void Append(events::Topic topic, std::uint32_t partition, std::string_view key,
              const google::protobuf::MessageLite& record, OnAppended appended) override {
    if (dead) return;
    if (log_.on_append) log_.on_append(topic);
    if (log_.on_user_record && topic == events::Topic::kUsers) {
      events::v1::UserRecord users;
      users.ParseFromString(record.SerializeAsString());
      log_.on_user_record(users);
    }
    log_.in_flight.push_back(
        {node_, topic, partition, std::string(key), record.SerializeAsString(), std::move(appended)});
  }
  bool is_congested() const override { return congested; }
  /// Records in flight reach the log all the same, though nobody is told so.
  void DropInFlight() override {
    ++drops;
    for (FakeLog::Pending& pending : log_.in_flight)
      if (pending.node == node_) pending.is_dropped = true;
  }
  const events::Topology& topology() const override { return topology_; }
  bool dead = false;
  bool congested = false;
  int drops = 0;

 private:
  static std::uint32_t Count(const FakeLog& log) { return static_cast<std::uint32_t>(log.users.size()); }
  FakeLog& log_;
  int node_;
  const events::Topology topology_;
};

/// A member of the consumer group, as its broker sees it.
class FakeConsumer final : public kafka::Consumer {
 public:
  explicit FakeConsumer(FakeLog& log) : log_(log) {}
  void Seek(std::int32_t shard, std::int64_t offset) override { position[S(shard)] = offset; }
  void Pause(std::int32_t shard) override { paused.insert(S(shard)); }
  void Resume(std::int32_t shard) override { paused.erase(S(shard)); }
  Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t shard) override {
    const auto it = log_.committed.find(S(shard));
    co_return it == log_.committed.end() ? -1 : it->second;
  }
  Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t shard) override {
    co_return std::pair<std::int64_t, std::int64_t>(0, log_.users[S(shard)].size());
  }
  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t shard, std::int64_t unix_millis) override {
    if (log_.clock == nullptr) co_return 0;
    const std::vector<std::int64_t>& times = log_.times[S(shard)];
    co_return std::lower_bound(times.begin(), times.end(), unix_millis) - times.begin();
  }
  Task<absl::Status> Commit(std::vector<Position> positions) override {
    ++commits;
    if (!member) co_return absl::FailedPreconditionError("no member of the group");
    for (const Position& next : positions) log_.committed[S(next.partition)] = next.offset;
    co_return absl::OkStatus();
  }
  void ReleaseDone(std::int32_t shard) override {
    position.erase(S(shard));
    released.push_back(S(shard));
  }
  Task<void> Close(std::chrono::milliseconds) override { co_return; }

  bool member = true;
  int commits = 0;
  std::map<std::uint32_t, std::int64_t> position;
  std::set<std::uint32_t> paused;
  std::vector<std::uint32_t> released;

 private:
  static std::uint32_t S(std::int32_t partition) { return static_cast<std::uint32_t>(partition); }
  FakeLog& log_;
};

class FakeMembership final : public Membership {
 public:
  std::vector<std::string> Gateways() const override { return gateways; }
  bool KnowsAllGateways() const override { return is_complete; }
  std::vector<std::string> gateways;
  bool is_complete = true;
};

/// Redis, as far as the session directory goes; shared by all processes.
class FakeDirectory final : public SessionDirectory {
 public:
  struct ShardEntries {
    std::int64_t epoch = -1;
    /// By full JID.
    std::map<std::string, Entry> sessions;
  };
  std::map<std::uint32_t, ShardEntries> shards;
  bool down = false;
  int writes = 0;
  /// Before each write. May throw.
  std::function<void(const Changes&)> on_write;

  std::map<std::string, std::string> All() const {
    std::map<std::string, std::string> all;
    for (const auto& [shard, entries] : shards)
      for (const auto& [jid, entry] : entries.sessions) all[jid] = entry.gateway;
    return all;
  }
  Task<absl::StatusOr<Written>> Write(Changes changes) override {
    ++writes;
    if (on_write) on_write(changes);
    if (down) co_return absl::UnavailableError("Redis is away");
    ShardEntries& shard = shards[changes.shard];
    if (shard.epoch > changes.epoch) co_return Written::kRefused;
    const bool known = shard.epoch == changes.epoch;
    if (changes.afresh || !known) shard.sessions.clear();
    shard.epoch = changes.epoch;
    for (const std::string& jid : changes.gone) shard.sessions.erase(jid);
    for (const Entry& entry : changes.here) shard.sessions[entry.full_jid] = entry;
    co_return known || changes.afresh ? Written::kDone : Written::kWasEmpty;
  }
  Task<absl::StatusOr<std::vector<Entry>>> Read(std::uint32_t shard) override {
    if (down) co_return absl::UnavailableError("Redis is away");
    std::vector<Entry> entries;
    for (const auto& [jid, entry] : shards[shard].sessions) entries.push_back(entry);
    co_return entries;
  }
};

class FakeKeyMaker final : public KeyMaker {
 public:
  Task<absl::StatusOr<AccountStore::Keys>> Derive(std::string password) override {
    ++derived;
    most_at_once = std::max(most_at_once, ++at_once_);
    if (on_derive) co_await on_derive();
    --at_once_;
    if (password == "bad") co_return absl::InvalidArgumentError("forbidden");
    AccountStore::Keys keys(1);
    keys[0].set_mechanism("SCRAM-SHA-256");
    keys[0].set_salt(salt);
    keys[0].set_stored_key(password);
    co_return keys;
  }
  Task<absl::StatusOr<bool>> Matches(std::string password, AccountStore::Keys keys) override {
    co_return !keys.empty() && keys[0].stored_key() == password;
  }
  std::string salt;
  int derived = 0;
  int most_at_once = 0;
  /// What takes the time.
  std::function<Task<void>()> on_derive;

 private:
  int at_once_ = 0;
};

/// The state machine of RFC 6121 appendix A, as far as these tests go.
class FakeRoster final : public Roster {
 public:
  struct Item {
    bool to = false, from = false, pending_out = false, pending_in = false, approved = false;
    std::string name;
    std::vector<std::string> groups;
    xmpp::Stanza request;
    roster::v1::Subscription subscription() const {
      if (to && from) return roster::v1::SUBSCRIPTION_BOTH;
      if (to) return roster::v1::SUBSCRIPTION_TO;
      return from ? roster::v1::SUBSCRIPTION_FROM : roster::v1::SUBSCRIPTION_NONE;
    }
  };
  std::map<std::string, std::map<std::string, Item>> rosters;
  bool down = false;
  /// Nobody is given a roster meanwhile; or nobody this user's.
  bool held = false;
  std::string held_of;
  /// Before each answer to who asks for a roster. May throw.
  std::function<void()> on_get;
  /// Whoever asks for a roster is told that it cannot be had.
  bool gets_fail = false;
  /// Subscriptions wait meanwhile; those of `stuck` fail as if the store could not take them.
  bool changes_held = false;
  std::string stuck;
  /// So many next answers to changes are lost: the change is made, or was before.
  int answers_lost = 0;
  /// So many next changes are not made, and end with these.
  std::deque<absl::Status> failures;
  /// Outbound subscriptions, by user.
  std::map<std::string, int> outbound_asked;
  int gets = 0;
  /// XEP-0191, the oldest first.
  std::map<std::string, std::vector<std::string>> blocked;
  int settings_gets = 0;
  /// Nobody is given settings meanwhile, but with the roster.
  bool settings_held = false;
  std::string settings_held_of;
  /// XEP-0054: what was set, and the hash of its image.
  std::map<std::string, std::pair<std::string, std::string>> vcards;
  int vcard_gets = 0;
  /// Of a version that knows of no vCards.
  bool is_old = false;
  /// The trace id of each call.
  std::vector<std::uint64_t> traces;

  /// `a` and `b` see each other.
  void Befriend(const std::string& a, const std::string& b) {
    rosters[a][b].to = rosters[a][b].from = true;
    rosters[b][a].to = rosters[b][a].from = true;
  }

  Task<absl::StatusOr<roster::v1::GetRosterResponse>> Get(roster::v1::GetRosterRequest request,
                                                          std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    ++gets;
    while (held || held_of == request.user()) co_await runtime::Sleep(std::chrono::milliseconds(1));
    if (on_get) on_get();
    if (down || gets_fail) co_return Away();
    roster::v1::GetRosterResponse response;
    response.set_version(version_);
    if (request.with_settings()) FillSettings(*response.mutable_settings(), request.user());
    if (request.has_known_version() && request.known_version() == version_) {
      response.set_unchanged(true);
      co_return response;
    }
    for (const auto& [jid, item] : rosters[request.user()]) {
      if (item.pending_in) {
        auto& pending = *response.add_pending();
        pending.set_from(jid);
        *pending.mutable_stanza() = item.request;
      }
      if (item.pending_in && !item.to && !item.from && !item.pending_out) continue;
      *response.add_items() = Describe(jid, item);
    }
    co_return response;
  }
  Task<absl::StatusOr<roster::v1::SetRosterItemResponse>> SetItem(roster::v1::SetRosterItemRequest request,
                                                                  std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    if (absl::Status failed = TakeFailure(); !failed.ok()) co_return failed;
    roster::v1::SetRosterItemResponse response;
    if (Repeat(request, response)) co_return Send(response);
    Item& item = rosters[request.user()][request.jid()];
    item.name = request.name();
    item.groups.assign(request.groups().begin(), request.groups().end());
    FillPush(*response.mutable_push(), request.jid(), item);
    co_return Remember(request, response);
  }
  Task<absl::StatusOr<roster::v1::RemoveRosterItemResponse>> RemoveItem(
      roster::v1::RemoveRosterItemRequest request, std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    if (absl::Status failed = TakeFailure(); !failed.ok()) co_return failed;
    roster::v1::RemoveRosterItemResponse response;
    if (Repeat(request, response)) co_return Send(response);
    auto& items = rosters[request.user()];
    if (!items.contains(request.jid())) co_return absl::NotFoundError("no such item");
    const Item item = items[request.jid()];
    items.erase(request.jid());
    FillPush(*response.mutable_push(), request.jid(), item);
    response.mutable_push()->mutable_item()->set_subscription(roster::v1::SUBSCRIPTION_REMOVE);
    if (item.to || item.pending_out) response.add_send(roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE);
    if (item.from) response.add_send(roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED);
    response.set_was_from(item.from);
    co_return Remember(request, response);
  }
  Task<absl::StatusOr<roster::v1::ProcessOutboundSubscriptionResponse>> Outbound(
      roster::v1::ProcessOutboundSubscriptionRequest request, std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    ++outbound_asked[request.user()];
    while (changes_held) co_await runtime::Sleep(std::chrono::milliseconds(1));
    if (!stuck.empty() && request.contact() == stuck) co_return Away();
    if (absl::Status failed = TakeFailure(); !failed.ok()) co_return failed;
    roster::v1::ProcessOutboundSubscriptionResponse response;
    if (Repeat(request, response)) co_return Send(response);
    Item& item = rosters[request.user()][request.contact()];
    response.set_before(item.subscription());
    bool changed = false;
    switch (request.action()) {
      case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBE:
        changed = !item.to && !item.pending_out;
        if (changed) item.pending_out = true;
        response.set_route(true);
        break;
      case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBED:
        if (item.pending_in) {
          item.pending_in = false;
          item.from = changed = true;
          response.set_route(true);
        } else if (!item.from && !item.approved) {
          item.approved = changed = true;
        }
        break;
      case roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE:
        changed = item.to || item.pending_out;
        item.to = item.pending_out = false;
        response.set_route(true);
        break;
      default:
        changed = item.from || item.pending_in || item.approved;
        response.set_route(item.from || item.pending_in);
        item.from = item.pending_in = item.approved = false;
        break;
    }
    response.set_after(item.subscription());
    if (changed) FillPush(*response.mutable_push(), request.contact(), item);
    co_return Remember(request, response);
  }
  Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> Inbound(
      roster::v1::ProcessInboundSubscriptionRequest request, std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    while (changes_held) co_await runtime::Sleep(std::chrono::milliseconds(1));
    if (!stuck.empty() && request.contact() == stuck) co_return Away();
    if (absl::Status failed = TakeFailure(); !failed.ok()) co_return failed;
    roster::v1::ProcessInboundSubscriptionResponse response;
    if (Repeat(request, response)) co_return Send(response);
    Item& item = rosters[request.user()][request.contact()];
    response.set_before(item.subscription());
    bool changed = false;
    switch (request.action()) {
      case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBE:
        if (item.from || item.approved) {
          changed = !item.from;
          item.from = true;
          item.approved = false;
          response.set_auto_reply(true);
        } else if (!item.pending_in) {
          item.pending_in = true;
          item.request = request.stanza();
          response.set_deliver(true);
        }
        break;
      case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBED:
        changed = item.pending_out;
        if (changed) {
          item.pending_out = false;
          item.to = true;
        }
        response.set_deliver(changed);
        break;
      case roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE:
        changed = item.from;
        response.set_deliver(item.from || item.pending_in);
        item.from = item.pending_in = false;
        break;
      default:
        changed = item.to || item.pending_out;
        item.to = item.pending_out = false;
        response.set_deliver(changed);
        break;
    }
    response.set_after(item.subscription());
    if (changed) FillPush(*response.mutable_push(), request.contact(), item);
    co_return Remember(request, response);
  }
  Task<absl::StatusOr<roster::v1::DeleteUserResponse>> DeleteUser(roster::v1::DeleteUserRequest request,
                                                                  std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    if (down) co_return Away();
    roster::v1::DeleteUserResponse response;
    if (Repeat(request, response)) co_return Send(response);
    for (const auto& [jid, item] : rosters[request.user()]) {
      *response.add_items() = Describe(jid, item);
      if (item.pending_in) response.add_asking(jid);
    }
    rosters.erase(request.user());
    blocked.erase(request.user());
    vcards.erase(request.user());
    co_return Remember(request, response);
  }

  Task<absl::StatusOr<roster::v1::GetUserSettingsResponse>> GetUserSettings(
      roster::v1::GetUserSettingsRequest request, std::uint64_t) override {
    ++settings_gets;
    while (settings_held || settings_held_of == request.user())
      co_await runtime::Sleep(std::chrono::milliseconds(1));
    if (down) co_return Away();
    roster::v1::GetUserSettingsResponse response;
    FillSettings(*response.mutable_settings(), request.user());
    co_return response;
  }
  Task<absl::StatusOr<roster::v1::BlockAddressesResponse>> Block(roster::v1::BlockAddressesRequest request,
                                                                 std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    while (changes_held) co_await runtime::Sleep(std::chrono::milliseconds(1));
    if (absl::Status failed = TakeFailure(); !failed.ok()) co_return failed;
    roster::v1::BlockAddressesResponse response;
    if (!Repeat(request, response)) {
      auto& list = blocked[request.user()];
      std::vector<std::string> added;
      for (const std::string& jid : request.jids())
        if (std::find(list.begin(), list.end(), jid) == list.end()) added.push_back(jid);
      if (list.size() + added.size() > request.max_addresses())
        co_return absl::ResourceExhaustedError("full");
      list.insert(list.end(), added.begin(), added.end());
      response.mutable_added()->Assign(added.begin(), added.end());
    }
    FillSettings(*response.mutable_settings(), request.user());
    co_return Remember(request, response);
  }
  Task<absl::StatusOr<roster::v1::UnblockAddressesResponse>> Unblock(
      roster::v1::UnblockAddressesRequest request, std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    while (changes_held) co_await runtime::Sleep(std::chrono::milliseconds(1));
    if (absl::Status failed = TakeFailure(); !failed.ok()) co_return failed;
    roster::v1::UnblockAddressesResponse response;
    if (!Repeat(request, response)) {
      std::erase_if(blocked[request.user()], [&](const std::string& jid) {
        const auto& jids = request.jids();
        const bool goes = jids.empty() || std::find(jids.begin(), jids.end(), jid) != jids.end();
        if (goes) response.add_removed(jid);
        return goes;
      });
    }
    FillSettings(*response.mutable_settings(), request.user());
    co_return Remember(request, response);
  }
  Task<absl::StatusOr<roster::v1::GetVcardResponse>> GetVcard(roster::v1::GetVcardRequest request,
                                                              std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    ++vcard_gets;
    if (down) co_return Away();
    if (is_old) co_return absl::UnimplementedError("no such method");
    roster::v1::GetVcardResponse response;
    if (const auto found = vcards.find(request.user()); found != vcards.end())
      response.set_vcard(found->second.first);
    co_return response;
  }
  Task<absl::StatusOr<roster::v1::SetVcardResponse>> SetVcard(roster::v1::SetVcardRequest request,
                                                              std::uint64_t trace_id) override {
    traces.push_back(trace_id);
    if (is_old) co_return absl::UnimplementedError("no such method");
    while (changes_held) co_await runtime::Sleep(std::chrono::milliseconds(1));
    if (absl::Status failed = TakeFailure(); !failed.ok()) co_return failed;
    roster::v1::SetVcardResponse response;
    if (!Repeat(request, response)) vcards[request.user()] = {request.vcard(), request.avatar_hash()};
    FillSettings(*response.mutable_settings(), request.user());
    co_return Remember(request, response);
  }

 private:
  static absl::Status Away() { return absl::UnavailableError("the roster is away"); }
  /// Takes the next failure of a change.
  absl::Status TakeFailure() {
    if (down) return Away();
    if (failures.empty()) return absl::OkStatus();
    const absl::Status failure = failures.front();
    failures.pop_front();
    return failure;
  }
  void FillSettings(roster::v1::UserSettings& settings, const std::string& user) {
    const auto& list = blocked[user];
    settings.mutable_blocked()->Assign(list.begin(), list.end());
    if (const auto found = vcards.find(user); found != vcards.end())
      settings.set_avatar_hash(found->second.second);
  }
  /// The service gives the same answer to the same request.
  template <typename Request, typename Response>
  bool Repeat(const Request& request, Response& response) const {
    const auto it = answers_.find({request.user(), request.request_id()});
    return it != answers_.end() && response.ParseFromString(it->second);
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Remember(const Request& request, Response response) {
    if (!request.request_id().empty())
      answers_[{request.user(), request.request_id()}] = response.SerializeAsString();
    return Send(std::move(response));
  }
  template <typename Response>
  absl::StatusOr<Response> Send(Response response) {
    if (answers_lost == 0) return response;
    --answers_lost;
    return absl::DeadlineExceededError("no answer");
  }
  static roster::v1::RosterItem Describe(const std::string& jid, const Item& item) {
    roster::v1::RosterItem described;
    described.set_jid(jid);
    described.set_name(item.name);
    for (const std::string& group : item.groups) described.add_groups(group);
    described.set_subscription(item.subscription());
    described.set_pending_out(item.pending_out);
    described.set_approved(item.approved);
    return described;
  }
  void FillPush(roster::v1::RosterPush& push, const std::string& jid, const Item& item) {
    *push.mutable_item() = Describe(jid, item);
    push.set_version(++version_);
  }
  std::uint64_t version_ = 1;
  std::map<std::pair<std::string, std::string>, std::string> answers_;
};

/// Search: answers for what it is told of, of the domain that it is asked for.
class FakeServiceDisco final : public ServiceDisco {
 public:
  absl::Status error;
  bool has_muc = true;
  std::vector<std::string> features{"own-feature"};
  std::vector<std::string> asked;

  bool IsThere(events::Service service) const override { return service == events::Service::kMuc && has_muc; }
  Task<absl::StatusOr<disco::v1::GetDiscoInfoResponse>> Info(events::Home home,
                                                             disco::v1::GetDiscoInfoRequest request,
                                                             std::uint64_t) override {
    asked.push_back(std::string(events::Name(home.service)) + " " + request.jid() + " " + request.node());
    if (!error.ok()) co_return error;
    disco::v1::GetDiscoInfoResponse response;
    auto& identity = *response.add_identities();
    identity.set_category("directory");
    identity.set_type("own-type");
    response.add_features("http://jabber.org/protocol/disco#info");
    for (const std::string& feature : features) response.add_features(feature);
    co_return response;
  }
  Task<absl::StatusOr<disco::v1::ListDiscoItemsResponse>> Items(events::Home home,
                                                                disco::v1::ListDiscoItemsRequest request,
                                                                std::uint64_t) override {
    asked.push_back(std::string(events::Name(home.service)) + " " + request.jid() + " " + request.node());
    if (!error.ok()) co_return error;
    disco::v1::ListDiscoItemsResponse response;
    auto& item = *response.add_items();
    item.set_jid("room@" + request.jid());
    item.set_name("A room");
    co_return response;
  }
};

}  // namespace rookery::session_manager
