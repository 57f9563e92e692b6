#include "domain/core.h"

#include <algorithm>

#include "domain/delivery/deliverer.h"
#include "domain/delivery/offline_messages.h"
#include "domain/delivery/session_closer.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/presence/caps_tracker.h"
#include "domain/presence/presence_tracker.h"
#include "domain/records/record_order.h"
#include "domain/records/record_processor.h"
#include "domain/records/refused_records.h"
#include "domain/records/user_shards.h"
#include "domain/roster/subscription_handler.h"
#include "domain/roster/user_settings.h"
#include "domain/sessions/directory_writer.h"
#include "domain/sessions/session_keeper.h"
#include "modules/iq_router.h"
#include "rookery/base/check.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

sharding::OwnerOptions OwnerOptionsOf(const Settings& settings) {
  sharding::OwnerOptions options;
  options.instance = settings.instance;
  options.topic = Topic::kUsers;
  options.duplicate_horizon = settings.duplicate_horizon;
  options.max_unfinished_records = settings.max_unfinished_records;
  options.max_unfinished_bytes = settings.max_unfinished_bytes;
  return options;
}

/// Of the recipients of one record, so that it is never too large for the log.
constexpr std::size_t kFanoutBytes = 256 * 1024;

}  // namespace

Core::Core(asio::any_io_executor executor, const Settings& settings, Ports ports, const Clock& clock,
           telemetry::Metrics& metrics)
    : executor_(executor),
      settings_(settings),
      ports_(ports),
      clock_(clock),
      metrics_(metrics),
      started_at_(clock.Now()),
      homes_(settings.domains, ports.log.topology()),
      rosters_(executor),
      deliverer_(std::make_unique<Deliverer>(*this)),
      offline_(std::make_unique<OfflineMessages>(*this)),
      closer_(std::make_unique<SessionCloser>(*this)),
      presence_(std::make_unique<PresenceTracker>(*this)),
      subscriptions_(std::make_unique<SubscriptionHandler>(*this)),
      session_keeper_(std::make_unique<SessionKeeper>(*this)),
      records_(std::make_unique<RecordProcessor>(*this)),
      order_(std::make_unique<RecordOrder>(*this)),
      client_stanzas_(std::make_unique<ClientStanzaProcessor>(*this)),
      caps_(std::make_unique<CapsTracker>(*this)),
      iqs_(MakeIqRouter(*this)),
      user_shards_(std::make_unique<UserShards>(*this)),
      owner_(std::make_unique<sharding::ShardOwner>(
          executor, clock, OwnerOptionsOf(settings), ports.log, *user_shards_,
          [this](const auto& epochs) { ports_.membership.PublishShards(epochs); }, ports.published_epoch,
          metrics)),
      directory_(std::make_unique<DirectoryWriter>(*this)),
      settings_keeper_(std::make_unique<SettingsKeeper>(*this)),
      refused_(std::make_unique<RefusedRecords>(*this)),
      tasks_(executor) {}

Core::~Core() = default;

Shard* Core::FindShard(std::uint32_t number) { return static_cast<Shard*>(owner_->Find(number)); }

std::shared_ptr<Shard> Core::SharedShard(std::uint32_t number) {
  return std::static_pointer_cast<Shard>(owner_->Shared(number));
}

std::vector<std::shared_ptr<Shard>> Core::all_shards() {
  std::vector<std::shared_ptr<Shard>> all;
  all.reserve(owner_->owned());
  for (const auto& [number, shard] : owner_->shards()) all.push_back(std::static_pointer_cast<Shard>(shard));
  return all;
}

User& Core::GetUser(Shard& shard, std::string_view bare) {
  if (User* known = FindUser(shard, bare)) return *known;
  auto user = std::make_unique<User>();
  user->bare = bare;
  user->shard = &shard;
  return *shard.users.emplace(user->bare, std::move(user)).first->second;
}

User* Core::FindUser(Shard& shard, std::string_view bare) {
  auto it = shard.users.find(bare);
  return it == shard.users.end() ? nullptr : it->second.get();
}

void Core::MaybeForget(User& user) {
  if (user.outbound) {
    // What has been read is the backlog's.
    std::erase_if(*user.outbound, [&](const auto& entry) {
      return entry.second.appending == 0 && entry.second.newest < user.shard->window.next_offset();
    });
    if (user.outbound->empty()) user.outbound.reset();
  }
  if (!user.sessions.empty() || user.storing > 0 || user.backlog || user.settings_loading || user.outbound)
    return;
  settings_keeper_->Remember(user);
  user.shard->users.erase(user.bare);
}

std::shared_ptr<Session> Core::FindSession(const SessionId& id) {
  auto it = sessions_by_id_.find(id);
  return it == sessions_by_id_.end() ? nullptr : it->second;
}

std::optional<std::string_view> Core::LocalService(std::string_view domain) const {
  const std::optional<events::Service> service = homes_.ServiceOf(domain);
  if (!service || *service == events::Service::kAccounts) return std::nullopt;
  return events::Name(*service);
}

void Core::Sweep() {
  owner_->Tick();
  user_shards_->Sweep();
}

// ---- records ----------------------------------------------------------------

void Core::FillOrigin(const Shard& from, Cause& cause, events::v1::UserRecord& record) const {
  events::v1::Origin& origin = *record.mutable_origin();
  owner_->FillOrigin(from, origin);
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
                        events::v1::UserRecord record, std::function<void(std::int64_t)> then) {
  // A turn that outlived its shard: the next owner does its work.
  if (from.released()) return;
  if (!cause.session && cause.offset >= 0 && cause.offset < from.window.cursor()) {
    // Whoever reads it would take it for said before: rather twice than never.
    metrics_.causes_finished.Increment();
    telemetry::LogError("record.cause_finished", {{"shard", from.number}, {"offset", cause.offset}});
    cause.offset = -1;
  }
  FillOrigin(from, cause, record);
  events::Log::OnAppended on_appended;
  if (cause.session) {
    cause.session->inbound.Open(cause.count);
    on_appended = [this, session = cause.session, count = cause.count, partition,
                   then = std::move(then)](const absl::StatusOr<std::int64_t>& offset) {
      // Given up with the shard: the next owner is sent the stanza again.
      if (absl::IsAborted(offset.status())) return;
      if (!offset.ok()) OnRefused(session, partition, offset.status());
      session_keeper_->FinishInbound(session, count);
      if (then) then(offset.value_or(-1));
    };
  } else if (cause.offset >= 0 || cause.end) {
    from.window.Hold(cause.offset);
    if (cause.end) ++cause.end->open;
    on_appended = [this, shard = SharedShard(from.number), offset = cause.offset, partition,
                   end = cause.end](const absl::StatusOr<std::int64_t>& appended) {
      if (shard->released() || absl::IsAborted(appended.status())) return;
      const auto finish = [shard, offset, end] {
        shard->window.Release(offset);
        if (end) end->Finish();
      };
      if (appended.ok()) {
        finish();
      } else {
        refused_->SayAgain(*shard, Topic::kUsers, partition, appended.status(), finish);
      }
    };
  } else {
    on_appended = [this, shard = SharedShard(from.number),
                   partition](const absl::StatusOr<std::int64_t>& appended) {
      if (appended.ok() || shard->released() || absl::IsAborted(appended.status())) return;
      refused_->SayAgain(*shard, Topic::kUsers, partition, appended.status(), {});
    };
  }
  owner_->Append(from, Topic::kUsers, partition, key, record, std::move(on_appended));
}

void Core::NoteRefusal(const absl::Status& status) {
  metrics_.records_refused.Increment();
  telemetry::LogError("record.refused", {{"error", Message(status)}});
}

void Core::NoteLoss() {
  metrics_.records_lost.Increment();
  telemetry::LogError("record.lost", {});
}

void Core::OnRefused(const std::shared_ptr<Session>& session, std::uint32_t partition,
                     const absl::Status& status) {
  events::v1::UserRecord record;
  const std::optional<std::string> bytes = events::RefusedRecord(status);
  const bool is_known = bytes && record.ParseFromString(*bytes);
  const bool is_too_large = absl::IsInvalidArgument(status);
  if (is_known && !is_too_large && (record.has_fanout() || record.has_sent_copy())) {
    // Whom the presence that we hold must reach, and what the archive is to have, the client cannot tell.
    if (Shard* shard = FindShard(ShardNumberOf(session->jid.bare())))
      refused_->SayAgain(*shard, Topic::kUsers, partition, status, {});
    return;
  }
  NoteRefusal(status);
  if (session->ended || !is_known) return;
  const xmpp::Stanza* stanza = nullptr;
  if (record.has_delivery()) stanza = &record.delivery().stanza();
  if (record.has_fanout()) stanza = &record.fanout().stanza();
  if (record.has_outbound()) stanza = &record.outbound().stanza();
  if (stanza == nullptr) {
    NoteLoss();
    return;
  }
  client_stanzas_->Refuse(
      {*session->user, session}, {}, *stanza,
      is_too_large ? xmpp::ErrorCondition::kPolicyViolation : xmpp::ErrorCondition::kInternalServerError,
      is_too_large ? "the stanza is too large" : "the stanza could not be stored");
}

void Core::AppendDelivery(Shard& from, Cause& cause, xmpp::Stanza stanza) {
  events::v1::UserRecord record;
  const std::string key(xmpp::BareOf(stanza.to()));
  record.mutable_delivery()->mutable_stanza()->Swap(&stanza);
  AppendRecord(from, cause, ShardNumberOf(key), key, std::move(record));
}

void Core::AppendFanout(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                        const std::vector<std::string>& recipients) {
  std::map<std::uint32_t, std::vector<const std::string*>> by_shard;
  for (const std::string& recipient : recipients)
    by_shard[ShardNumberOf(xmpp::BareOf(recipient))].push_back(&recipient);
  // The same numbers in each partition: what follows from the same cause a second time must have the
  // same ones, also where the recipients in other partitions have changed.
  const std::uint32_t first = cause.parts;
  std::uint32_t last = first;
  for (auto& [partition, some] : by_shard) {
    cause.parts = first;
    for (std::size_t next = 0; next < some.size();) {
      events::v1::UserRecord record;
      *record.mutable_fanout()->mutable_stanza() = stanza;
      for (std::size_t bytes = 0; next < some.size() && bytes < kFanoutBytes; ++next) {
        bytes += some[next]->size();
        record.mutable_fanout()->add_recipients(*some[next]);
      }
      AppendRecord(from, cause, partition, {}, std::move(record));
    }
    last = std::max(last, cause.parts);
  }
  cause.parts = last;
}

void Core::AppendEvent(Shard& from, Topic topic, std::string_view key,
                       const google::protobuf::MessageLite& event, std::int64_t holds_offset) {
  if (from.released()) return;
  const std::uint32_t partition = homes_.topology().PartitionOf(topic, key);
  if (holds_offset >= 0) from.window.Hold(holds_offset);
  owner_->Append(from, topic, partition, key, event,
                 [this, shard = SharedShard(from.number), topic, partition,
                  holds_offset](const absl::StatusOr<std::int64_t>& appended) {
                   if (shard->released() || absl::IsAborted(appended.status())) return;
                   const auto finish = [shard, holds_offset] {
                     if (holds_offset >= 0) shard->window.Release(holds_offset);
                   };
                   if (appended.ok()) {
                     finish();
                   } else {
                     refused_->SayAgain(*shard, topic, partition, appended.status(), finish);
                   }
                 });
}

}  // namespace rookery::session_manager
