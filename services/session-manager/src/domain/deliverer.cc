#include "domain/deliverer.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "domain/message_routing.h"
#include "domain/session_keeper.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

using common::v1::STANZA_KIND_IQ;
using common::v1::STANZA_KIND_MESSAGE;

constexpr std::chrono::milliseconds kFirstRetry{100};
constexpr std::chrono::milliseconds kLastRetry{2'000};

/// Offline messages are read so many at a time, given while less than a burst is
/// unacknowledged, and left for later when the client takes none for so long.
constexpr std::int64_t kOfflinePage = 32;
constexpr std::size_t kOfflineBurst = 256;
constexpr std::size_t kOfflineBurstBytes = 256 * 1024;
constexpr std::chrono::seconds kOfflinePatience{10};
constexpr int kOfflineAttempts = 20;

bool IsTemporary(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsAborted(status);
}

std::vector<Candidate> CandidatesOf(const User& user) {
  std::vector<Candidate> candidates;
  candidates.reserve(user.sessions.size());
  for (const auto& session : user.sessions)
    candidates.push_back(
        {session->resource(), session->available(), session->priority(), session->state.carbons()});
  return candidates;
}

}  // namespace

xmpp::Stanza MakeCarbon(std::string_view direction, const xmpp::Stanza& message, std::string_view bare) {
  xmpp::Stanza carbon = xmpp::MakeMessage(message.type(), bare, {});
  std::string& payload = *carbon.mutable_payload();
  payload.reserve(message.payload().size() + 400);
  payload.append("<").append(direction).append(
      " xmlns=\"urn:xmpp:carbons:2\"><forwarded xmlns=\"urn:xmpp:forward:0\">");
  xmpp::AppendXml(payload, message, xmpp::Framing::kWebSocket);
  payload.append("</forwarded></").append(direction).append(">");
  carbon.set_traits(common::v1::STANZA_TRAIT_CARBON);
  return carbon;
}

void Deliverer::Queue(Session& session, const std::shared_ptr<Delivery>& delivery, bool primary) {
  UnackedPacket packet;
  packet.seq = ++session.last_seq;
  packet.offset = delivery->offset;
  packet.stored_id = delivery->stored_id;
  packet.delivery = delivery;
  packet.since = core_.clock().Now();
  packet.primary = primary;
  if (delivery->offset >= 0 && delivery->stored_id == 0) {
    session.user->shard->window.Hold(delivery->offset);
    packet.holds = true;
  }
  session.last_offset = std::max(session.last_offset, delivery->offset);
  if (primary) ++delivery->open_targets;
  session.unacked_bytes += delivery->stanza.payload().size() + 200;
  session.unacked.push_back(std::move(packet));
  core_.metrics().packets_sent.Increment();
  if (static_cast<std::int64_t>(session.unacked.size()) > core_.settings().max_unacked_packets ||
      static_cast<std::int64_t>(session.unacked_bytes) > core_.settings().max_unacked_bytes) {
    core_.sessions().EndOverflowing(session);
  }
}

void Deliverer::FillPacket(session::v1::Packet& packet, const Delivery& delivery) {
  packet.set_offset(delivery.offset);
  packet.set_stored_id(delivery.stored_id);
  *packet.mutable_stanza() = delivery.stanza;
  packet.set_to_each(delivery.to_each);
  packet.set_trace_id(delivery.trace_id);
}

void Deliverer::Give(Session& session, std::shared_ptr<Delivery> delivery, bool primary) {
  Queue(session, delivery, primary);
  if (session.gateway == nullptr || session.detached) return;
  session::v1::SessionManagerAction& action = session.gateway->Add();
  const Shard& shard = *session.user->shard;
  action.set_shard(shard.number);
  action.set_epoch(shard.epoch);
  session::v1::Packet& packet = *action.mutable_packet();
  FillPacket(packet, *delivery);
  auto& target = *packet.add_targets();
  target.set_session_id(session.id.view().data(), SessionId::kSize);
  target.set_seq(session.last_seq);
}

void Deliverer::GiveAll(const std::vector<Session*>& sessions, const std::shared_ptr<Delivery>& delivery,
                        bool primary) {
  if (sessions.size() == 1) {
    Give(*sessions.front(), delivery, primary);
    return;
  }
  // Several sessions are nearly always on few gateways: a linear look is the cheapest map.
  // An action is only good until the next Add on the same link, so targets are gathered first.
  std::vector<std::pair<GatewayPeer*, std::vector<std::pair<Session*, std::uint64_t>>>> by_gateway;
  for (Session* session : sessions) {
    Queue(*session, delivery, primary);
    if (session->gateway == nullptr || session->detached) continue;
    auto it = std::find_if(by_gateway.begin(), by_gateway.end(),
                           [&](const auto& entry) { return entry.first == session->gateway; });
    if (it == by_gateway.end()) it = by_gateway.insert(by_gateway.end(), {session->gateway, {}});
    it->second.emplace_back(session, session->last_seq);
  }
  for (auto& [gateway, targets] : by_gateway) {
    session::v1::SessionManagerAction& action = gateway->Add();
    const Shard& shard = *targets.front().first->user->shard;
    action.set_shard(shard.number);
    action.set_epoch(shard.epoch);
    session::v1::Packet& packet = *action.mutable_packet();
    FillPacket(packet, *delivery);
    for (auto& [session, seq] : targets) {
      auto& target = *packet.add_targets();
      target.set_session_id(session->id.view().data(), SessionId::kSize);
      target.set_seq(seq);
    }
  }
}

void Deliverer::Reply(Session& session, xmpp::Stanza stanza) {
  if (session.ended) return;
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&stanza);
  delivery->received_at_ms = core_.clock().UnixMillisNow();
  Give(session, std::move(delivery), /*primary=*/false);
}

Deliverer::Given Deliverer::GiveRecord(Session& session, const std::shared_ptr<Delivery>& delivery,
                                       bool primary, bool recovering) {
  if (!recovering || delivery->offset > session.last_offset) {
    Give(session, delivery, primary);
    return Given::kNow;
  }
  for (UnackedPacket& packet : session.unacked) {
    if (packet.offset != delivery->offset) continue;
    if (packet.delivery == nullptr) {
      packet.delivery = delivery;
      packet.primary = primary;
      packet.holds = true;
      session.user->shard->window.Hold(delivery->offset);
      session.unacked_bytes += delivery->stanza.payload().size() + 200;
      if (primary) ++delivery->open_targets;
    }
    return Given::kBefore;
  }
  if (delivery->offset <= session.state.start_offset()) return Given::kOlderThanSession;
  delivery->reached = true;
  return Given::kBefore;
}

void Deliverer::Release(Session& session, UnackedPacket& packet) {
  if (packet.holds) {
    session.user->shard->window.Release(packet.offset);
    packet.holds = false;
  }
}

void Deliverer::Acknowledge(Session& session, std::uint64_t seq) {
  seq = std::min(seq, session.last_seq);
  if (seq <= session.acked_seq) return;
  std::vector<std::uint64_t> offline_ids;
  std::uint64_t stored_up_to = 0;
  while (!session.unacked.empty() && session.unacked.front().seq <= seq) {
    UnackedPacket& packet = session.unacked.front();
    Release(session, packet);
    if (packet.stored_id != 0) offline_ids.push_back(packet.stored_id);
    if (packet.stored) stored_up_to = packet.seq;
    if (packet.delivery) {
      packet.delivery->reached = true;
      session.unacked_bytes -=
          std::min(session.unacked_bytes, packet.delivery->stanza.payload().size() + 200);
    }
    session.unacked.pop_front();
  }
  session.acked_seq = seq;
  const std::shared_ptr<Shard> shard = core_.SharedShard(session.user->shard->number);
  if (!offline_ids.empty())
    core_.tasks().Spawn("offline.given", MarkGivenTask(shard, session.user->bare, std::move(offline_ids)));
  if (stored_up_to > 0) {
    core_.tasks().Spawn("packets.remove",
                        [](Core& core, std::string owner, std::string id, std::uint64_t up_to) -> Task<void> {
                          // A row that outlives its packet is removed with its session.
                          (void)co_await core.ports().waiting.RemovePackets(std::move(owner), std::move(id),
                                                                            up_to);
                        }(core_, session.user->bare, session.id.str(), stored_up_to));
  }
}

bool Deliverer::Resend(Session& session, std::uint64_t after_seq) {
  for (const UnackedPacket& packet : session.unacked)
    if (packet.seq > after_seq && packet.delivery == nullptr) return false;
  if (session.gateway == nullptr) return true;
  const Shard& shard = *session.user->shard;
  for (UnackedPacket& unacked : session.unacked) {
    if (unacked.seq <= after_seq) continue;
    unacked.since = core_.clock().Now();
    session::v1::SessionManagerAction& action = session.gateway->Add();
    action.set_shard(shard.number);
    action.set_epoch(shard.epoch);
    FillPacket(*action.mutable_packet(), *unacked.delivery);
    auto& target = *action.mutable_packet()->add_targets();
    target.set_session_id(session.id.view().data(), SessionId::kSize);
    target.set_seq(unacked.seq);
    core_.metrics().stanzas_resent.Increment();
  }
  return true;
}

// ---- messages ---------------------------------------------------------------

void Deliverer::CopyToOthers(User& user, const std::vector<Session*>& sessions, const Delivery& message,
                             bool recovering) {
  auto copy = std::make_shared<Delivery>();
  copy->stanza = MakeCarbon("received", message.stanza, user.bare);
  copy->offset = message.offset;
  copy->received_at_ms = message.received_at_ms;
  copy->trace_id = message.trace_id;
  copy->to_each = true;
  for (Session* session : sessions) GiveRecord(*session, copy, /*primary=*/false, recovering);
}

void Deliverer::RouteMessage(User& user, const std::shared_ptr<Delivery>& message, bool recovering,
                             bool again) {
  std::string_view resource = xmpp::ResourceOf(message->stanza.to());
  const MessageType type = ParseMessageType(message->stanza.type());
  // XEP-0198 section 5: its session is gone, the user's other resources or the store have it.
  if (again && (type == MessageType::kNormal || type == MessageType::kChat)) resource = {};
  auto route = session_manager::RouteMessage(message->stanza, resource, CandidatesOf(user));
  if (again) route.copies.clear();  // made when it was routed first
  if (recovering) {
    // An earlier owner may have chosen otherwise: what it gave keeps its number on the session.
    for (std::size_t i = 0; i < user.sessions.size(); ++i) {
      Session& session = *user.sessions[i];
      const bool is_copy = std::find(route.copies.begin(), route.copies.end(), i) != route.copies.end();
      if (is_copy) continue;
      for (const UnackedPacket& packet : session.unacked)
        if (packet.offset == message->offset && packet.delivery == nullptr) {
          GiveRecord(session, message, /*primary=*/true, /*recovering=*/true);
          break;
        }
    }
  }
  switch (route.fate) {
    case MessageFate::kIgnore:
      return;
    case MessageFate::kBounce:
      Bounce(*user.shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
      return;
    case MessageFate::kStore:
      if (message->open_targets > 0 || message->reached) return;
      if (IsStorable(message->stanza)) {
        StoreOffline(user, message);
      } else if (xmpp::Has(message->stanza, common::v1::STANZA_TRAIT_BODY)) {
        Bounce(*user.shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
      }
      return;
    case MessageFate::kDeliver:
      break;
  }
  if (!route.copies.empty()) {
    std::vector<Session*> copies;
    for (std::size_t i : route.copies) copies.push_back(user.sessions[i].get());
    CopyToOthers(user, copies, *message, recovering);
  }
  if (!recovering) {
    std::vector<Session*> targets;
    for (std::size_t i : route.targets) targets.push_back(user.sessions[i].get());
    GiveAll(targets, message, /*primary=*/true);
    return;
  }
  bool given = false;
  std::vector<std::shared_ptr<Session>> newer;
  for (std::size_t i : route.targets) {
    const std::shared_ptr<Session>& session = user.sessions[i];
    if (GiveRecord(*session, message, /*primary=*/true, /*recovering=*/true) == Given::kOlderThanSession) {
      newer.push_back(session);
    } else {
      given = true;
    }
  }
  given = given || message->open_targets > 0 || message->reached;
  if (!given && !newer.empty() && IsStorable(message->stanza)) {
    // The sessions began after this record was read: an earlier owner has either stored it
    // (then storing it again changes nothing) or died before it could.
    StoreOffline(user, message);
    const std::shared_ptr<Shard> shard = core_.SharedShard(user.shard->number);
    core_.TakeTurn(user,
                   [this, shard, session = newer.front()] { return GiveOfflineMessages(shard, session); });
  }
}

void Deliverer::Abandon(User& user, UnackedQueue packets) {
  for (UnackedPacket& packet : packets) {
    if (packet.delivery && packet.primary) {
      Delivery& delivery = *packet.delivery;
      if (delivery.open_targets > 0) --delivery.open_targets;
      if (!delivery.reached && delivery.open_targets == 0) {
        if (delivery.stanza.kind() == STANZA_KIND_MESSAGE) {
          core_.metrics().rerouted.Increment();
          // Rows of the offline store stay there unless somebody else can have them now.
          if (delivery.stored_id == 0 || user.HasAvailable())
            RouteMessage(user, packet.delivery, /*recovering=*/false, /*again=*/true);
        } else if (delivery.stanza.kind() == STANZA_KIND_IQ &&
                   (delivery.stanza.type() == "get" || delivery.stanza.type() == "set")) {
          Bounce(*user.shard, delivery, xmpp::ErrorCondition::kServiceUnavailable);
        }
      }
    }
    if (packet.holds) user.shard->window.Release(packet.offset);
  }
}

void Deliverer::Bounce(Shard& shard, const Delivery& delivery, xmpp::ErrorCondition condition,
                       std::string_view text) {
  const xmpp::Stanza& stanza = delivery.stanza;
  if (stanza.type() == "error" || stanza.type() == "result" || stanza.from().empty()) return;
  // Carbon copies and headlines never come back to anybody.
  if (xmpp::Has(stanza, common::v1::STANZA_TRAIT_CARBON)) return;
  core_.metrics().bounced.Increment();
  Cause cause;
  cause.offset = delivery.offset;
  cause.trace_id = delivery.trace_id;
  core_.AppendDelivery(shard, cause, xmpp::MakeError(stanza, condition, text));
}

void Deliverer::StoreOffline(User& user, std::shared_ptr<Delivery> message) {
  if (message->stored_id != 0) return;  // it is there
  ++user.storing;
  user.shard->window.Hold(message->offset);
  core_.tasks().Spawn("offline.store",
                      StoreOfflineTask(core_.SharedShard(user.shard->number), user.bare, std::move(message)));
}

Task<void> Deliverer::StoreOfflineTask(std::shared_ptr<Shard> shard, std::string bare,
                                       std::shared_ptr<Delivery> message) {
  // Never within the call that stores: its caller still uses the user, who may be forgotten below.
  co_await asio::post(core_.executor(), asio::use_awaitable);
  std::chrono::milliseconds wait = kFirstRetry;
  while (!shard->released()) {
    WaitingStore::OfflineMessage row;
    row.id = static_cast<std::uint64_t>(message->offset) + 1;
    row.received_at_ms = message->received_at_ms;
    row.stanza = message->stanza;
    auto stored = co_await core_.ports().waiting.StoreOffline(bare, std::move(row),
                                                              core_.settings().max_offline_messages);
    if (shard->released()) co_return;
    if (!stored.ok() && IsTemporary(stored.status())) {
      co_await runtime::Sleep(wait);
      wait = std::min(wait * 2, kLastRetry);
      continue;
    }
    if (!stored.ok()) {
      telemetry::LogError("offline.store_failed", {{"error", Message(stored.status())}});
      Bounce(*shard, *message, xmpp::ErrorCondition::kInternalServerError);
    } else {
      switch (*stored) {
        case WaitingStore::Stored::kStored:
          core_.metrics().stored_offline.Increment();
          break;
        case WaitingStore::Stored::kAlreadyThere:
          break;
        case WaitingStore::Stored::kNoSuchUser:
          Bounce(*shard, *message, xmpp::ErrorCondition::kServiceUnavailable);
          break;
        case WaitingStore::Stored::kQuotaReached:
          Bounce(*shard, *message, xmpp::ErrorCondition::kResourceConstraint,
                 "the recipient's offline storage is full");
          break;
      }
    }
    break;
  }
  if (shard->released()) co_return;
  shard->window.Release(message->offset);
  User* user = core_.FindUser(*shard, bare);
  if (user == nullptr) co_return;
  --user->storing;
  if (user->storing == 0 && user->on_stored) std::exchange(user->on_stored, nullptr)();
  core_.MaybeForget(*user);
}

Task<void> Deliverer::GiveOfflineMessages(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  User* user = session->ended || shard->released() ? nullptr : session->user;
  if (user == nullptr) co_return;
  const std::string bare = user->bare;
  if (user->storing > 0) {
    runtime::Promise<bool> stored(core_.executor());
    user->on_stored = [stored]() mutable { stored.Set(true); };
    (void)co_await stored.Get();
  }
  // Page by page, and no faster than the client takes them: a heap of messages must not look
  // like a slow reader.
  std::uint64_t after = 0;
  int failures = 0;
  std::chrono::milliseconds wait = kFirstRetry;
  while (failures < kOfflineAttempts) {
    auto rows = co_await core_.ports().waiting.LoadOffline(bare, after, kOfflinePage);
    if (shard->released() || session->ended) co_return;
    if (!rows.ok()) {
      ++failures;
      co_await runtime::Sleep(wait);
      wait = std::min(wait * 2, kLastRetry);
      continue;
    }
    if (rows->empty()) co_return;
    for (WaitingStore::OfflineMessage& row : *rows) {
      after = row.id;
      const bool given =
          std::any_of(session->unacked.begin(), session->unacked.end(), [&](const UnackedPacket& packet) {
            return packet.stored_id == row.id || packet.offset + 1 == static_cast<std::int64_t>(row.id);
          });
      if (given) continue;
      const bool has_room = co_await AwaitRoom(shard, session);
      if (!has_room) {
        if (!shard->released() && !session->ended) session->state.set_offline_given(false);
        co_return;
      }
      auto delivery = std::make_shared<Delivery>();
      delivery->stanza.Swap(&row.stanza);
      xmpp::AddPayload(delivery->stanza, xmpp::MakeDelay(xmpp::DomainOf(bare), row.received_at_ms));
      delivery->offset = static_cast<std::int64_t>(row.id) - 1;
      delivery->stored_id = row.id;
      delivery->received_at_ms = row.received_at_ms;
      Give(*session, std::move(delivery), /*primary=*/true);
    }
  }
  // The store stays away: the client's next presence, or its next session, asks again.
  session->state.set_offline_given(false);
}

Task<bool> Deliverer::AwaitRoom(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  SteadyTime limit = core_.clock().Now() + kOfflinePatience;
  std::uint64_t acked = session->acked_seq;
  while (session->unacked_bytes > kOfflineBurstBytes || session->unacked.size() > kOfflineBurst) {
    co_await runtime::Sleep(std::chrono::milliseconds(5));
    // A client that is away, or takes nothing, leaves the rest in the store.
    if (shard->released() || session->ended || session->detached) co_return false;
    if (session->acked_seq != acked) {
      acked = session->acked_seq;
      limit = core_.clock().Now() + kOfflinePatience;
    } else if (core_.clock().Now() > limit) {
      co_return false;
    }
  }
  co_return true;
}

Task<void> Deliverer::MarkGivenTask(std::shared_ptr<Shard> shard, std::string bare,
                                    std::vector<std::uint64_t> ids) {
  std::chrono::milliseconds wait = kFirstRetry;
  while (!shard->released()) {
    const absl::Status marked = co_await core_.ports().waiting.MarkOfflineGiven(bare, ids);
    if (marked.ok()) break;
    if (!IsTemporary(marked)) {
      telemetry::LogError("offline.mark_failed", {{"error", Message(marked)}});
      co_return;
    }
    co_await runtime::Sleep(wait);
    wait = std::min(wait * 2, kLastRetry);
  }
  if (!shard->released()) core_.tasks().Spawn("offline.purge", PurgeTask(shard, bare));
}

Task<void> Deliverer::PurgeTask(std::shared_ptr<Shard> shard, std::string bare) {
  // A record is never applied again after the horizon: then the mark has done its work.
  const auto horizon = core_.settings().duplicate_horizon * 2;
  co_await runtime::Sleep(std::chrono::duration_cast<std::chrono::milliseconds>(horizon));
  if (shard->released()) co_return;
  (void)co_await core_.ports().waiting.PurgeOfflineGiven(bare,
                                                         core_.clock().UnixMillisNow() - horizon.count());
}

// ---- the window -------------------------------------------------------------

void Deliverer::StoreOldPackets(Shard& shard) {
  const SteadyTime before = core_.clock().Now() - core_.settings().window_time;
  for (auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      if (session->unacked.empty() || session->park_in_flight) continue;
      const bool due =
          std::any_of(session->unacked.begin(), session->unacked.end(), [&](const UnackedPacket& packet) {
            return packet.holds && packet.delivery && packet.since < before;
          });
      if (!due) continue;
      session->park_in_flight = true;
      core_.tasks().Spawn("packets.store", StorePacketsTask(core_.SharedShard(shard.number), session, bare));
    }
  }
}

Task<void> Deliverer::StorePacketsTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                       std::string bare) {
  // Oldest first and without a gap: a later owner appends what it reads from the log
  // after what it finds in the store.
  std::vector<WaitingStore::SessionPacket> rows;
  for (const UnackedPacket& packet : session->unacked) {
    if (packet.stored || packet.delivery == nullptr) continue;
    WaitingStore::SessionPacket row;
    row.seq = packet.seq;
    row.offset = packet.offset;
    row.offline_id = packet.stored_id;
    row.primary = packet.primary;
    row.to_each = packet.delivery->to_each;
    row.received_at_ms = packet.delivery->received_at_ms;
    row.stanza = packet.delivery->stanza;
    rows.push_back(std::move(row));
    if (rows.size() == 500) break;
  }
  if (rows.empty()) {
    session->park_in_flight = false;
    co_return;
  }
  const std::uint64_t up_to = rows.back().seq;
  const auto count = rows.size();
  const absl::Status stored =
      co_await core_.ports().waiting.StorePackets(shard->number, bare, session->id.str(), std::move(rows));
  session->park_in_flight = false;
  if (shard->released() || session->ended) co_return;
  if (!stored.ok()) {
    // The next sweep tries again; until then the log keeps them.
    telemetry::LogWarn("packets.store_failed", {{"error", Message(stored)}});
    co_return;
  }
  core_.metrics().stored_for_session.Increment(static_cast<double>(count));
  for (UnackedPacket& packet : session->unacked) {
    if (packet.seq > up_to) break;
    if (packet.delivery == nullptr) continue;
    packet.stored = true;
    Release(*session, packet);
  }
  if (session->acked_seq >= up_to) {
    // Acknowledged while it was being stored.
    (void)co_await core_.ports().waiting.RemovePackets(bare, session->id.str(), up_to);
  }
}

}  // namespace rookery::session_manager
