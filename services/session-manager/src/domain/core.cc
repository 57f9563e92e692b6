#include "domain/core.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "domain/caps_tracker.h"
#include "domain/client_stanza_processor.h"
#include "domain/deliverer.h"
#include "domain/directory_writer.h"
#include "domain/offline_messages.h"
#include "domain/presence_tracker.h"
#include "domain/record_processor.h"
#include "domain/session_closer.h"
#include "domain/session_keeper.h"
#include "domain/shard_keeper.h"
#include "domain/subscription_handler.h"
#include "modules/iq_router.h"
#include "rookery/base/check.h"
#include "rookery/base/shard.h"

namespace rookery::session_manager {

Core::Core(asio::any_io_executor executor, const Settings& settings, Ports ports, const Clock& clock,
           telemetry::Metrics& metrics)
    : executor_(executor),
      settings_(settings),
      ports_(ports),
      clock_(clock),
      metrics_(metrics),
      started_at_(clock.Now()),
      shards_(ports.log.partitions(Topic::kUsers)),
      deliverer_(std::make_unique<Deliverer>(*this)),
      offline_(std::make_unique<OfflineMessages>(*this)),
      closer_(std::make_unique<SessionCloser>(*this)),
      presence_(std::make_unique<PresenceTracker>(*this)),
      subscriptions_(std::make_unique<SubscriptionHandler>(*this)),
      session_keeper_(std::make_unique<SessionKeeper>(*this)),
      records_(std::make_unique<RecordProcessor>(*this)),
      client_stanzas_(std::make_unique<ClientStanzaProcessor>(*this)),
      iqs_(MakeIqRouter(*this)),
      shard_keeper_(std::make_unique<ShardKeeper>(*this)),
      directory_(std::make_unique<DirectoryWriter>(*this)),
      caps_(std::make_unique<CapsTracker>(*this)),
      tasks_(executor) {}

Core::~Core() = default;

std::uint32_t Core::ShardNumberOf(std::string_view bare) const { return ShardOf(bare, shard_count()); }

Shard* Core::FindShard(std::uint32_t number) {
  return number < shards_.size() ? shards_[number].get() : nullptr;
}

std::shared_ptr<Shard> Core::SharedShard(std::uint32_t number) {
  return number < shards_.size() ? shards_[number] : nullptr;
}

User& Core::GetUser(Shard& shard, std::string_view bare) {
  std::unique_ptr<User>& user = shard.users[std::string(bare)];
  if (!user) {
    user = std::make_unique<User>();
    user->bare = bare;
    user->shard = &shard;
  }
  return *user;
}

User* Core::FindUser(Shard& shard, std::string_view bare) {
  auto it = shard.users.find(bare);
  return it == shard.users.end() ? nullptr : it->second.get();
}

void Core::MaybeForget(User& user) {
  if (!user.sessions.empty() || user.busy || user.storing > 0 || user.turns) return;
  user.shard->users.erase(user.bare);
}

std::shared_ptr<Session> Core::FindSession(const SessionId& id) {
  auto it = sessions_by_id_.find(id);
  return it == sessions_by_id_.end() ? nullptr : it->second;
}

bool Core::IsLocalDomain(std::string_view domain) const {
  return std::find(settings_.domains.begin(), settings_.domains.end(), domain) != settings_.domains.end();
}

std::optional<std::string_view> Core::LocalService(std::string_view domain) const {
  const std::size_t dot = domain.find('.');
  if (dot == std::string_view::npos || !IsLocalDomain(domain.substr(dot + 1))) return std::nullopt;
  const std::string_view name = domain.substr(0, dot);
  if (name == "conference") return "muc";
  if (name == "search") return "search";
  return std::nullopt;
}

// ---- turns ------------------------------------------------------------------

void Core::AddTurn(User& user, User::Turn turn, bool first) {
  if (!user.turns) user.turns = std::make_unique<std::deque<User::Turn>>();
  if (first) {
    user.turns->push_front(std::move(turn));
  } else {
    user.turns->push_back(std::move(turn));
  }
  if (user.busy) return;
  user.busy = true;
  tasks_.Spawn("user.turns", RunTurns(shards_[user.shard->number], user.bare));
}

void Core::TakeTurn(User& user, std::function<Task<void>()> run) {
  AddTurn(user, {nullptr, std::move(run)}, false);
}

void Core::TakeNextTurn(User& user, std::function<Task<void>()> run) {
  AddTurn(user, {nullptr, std::move(run)}, true);
}

void Core::TakeTurn(User& user, std::shared_ptr<PendingRecord> record) {
  if (!user.busy) {
    records_->Apply(user, *record);
    return;
  }
  AddTurn(user, {std::move(record), nullptr}, false);
}

Task<void> Core::RunTurns(std::shared_ptr<Shard> shard, std::string bare) {
  // Never within the call that queued the turn: its caller still uses the user, who may be
  // forgotten after the last one.
  co_await asio::post(executor_, asio::use_awaitable);
  while (!shard->released()) {
    User* user = FindUser(*shard, bare);
    if (user == nullptr) co_return;
    if (!user->turns || user->turns->empty()) {
      user->turns.reset();
      user->busy = false;
      MaybeForget(*user);
      co_return;
    }
    User::Turn turn = std::move(user->turns->front());
    user->turns->pop_front();
    if (turn.record) {
      records_->Apply(*user, *turn.record);
    } else {
      // Named, so that the captures live as long as the coroutine that uses them.
      const std::function<Task<void>()> run = std::move(turn.run);
      co_await run();
    }
  }
}

// ---- records ----------------------------------------------------------------

void Core::FillOrigin(const Shard& from, Cause& cause, events::v1::UserRecord& record) const {
  events::v1::Origin& origin = *record.mutable_origin();
  origin.set_shard(from.number);
  origin.set_epoch(from.epoch);
  if (cause.session) {
    auto& client = *origin.mutable_client();
    client.set_session_id(cause.session->id.str());
    client.set_count(cause.count);
    client.set_part(++cause.parts);
  } else if (cause.offset >= 0) {
    auto& log = *origin.mutable_log();
    log.set_offset(cause.offset);
    log.set_part(++cause.parts);
  }
  record.set_trace_id(cause.trace_id);
  if (record.received_at_ms() == 0) record.set_received_at_ms(clock_.UnixMillisNow());
}

void Core::AppendRecord(Shard& from, Cause& cause, std::uint32_t partition, std::string_view key,
                        events::v1::UserRecord record) {
  // A turn that outlived its shard: the next owner does its work.
  if (from.released()) return;
  FillOrigin(from, cause, record);
  if (cause.session) {
    cause.session->inbound.Open(cause.count);
    ports_.log.Append(Topic::kUsers, partition, key, record,
                      [this, session = cause.session, count = cause.count](std::int64_t) {
                        session_keeper_->FinishInbound(session, count);
                      });
  } else if (cause.offset >= 0) {
    from.window.Hold(cause.offset);
    ports_.log.Append(Topic::kUsers, partition, key, record,
                      [shard = shards_[from.number], offset = cause.offset](std::int64_t) {
                        if (!shard->released()) shard->window.Release(offset);
                      });
  } else {
    ports_.log.Append(Topic::kUsers, partition, key, record, {});
  }
}

void Core::AppendDelivery(Shard& from, Cause& cause, xmpp::Stanza stanza) {
  events::v1::UserRecord record;
  const std::string key(xmpp::BareOf(stanza.to()));
  record.mutable_delivery()->mutable_stanza()->Swap(&stanza);
  AppendRecord(from, cause, ShardNumberOf(key), key, std::move(record));
}

void Core::AppendFanout(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                        const std::vector<std::string>& recipients) {
  std::map<std::uint32_t, events::v1::UserRecord> by_shard;
  for (const std::string& recipient : recipients) {
    by_shard[ShardNumberOf(xmpp::BareOf(recipient))].mutable_fanout()->add_recipients(recipient);
  }
  // One number for all of them: a partition gets one of these records at most, and what follows from
  // the same cause a second time must have the same numbers, also where the recipients have changed.
  const std::uint32_t parts = cause.parts;
  for (auto& [partition, record] : by_shard) {
    cause.parts = parts;
    *record.mutable_fanout()->mutable_stanza() = stanza;
    AppendRecord(from, cause, partition, {}, std::move(record));
  }
}

void Core::AppendEvent(Shard& from, Topic topic, std::string_view key,
                       const google::protobuf::MessageLite& event, std::int64_t holds_offset) {
  if (from.released()) return;
  const std::uint32_t partition = ShardOf(key, ports_.log.partitions(topic));
  if (holds_offset < 0) {
    ports_.log.Append(topic, partition, key, event, {});
    return;
  }
  from.window.Hold(holds_offset);
  ports_.log.Append(topic, partition, key, event, [shard = shards_[from.number], holds_offset](std::int64_t) {
    if (!shard->released()) shard->window.Release(holds_offset);
  });
}

}  // namespace rookery::session_manager
