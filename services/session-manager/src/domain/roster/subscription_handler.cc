#include "domain/roster/subscription_handler.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "domain/addresses.h"
#include "domain/delivery/client_answers.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/keyed_lock.h"
#include "domain/metrics.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/presence_tracker.h"
#include "domain/records/record_order.h"
#include "domain/roster/ask_roster.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "domain/text_for_clients.h"
#include "domain/users/users.h"
#include "ports/account_store.h"
#include "ports/roster.h"
#include "rookery/base/random.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

using roster::v1::SubscriptionAction;

namespace {

/// Contacts of whom a session has missed something; beyond that they are not named.
constexpr int kMaxMissed = 256;
constexpr std::size_t kMaxMissedBytes = 16 * 1024;
constexpr std::size_t kMostItemsAtOnce = 500;

SubscriptionAction ActionOf(std::string_view type) {
  if (type == "subscribe") return roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBE;
  if (type == "subscribed") return roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBED;
  if (type == "unsubscribe") return roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE;
  return roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED;
}

std::string_view TypeOf(SubscriptionAction action) {
  switch (action) {
    case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBE:
      return "subscribe";
    case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBED:
      return "subscribed";
    case roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE:
      return "unsubscribe";
    default:
      return "unsubscribed";
  }
}

std::string_view NameOf(roster::v1::Subscription subscription) {
  switch (subscription) {
    case roster::v1::SUBSCRIPTION_TO:
      return "to";
    case roster::v1::SUBSCRIPTION_FROM:
      return "from";
    case roster::v1::SUBSCRIPTION_BOTH:
      return "both";
    case roster::v1::SUBSCRIPTION_REMOVE:
      return "remove";
    default:
      return "none";
  }
}

/// Whoever has missed a change does not have the roster's version.
bool LacksChanges(const Session& session) {
  return session.state.missed_contacts_size() > 0 || session.state.removals_missed();
}

bool HasFrom(roster::v1::Subscription subscription) { return ContactState{subscription}.from(); }

}  // namespace

std::string RequestIdOf(const Shard& shard, const Cause& cause) {
  if (cause.session) return absl::StrCat(absl::BytesToHexString(cause.session->id.str()), "/", cause.count);
  if (cause.offset >= 0) return absl::StrCat("users/", shard.number, "/", cause.offset);
  return {};
}

xmpp::Element MakeRosterItem(const roster::v1::RosterItem& item) {
  xmpp::Element element("item", xmpp::ns::kRoster);
  element.SetAttr("jid", item.jid());
  if (!item.name().empty()) element.SetAttr("name", item.name());
  element.SetAttr("subscription", NameOf(item.subscription()));
  if (item.pending_out()) element.SetAttr("ask", "subscribe");
  if (item.approved()) element.SetAttr("approved", "true");
  for (const std::string& group : item.groups()) element.Add("group").SetText(group);
  return element;
}

void SubscriptionHandler::Push(User& user, const Cause& cause, const roster::v1::RosterPush& push) {
  Push(user, cause, push, /*is_own=*/true);
}

void SubscriptionHandler::Push(User& user, const Cause& cause, const roster::v1::RosterPush& push,
                               bool is_own) {
  if (user.contacts) {
    if (push.item().subscription() == roster::v1::SUBSCRIPTION_REMOVE) {
      user.contacts->by_jid.erase(push.item().jid());
    } else {
      user.contacts->by_jid[push.item().jid()].subscription = push.item().subscription();
    }
  }
  std::vector<Session*> up_to_date;
  std::vector<Session*> behind;
  for (const auto& session : user.sessions) {
    if (!session->state.interested()) continue;
    if (!is_own && IsFull(settings_, *session)) {
      metrics_.spared.Increment();
      Miss(*session, push.item().jid());
      continue;
    }
    (LacksChanges(*session) ? behind : up_to_date).push_back(session.get());
  }
  xmpp::Element query("query", xmpp::ns::kRoster);
  query.Add(MakeRosterItem(push.item()));
  SendPush(user, cause, query, behind);
  query.SetAttr("ver", std::to_string(push.version()));
  SendPush(user, cause, query, up_to_date);
}

void SubscriptionHandler::PushTo(User& user, const Cause& cause, const xmpp::Element& change,
                                 const std::function<bool(const Session&)>& is_interested) {
  std::vector<Session*> interested;
  for (const auto& session : user.sessions)
    if (is_interested(*session)) interested.push_back(session.get());
  SendPush(user, cause, change, interested);
}

void SubscriptionHandler::SendPush(User& user, const Cause& cause, const xmpp::Element& change,
                                   const std::vector<Session*>& sessions) {
  if (sessions.empty()) return;
  auto delivery = std::make_shared<Delivery>();
  delivery->received_at_ms = clock_.UnixMillisNow();
  delivery->to_each = true;
  delivery->follows = cause.offset;
  xmpp::Stanza& iq = delivery->stanza;
  iq.set_kind(common::v1::STANZA_KIND_IQ);
  iq.set_type("set");
  iq.set_id("push-" + RandomToken(6));
  iq.set_from(user.bare);
  xmpp::SetPayload(iq, change);
  deliverer_.SendToAll(sessions, delivery, /*primary=*/false);
}

// ---- what was missed --------------------------------------------------------

void SubscriptionHandler::TellAnew(Session& session) {
  if (!NoteRosterMissed(session)) return;
  told_up_to_.erase(session.id);
  outbox_.Publish(session);
  // Else OnShardLive comes, or its client takes something.
  if (!session.detached() && HasRoom(settings_, session)) OnRoomForRoster(session);
}

void SubscriptionHandler::Miss(Session& session, const std::string& contact) {
  told_up_to_.erase(session.id);
  auto& missed = *session.state.mutable_missed_contacts();
  std::size_t bytes = contact.size();
  for (const std::string& other : missed) {
    if (other.empty() || other == contact) return;
    bytes += other.size();
  }
  if (missed.size() >= kMaxMissed || bytes > kMaxMissedBytes) {
    missed.Clear();
    missed.Add();
  } else {
    *missed.Add() = contact;
  }
  outbox_.Publish(session);
}

void SubscriptionHandler::OnRoomForRoster(Session& session) {
  const std::shared_ptr<Shard> shard = shards_.Shared(session.user->shard->number);
  if (!shard->live() || std::exchange(session.is_catching_up, true)) return;
  shard->Spawn("roster.catch_up", CatchUp(shard, table_.Find(session.id)));
}

void SubscriptionHandler::OnShardLive(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    for (const auto& session : user->sessions)
      // Else when its client has taken what it has too much of.
      if (session->state.missed_contacts_size() > 0 && !session->detached() && HasRoom(settings_, *session))
        OnRoomForRoster(*session);
}

Task<void> SubscriptionHandler::CatchUp(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  const std::string bare = session->user->bare;
  // Never within the call that finds it out, which walks the sessions.
  co_await runtime::Yield();
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    if (session->ended()) co_return;
    const KeyedLock::Hold turn = co_await rosters_.Take(bare);
    if (session->ended()) co_return;
    // Everybody behind the lock would wait for the same.
    if (presence_.IsRosterAway(bare)) continue;
    roster::v1::GetRosterRequest request;
    request.set_user(bare);
    const auto roster = co_await roster_.Get(std::move(request), /*trace_id=*/0);
    if (session->ended()) co_return;
    if (!roster.ok()) continue;
    session->is_catching_up = false;
    TellMissed(*session, *roster);
    co_return;
  }
}

void SubscriptionHandler::TellMissed(Session& session, const roster::v1::GetRosterResponse& roster) {
  const auto missed = session.state.missed_contacts();
  const auto is_missed = [&](std::string_view contact) {
    return std::any_of(missed.begin(), missed.end(),
                       [&](const std::string& other) { return other.empty() || other == contact; });
  };
  const auto told = told_up_to_.find(session.id);
  const std::string after = told == told_up_to_.end() ? std::string() : told->second;
  std::vector<const roster::v1::RosterItem*> items;
  if (session.state.interested())
    for (const auto& item : roster.items())
      if (is_missed(item.jid()) && item.jid() > after) items.push_back(&item);
  // No more than its client can take; the rest when it has.
  const std::size_t most = std::clamp<std::size_t>(
      static_cast<std::size_t>(settings_.max_unacked_packets) / 4, 1, kMostItemsAtOnce);
  const bool is_all = items.size() <= most;
  if (!is_all) {
    std::sort(items.begin(), items.end(), [](const auto* a, const auto* b) { return a->jid() < b->jid(); });
    items.resize(most);
    told_up_to_[session.id] = items.back()->jid();
  }
  for (const auto* item : items) {
    xmpp::Element query("query", xmpp::ns::kRoster);
    if (is_all && item == items.back() && !session.state.removals_missed())
      query.SetAttr("ver", std::to_string(roster.version()));
    query.Add(MakeRosterItem(*item));
    SendPush(*session.user, /*cause=*/{}, query, {&session});
  }
  if (!is_all) return;
  if (session.available())
    for (const auto& request : roster.pending())
      if (is_missed(request.from())) deliverer_.Reply(session, request.stanza());
  if (session.ended()) return;
  told_up_to_.erase(session.id);
  session.state.clear_missed_contacts();
  outbox_.Publish(session);
}

// ---- outbound ---------------------------------------------------------------

void SubscriptionHandler::OnOutbound(const Sender& sender, PendingRecord& pending) {
  Cause cause = CauseOf(pending);
  order_.FinishLater(
      sender.user, pending, "subscription.send",
      [this, shard = shards_.Shared(sender.user.shard->number), bare = sender.user.bare,
       session = sender.session, cause, presence = pending.record.outbound().stanza()]() -> Task<void> {
        return OutboundTask(shard, bare, session, cause, presence);
      });
}

Task<void> SubscriptionHandler::OutboundTask(std::shared_ptr<Shard> shard, std::string bare,
                                             std::shared_ptr<Session> session, Cause cause,
                                             xmpp::Stanza presence) {
  const std::string contact(xmpp::BareOf(presence.to()));
  roster::v1::ProcessOutboundSubscriptionRequest request;
  request.set_user(bare);
  request.set_contact(contact);
  request.set_action(ActionOf(presence.type()));
  request.set_max_items(static_cast<std::uint32_t>(settings_.max_roster_items));
  request.set_request_id(RequestIdOf(*shard, cause));
  const auto call = [&] { return roster_.Outbound(request, cause.trace_id); };
  const auto on_doubt = [&] {
    ForgetContacts(*shard, bare);
    order_.OnDoubt(*shard, bare, cause.offset);
  };
  const auto answer = co_await AskRoster<roster::v1::ProcessOutboundSubscriptionResponse>(
      *shard, rosters_, bare, call, on_doubt);
  if (answer.response.ok()) {
    FinishOutbound(*shard, bare, cause, std::move(presence), *answer.response);
  } else if (User* const user = shard->FindUser(bare)) {
    const absl::Status& refusal = answer.response.status();
    answers_.Refuse({*user, session}, cause, presence, xmpp::ConditionOf(refusal), TextForClients(refusal));
  }
}

void SubscriptionHandler::FinishOutbound(Shard& shard, const std::string& bare, Cause& cause,
                                         xmpp::Stanza presence,
                                         const roster::v1::ProcessOutboundSubscriptionResponse& response) {
  const std::string contact(xmpp::BareOf(presence.to()));
  User& user = shard.GetUser(bare);
  // RFC 6121 section 3.1.2: the push comes before the stanza leaves.
  if (response.has_push()) Push(user, cause, response.push());
  if (response.route()) {
    presence.set_from(bare);
    presence.set_to(contact);
    consequences_.AppendDelivery(shard, cause, presence);
  }
  const bool from_before = HasFrom(response.before());
  const bool from_after = HasFrom(response.after());
  if (!from_before && from_after) presence_.SendCurrent(user, cause, contact);
  if (from_before && !from_after) presence_.SendUnavailable(user, cause, contact);
  users_.MaybeForget(user);
}

// ---- inbound ----------------------------------------------------------------

void SubscriptionHandler::OnInbound(User& user, PendingRecord& pending) {
  const std::shared_ptr<Shard> shard = shards_.Shared(user.shard->number);
  Cause cause = CauseOf(pending);
  order_.FinishLater(
      user, pending, "subscription.receive",
      [this, shard, bare = user.bare, cause, presence = pending.record.delivery().stanza()]() -> Task<void> {
        return InboundTask(shard, bare, cause, presence);
      });
}

Task<absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse>> SubscriptionHandler::TryInbound(
    Shard& shard, const std::string& bare, const Cause& cause, const xmpp::Stanza& presence) {
  roster::v1::ProcessInboundSubscriptionResponse nothing;
  // A user with sessions exists; about a missing one nothing is said (RFC 6121 section 8.5.1).
  const User* user = shard.FindUser(bare);
  if (user == nullptr || user->sessions.empty()) {
    const absl::StatusOr<bool> exists = co_await accounts_.Exists(bare);
    if (!exists.ok()) co_return exists.status();
    if (!*exists) co_return nothing;
  }
  roster::v1::ProcessInboundSubscriptionRequest request;
  request.set_user(bare);
  request.set_contact(std::string(xmpp::BareOf(presence.from())));
  request.set_action(ActionOf(presence.type()));
  *request.mutable_stanza() = presence;
  request.set_request_id(RequestIdOf(shard, cause));
  request.set_max_pending(static_cast<std::uint32_t>(settings_.max_pending_requests));
  auto response = co_await roster_.Inbound(std::move(request), cause.trace_id);
  co_return response;
}

Task<void> SubscriptionHandler::InboundTask(std::shared_ptr<Shard> shard, std::string bare, Cause cause,
                                            xmpp::Stanza presence) {
  const auto call = [&] { return TryInbound(*shard, bare, cause, presence); };
  const auto on_doubt = [&] { ForgetContacts(*shard, bare); };
  const auto answer = co_await AskRoster<roster::v1::ProcessInboundSubscriptionResponse>(
      *shard, rosters_, bare, call, on_doubt);
  if (answer.response.ok()) {
    FinishInbound(*shard, bare, cause, presence, *answer.response);
  } else {
    telemetry::LogWarn("subscription.refused", {{"error", Message(answer.response.status())}});
  }
}

void SubscriptionHandler::FinishInbound(Shard& shard, const std::string& bare, Cause& cause,
                                        const xmpp::Stanza& presence,
                                        const roster::v1::ProcessInboundSubscriptionResponse& response) {
  const std::string contact(xmpp::BareOf(presence.from()));
  User& user = shard.GetUser(bare);
  if (response.deliver()) {
    auto delivery = std::make_shared<Delivery>();
    delivery->stanza = presence;
    delivery->stanza.set_from(contact);
    delivery->stanza.set_to(bare);
    delivery->offset = cause.offset;
    delivery->received_at_ms = clock_.UnixMillisNow();
    delivery->trace_id = cause.trace_id;
    // Requests to available resources; the rest to those that keep a roster (section 3.1.6).
    const bool is_request = presence.type() == "subscribe";
    std::vector<Session*> sessions;
    for (const auto& session : user.sessions)
      if (session->available() || (!is_request && session->state.interested()))
        sessions.push_back(session.get());
    for (Session* session : sessions) {
      if (deliverer_.SpareIfFull(*session, delivery->stanza, cause.offset)) {
        if (is_request) Miss(*session, contact);
        continue;
      }
      deliverer_.SendRecord(*session, delivery, /*primary=*/false, shard.IsBeforeFence(cause.offset));
    }
  }
  if (response.has_push()) Push(user, cause, response.push(), /*is_own=*/false);
  if (response.auto_reply())
    consequences_.AppendDelivery(shard, cause, xmpp::MakePresence("subscribed", bare, contact));
  const bool from_before = HasFrom(response.before());
  const bool from_after = HasFrom(response.after());
  if (from_after && response.auto_reply()) presence_.SendCurrent(user, cause, contact);
  if (from_before && !from_after) presence_.SendUnavailable(user, cause, contact);
}

// ---- removal ----------------------------------------------------------------

void SubscriptionHandler::OnItemRemoved(User& user, Cause& cause, const std::string& contact,
                                        const roster::v1::RemoveRosterItemResponse& removed) {
  Push(user, cause, removed.push());
  // An address outside the cluster was never asked for anything.
  if (!addresses_.IsLocal(xmpp::DomainOf(contact))) return;
  for (const int action : removed.send()) {
    consequences_.AppendDelivery(
        *user.shard, cause,
        xmpp::MakePresence(TypeOf(static_cast<SubscriptionAction>(action)), user.bare, contact));
  }
  if (removed.was_from()) presence_.SendUnavailable(user, cause, contact);
}

}  // namespace rookery::session_manager
