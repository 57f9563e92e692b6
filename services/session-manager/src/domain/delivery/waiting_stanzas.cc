#include "domain/delivery/waiting_stanzas.h"

#include <algorithm>
#include <utility>

#include "domain/delivery/bounces.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/late_claim.h"
#include "domain/delivery/packets.h"
#include "domain/delivery/session_closer.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/metrics.h"
#include "domain/outbound/outbox.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "domain/users/users.h"
#include "ports/roster.h"

namespace rookery::session_manager {

namespace {
WaitingStore::Quota QuotaOf(const Settings& settings) {
  return {settings.max_offline_messages, settings.max_offline_bytes};
}

/// The part of it that strangers may take, all together.
WaitingStore::Quota ForStrangers(const WaitingStore::Quota& quota) {
  return {quota.messages / 2, quota.bytes / 2};
}

/// For so long it is believed who is in a roster.
constexpr std::chrono::seconds kSenderKnown{30};
}  // namespace

UserDelivery& WaitingStanzas::Of(User& user) {
  if (!user.delivery) {
    user.delivery = std::make_shared<UserDelivery>(executor_);
    // Somebody was handed everything, and nothing was kept since (PassOver).
    user.delivery->is_store_empty =
        std::any_of(user.sessions.begin(), user.sessions.end(),
                    [](const auto& session) { return session->state.offline_given(); });
  }
  return *user.delivery;
}

WaitingStanza& WaitingStanzas::Keep(User& user, std::shared_ptr<Delivery> message,
                                    std::optional<WaitingStore::Quota> quota, bool is_last_trace,
                                    const Session* given) {
  const std::int64_t offset = message->offset;
  UserDelivery& state = Of(user);
  PassOver(outbox_, user, offset, given);
  state.oldest_new = std::min(state.oldest_new, RowIdOf(offset));
  auto [it, is_new] = state.waiting.try_emplace(offset);
  WaitingStanza& waiting = it->second;
  // One that is being written was sent to a session, which has ended since.
  waiting.is_sent = false;
  waiting.message = std::move(message);
  if (!is_new) return waiting;
  ++user.storing;
  waiting.is_last_trace = is_last_trace;
  if (!is_last_trace) user.shard->window.Hold(offset);
  waiting.since = clock_.Now();
  waiting.quota = quota;
  return waiting;
}

void WaitingStanzas::Store(User& user, std::shared_ptr<Delivery> message, bool recovering) {
  WaitingStanza& waiting = Keep(user, std::move(message), QuotaOf(settings_), /*is_last_trace=*/false);
  waiting.is_late = true;
  waiting.only_from_store = waiting.only_from_store || recovering;
  StoreOrAwait(user, waiting);
}

void WaitingStanzas::StoreEnded(User& user, Session& ended, std::shared_ptr<Delivery> message,
                                bool is_last_trace) {
  ++ended.EndWritesOf()->open;
  // Two owners may have given it each to the one of that name that it knew (SL2): the newer one takes it
  // back.
  const Session* given = user.FindResource(ended.resource());
  if (given != nullptr && ClaimOf(*given, message->offset, message->stanza.to()) == LateClaim::kNone)
    given = nullptr;
  WaitingStanza& waiting =
      Keep(user, std::move(message), user.HasAvailable() ? std::nullopt : std::optional(QuotaOf(settings_)),
           is_last_trace, given);
  waiting.is_late = true;
  // An earlier owner may have sent it to another session, whose client has it.
  waiting.only_from_store = waiting.only_from_store || user.shard->IsBeforeFence(waiting.message->offset);
  waiting.ends.push_back(ended.rare().end_writes);
  StoreOrAwait(user, waiting);
}

void WaitingStanzas::WaitBehind(User& user, std::shared_ptr<Delivery> message, bool recovering) {
  WaitingStanza& waiting = Keep(user, std::move(message), QuotaOf(settings_), /*is_last_trace=*/false);
  waiting.only_from_store = waiting.only_from_store || recovering;
  StoreOrAwait(user, waiting);
  Of(user).changed.Notify();
}

bool WaitingStanzas::WaitBehind(Session& session, const std::shared_ptr<Delivery>& stanza, bool primary) {
  User& user = *session.user;
  UserDelivery& state = Of(user);
  auto [it, is_new] = state.waiting.try_emplace(stanza->offset);
  if (!is_new) return false;
  state.oldest_new = std::min(state.oldest_new, RowIdOf(stanza->offset));
  WaitingStanza& waiting = it->second;
  waiting.message = stanza;
  waiting.session = table_.Find(session.id);
  waiting.primary = primary;
  waiting.is_last_trace = !stanza->is_logged;
  waiting.since = clock_.Now();
  if (primary) ++stanza->open_targets;
  ++user.storing;
  if (stanza->is_logged) user.shard->window.Hold(stanza->offset);
  Arm(user, waiting.since);
  Of(user).changed.Notify();
  return true;
}

bool WaitingStanzas::IsWaiting(const User& user, const Session& session, std::int64_t offset) {
  if (!user.delivery) return false;
  const auto waiting = user.delivery->waiting.find(offset);
  return waiting != user.delivery->waiting.end() && waiting->second.session.get() == &session;
}

std::vector<std::int64_t> WaitingStanzas::OffsetsWaiting(const User& user, const Session& session,
                                                         std::int64_t limit) {
  std::vector<std::int64_t> offsets;
  for (const auto& [offset, waiting] : user.delivery->waiting) {
    if (offset >= limit) break;
    if (waiting.session.get() == &session) offsets.push_back(offset);
  }
  return offsets;
}

void WaitingStanzas::DropBehind(User& user, const Session& session, const Route& route) {
  if (!user.delivery) return;
  const std::shared_ptr<UserDelivery> state = user.delivery;
  for (auto it = state->waiting.begin(); it != state->waiting.end();) {
    const auto next = std::next(it);
    if (it->second.session.get() == &session) {
      const std::shared_ptr<Delivery> stanza = it->second.message;
      if (it->second.primary) {
        if (stanza->open_targets > 0) --stanza->open_targets;
        if (!stanza->reached && stanza->open_targets == 0) route(*stanza);
      }
      Leave(user, it);
    }
    it = next;
  }
}

void WaitingStanzas::SendBehind(User& user, SteadyTime limit) {
  const std::shared_ptr<UserDelivery> state = user.delivery;
  for (auto it = state->waiting.begin(); it != state->waiting.end();) {
    const auto next = std::next(it);
    if (it->second.session && it->second.since <= limit) {
      const WaitingStanza& waiting = it->second;
      if (waiting.primary && waiting.message->open_targets > 0) --waiting.message->open_targets;
      // Another snapshot of the same session may have taken its place.
      const std::shared_ptr<Session> session =
          waiting.session->ended() ? table_.Find(waiting.session->id) : waiting.session;
      if (session) packets_.SendNow(*session, waiting.message, waiting.primary);
      Leave(user, it);
    }
    it = next;
  }
}

void WaitingStanzas::Arm(User& user, SteadyTime since) {
  if (std::exchange(Of(user).is_due, true)) return;
  states_.Of(*user.shard).overdue.Push(since + settings_.window_time, user.bare);
}

void WaitingStanzas::StoreOrAwait(User& user, WaitingStanza& waiting) {
  UserDelivery& state = Of(user);
  if (waiting.is_last_trace || waiting.only_from_store || (!state.receiver && !FindReceiver(user))) {
    Write(user, waiting);
    return;
  }
  // Somebody is there who will have it before a store could.
  Arm(user, waiting.since);
}

void WaitingStanzas::Write(User& user, WaitingStanza& waiting) {
  if (std::exchange(waiting.is_written, true)) return;
  user.delivery->is_store_empty = false;
  const std::string_view sender = xmpp::BareOf(waiting.message->stanza.from());
  const bool is_contact = sender == user.bare || (user.contacts && user.contacts->by_jid.contains(sender));
  waiting.is_sender_asked = is_contact || user.contacts;
  if (MustRefuse(user, waiting)) return BounceByRecord(user, waiting);
  GiveToWriter(user, waiting, waiting.quota && !is_contact ? ForStrangers(*waiting.quota) : waiting.quota);
}

bool WaitingStanzas::MustRefuse(const User& user, const WaitingStanza& waiting) const {
  const Delivery& message = *waiting.message;
  // Messages that an earlier owner may have stored, or that a session left when it ended, are bounded
  // elsewhere.
  if (waiting.only_from_store || waiting.is_last_trace || !waiting.ends.empty() || !waiting.quota)
    return false;
  if (user.shard->IsBeforeFence(message.offset) || !Bounces::CanTell(message)) return false;
  return !states_.WriterOf(*user.shard)
              .HasRoomFor(user.bare, xmpp::BareOf(message.stanza.from()), message.stanza);
}

void WaitingStanzas::BounceByRecord(User& user, WaitingStanza& waiting) {
  waiting.is_refused = true;
  metrics_.store_no_room.Increment();
  bounces_.BounceByRecord(*user.shard, user.bare, *waiting.message, xmpp::ErrorCondition::kResourceConstraint,
                          "too much waits for the recipient's offline storage",
                          [this, &shard = *user.shard, bare = user.bare, offset = waiting.message->offset](
                              bool is_on_record) { OnOnRecord(shard, bare, offset, is_on_record); });
}

void WaitingStanzas::OnOnRecord(Shard& shard, const std::string& bare, std::int64_t offset,
                                bool is_on_record) {
  User* const user = shard.FindUser(bare);
  if (user == nullptr || !user->delivery) return;
  const auto it = user->delivery->waiting.find(offset);
  if (it == user->delivery->waiting.end() || !it->second.is_refused) return;
  if (is_on_record) {
    // From here on that record keeps what is to be said.
    Leave(*user, it);
  } else {
    it->second.is_refused = false;
    // It has been passed over.
    user->delivery->oldest_new = std::min(user->delivery->oldest_new, RowIdOf(offset));
    user->delivery->changed.Notify();
    GiveToWriter(*user, it->second, it->second.quota);
  }
}

void WaitingStanzas::Refuse(Shard& shard, std::string_view bare, std::int64_t offset) {
  auto& refused = states_.Of(shard).refused;
  refused.erase(refused.begin(), refused.lower_bound(shard.window.cursor()));
  if (offset >= shard.window.cursor()) refused.insert(offset);
  User* const user = shard.FindUser(bare);
  if (user == nullptr || !user->delivery) return;
  const auto it = user->delivery->waiting.find(offset);
  if (it == user->delivery->waiting.end() || !it->second.is_open() || it->second.session) return;
  // A message that the store has been asked to write is marked.
  (void)states_.WriterOf(shard).Withdraw(it->second.ticket);
  Leave(*user, it);
}

bool WaitingStanzas::IsRefused(const Shard& shard, std::int64_t offset) {
  return shard.delivery && shard.delivery->refused.contains(offset);
}

void WaitingStanzas::GiveToWriter(User& user, WaitingStanza& waiting,
                                  std::optional<WaitingStore::Quota> quota) {
  const std::shared_ptr<Delivery>& message = waiting.message;
  WaitingStore::OfflineWrite row;
  row.key = {user.bare, RowIdOf(message->offset)};
  row.received_at_ms = message->received_at_ms;
  row.stanza = WaitingStore::SharedStanza(message, &message->stanza);
  row.quota = quota;
  auto done = [this, &shard = *user.shard, bare = user.bare, offset = message->offset](
                  const StoreWriter::Answer& answer) { OnWritten(shard, bare, offset, answer); };
  waiting.ticket = states_.WriterOf(*user.shard).StoreOffline(std::move(row), std::move(done));
}

Task<void> WaitingStanzas::AskForSender(std::shared_ptr<Shard> shard, std::string bare, std::string sender,
                                        std::int64_t offset) {
  std::string pair = bare;
  pair.append(1, '\0').append(sender);
  senders_.Expire(clock_.Now() - kSenderKnown);
  bool is_contact = false;
  if (const bool* known = senders_.Find(pair)) {
    is_contact = *known;
  } else {
    roster::v1::GetRosterRequest request;
    request.set_user(bare);
    request.set_contact(sender);
    const auto roster = co_await roster_.Get(std::move(request), /*trace_id=*/0);
    if (roster.ok()) {
      is_contact = std::any_of(roster->items().begin(), roster->items().end(),
                               [&](const auto& item) { return item.jid() == sender; });
      senders_.Put(pair, is_contact, clock_.Now());
    }
  }
  User* user = shard->FindUser(bare);
  if (user == nullptr || !user->delivery) co_return;
  const auto it = user->delivery->waiting.find(offset);
  if (it == user->delivery->waiting.end()) co_return;
  if (is_contact) {
    GiveToWriter(*user, it->second, it->second.quota);
  } else {
    OnWritten(*shard, bare, offset, {absl::OkStatus(), WaitingStore::Stored::kQuotaReached});
  }
}

void WaitingStanzas::OnWritten(Shard& shard, const std::string& bare, std::int64_t offset,
                               const StoreWriter::Answer& answer) {
  User* user = shard.FindUser(bare);
  if (user == nullptr || !user->delivery) return;
  UserDelivery& state = *user->delivery;
  const auto it = state.waiting.find(offset);
  if (it == state.waiting.end()) return;
  WaitingStanza& waiting = it->second;
  const bool is_full = answer.status.ok() && answer.stored == WaitingStore::Stored::kQuotaReached;
  if (is_full && !waiting.is_sent && !std::exchange(waiting.is_sender_asked, true)) {
    shard.Spawn("offline.ask_for_sender",
                AskForSender(shards_.Shared(shard.number), bare,
                             std::string(xmpp::BareOf(waiting.message->stanza.from())), offset));
    return;
  }
  std::optional<xmpp::ErrorCondition> refusal;
  std::string_view text;
  if (!answer.status.ok()) {
    refusal = xmpp::ErrorCondition::kInternalServerError;
  } else {
    switch (answer.stored) {
      case WaitingStore::Stored::kStored:
        metrics_.stored_offline.Increment();
        break;
      case WaitingStore::Stored::kAlreadyThere:
        break;
      case WaitingStore::Stored::kNoSuchUser:
        refusal = xmpp::ErrorCondition::kServiceUnavailable;
        break;
      case WaitingStore::Stored::kQuotaReached:
        refusal = xmpp::ErrorCondition::kResourceConstraint;
        text = "the recipient's offline storage is full";
        break;
    }
  }
  if (!refusal) state.is_store_empty = false;
  if (waiting.is_sent) {
    // Whoever has it: the row is there, or is not needed.
    if (!refusal)
      for (const auto& session : user->sessions)
        for (UnackedPacket& packet : session->unacked)
          if (packet.stored_id == RowIdOf(offset)) packet.has_row = true;
  } else if (refusal && waiting.is_last_trace && !waiting.ends.empty()) {
    bounces_.BounceEnded(shard, waiting.ends.front(), *waiting.message, *refusal, text);
  } else if (refusal) {
    bounces_.Bounce(shard, *waiting.message, *refusal, text);
  } else if (state.receiver) {
    state.look_again = true;
  } else {
    // Somebody may have come meanwhile.
    listener_->OnStored(*user);
  }
  Leave(*user, it);
}

void WaitingStanzas::Leave(User& user, std::map<std::int64_t, WaitingStanza>::iterator waiting) {
  Shard& shard = *user.shard;
  const std::int64_t offset = waiting->first;
  const std::vector<std::shared_ptr<EndWrites>> ends = std::move(waiting->second.ends);
  const bool is_last_trace = waiting->second.is_last_trace;
  user.delivery->waiting.erase(waiting);
  user.delivery->changed.Notify();
  if (!is_last_trace) shard.window.Release(offset);
  for (const auto& end : ends) end->Finish();
  FinishUse(shard, std::string(user.bare));
  closer_.Check(shard);
}

void WaitingStanzas::FinishUse(Shard& shard, const std::string& bare) {
  User* user = shard.FindUser(bare);
  if (user == nullptr) return;
  --user->storing;
  // Most users have nothing that waits: nothing is kept for them.
  if (user->delivery && user->storing == 0 && user->delivery->waiting.empty()) user->delivery.reset();
  users_.MaybeForget(*user);
}

void WaitingStanzas::StoreOverdue(Shard& shard) {
  if (!shard.delivery) return;
  ShardDelivery& state = *shard.delivery;
  const SteadyTime now = clock_.Now();
  const auto window_time = settings_.window_time;
  while (const auto bare = state.overdue.Pop(now)) {
    User* user = shard.FindUser(*bare);
    if (user == nullptr || !user->delivery) continue;
    const std::shared_ptr<UserDelivery> of_user = user->delivery;
    of_user->is_due = false;
    SteadyTime next = SteadyTime::max();
    // Stanzas that no store keeps wait no longer.
    SendBehind(*user, now - window_time);
    user = shard.FindUser(*bare);
    if (user == nullptr || user->delivery != of_user) continue;
    for (auto& [offset, waiting] : of_user->waiting) {
      if (!waiting.is_open() || waiting.is_written || waiting.session) {
        if (waiting.session) next = std::min(next, waiting.since + window_time);
        continue;
      }
      if (waiting.since + window_time <= now) {
        Write(*user, waiting);
      } else {
        next = std::min(next, waiting.since + window_time);
      }
    }
    if (next == SteadyTime::max()) continue;
    of_user->is_due = true;
    state.overdue.Push(next, *bare);
  }
}

void WaitingStanzas::WriteUnsent(User& user) {
  for (auto& [offset, waiting] : user.delivery->waiting)
    if (waiting.is_open() && !waiting.session) Write(user, waiting);
}

}  // namespace rookery::session_manager
