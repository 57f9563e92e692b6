#include "domain/subscription_handler.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "domain/client_stanza_processor.h"
#include "domain/delivery/deliverer.h"
#include "domain/presence_tracker.h"
#include "domain/session_keeper.h"
#include "rookery/base/random.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

using roster::v1::SubscriptionAction;

namespace {

constexpr std::chrono::milliseconds kFirstRetry{100};
constexpr std::chrono::milliseconds kLastRetry{2'000};
/// A call for a sender is not begun again after so long: what they send next waits meanwhile.
constexpr int kOutboundAttempts = 4;
constexpr std::chrono::seconds kOutboundPatience{3};

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

bool HasFrom(roster::v1::Subscription subscription) { return ContactState{subscription}.from(); }

bool IsTemporary(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status) ||
         absl::IsCancelled(status);
}

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

void SubscriptionHandler::Push(User& user, const roster::v1::RosterPush& push) {
  if (user.contacts) {
    if (push.item().subscription() == roster::v1::SUBSCRIPTION_REMOVE) {
      user.contacts->by_jid.erase(push.item().jid());
    } else {
      user.contacts->by_jid[push.item().jid()].subscription = push.item().subscription();
    }
  }
  std::vector<Session*> interested;
  for (const auto& session : user.sessions)
    if (session->state.interested()) interested.push_back(session.get());
  if (interested.empty()) return;
  auto delivery = std::make_shared<Delivery>();
  delivery->received_at_ms = core_.clock().UnixMillisNow();
  delivery->to_each = true;
  xmpp::Stanza& iq = delivery->stanza;
  iq.set_kind(common::v1::STANZA_KIND_IQ);
  iq.set_type("set");
  iq.set_id("push-" + RandomToken(6));
  iq.set_from(user.bare);
  xmpp::Element query("query", xmpp::ns::kRoster);
  query.SetAttr("ver", std::to_string(push.version()));
  query.Add(MakeRosterItem(push.item()));
  xmpp::SetPayload(iq, query);
  core_.deliverer().SendToAll(interested, delivery, /*primary=*/false);
}

// ---- outbound ---------------------------------------------------------------

void SubscriptionHandler::OnOutbound(const std::shared_ptr<Session>& session, Cause& cause,
                                     const xmpp::Stanza& presence) {
  core_.client_stanzas().RunInTurn(session, cause, [this, session, presence](Cause& later) -> Task<void> {
    return OutboundTask(session, later, presence);
  });
}

Task<void> SubscriptionHandler::OutboundTask(std::shared_ptr<Session> session, Cause& cause,
                                             xmpp::Stanza presence) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(session->user->shard->number);
  const std::string contact(xmpp::BareOf(presence.to()));
  const std::string bare = session->user->bare;
  if (contact == bare) co_return;  // one sees one's own presence anyway
  const SubscriptionAction action = ActionOf(presence.type());
  roster::v1::ProcessOutboundSubscriptionRequest request;
  request.set_user(bare);
  request.set_contact(contact);
  request.set_action(action);
  request.set_max_items(static_cast<std::uint32_t>(core_.settings().max_roster_items));
  request.set_request_id(RequestIdOf(*shard, cause));
  const SteadyTime began = core_.clock().Now();
  auto response = co_await core_.ports().roster.Outbound(request, cause.trace_id);
  // A failed call may have made the change: asked again under the same name, it answers.
  std::chrono::milliseconds wait = kFirstRetry;
  for (int attempt = 1; attempt < kOutboundAttempts; ++attempt, wait *= 2) {
    if (response.ok() || !IsTemporary(response.status())) break;
    if (core_.clock().Now() - began > kOutboundPatience) break;
    co_await runtime::Sleep(wait);
    if (shard->released()) co_return;
    response = co_await core_.ports().roster.Outbound(request, cause.trace_id);
  }
  if (shard->released()) co_return;
  if (!response.ok()) {
    if (!session->ended) {
      const absl::Status& status = response.status();
      core_.client_stanzas().Refuse(
          *session, presence,
          IsTemporary(status) ? xmpp::ErrorCondition::kResourceConstraint : xmpp::ConditionOf(status),
          Message(status));
    }
    co_return;
  }
  User& user = core_.GetUser(*shard, bare);
  // RFC 6121 section 3.1.2: the push comes before the stanza leaves.
  if (response->has_push()) Push(user, response->push());
  if (response->route()) {
    presence.set_from(bare);
    presence.set_to(contact);
    core_.AppendDelivery(*shard, cause, std::move(presence));
  }
  const bool from_before = HasFrom(response->before());
  const bool from_after = HasFrom(response->after());
  if (!from_before && from_after) core_.presence().SendCurrent(user, cause, contact);
  if (from_before && !from_after) core_.presence().SendUnavailable(user, cause, contact);
  core_.MaybeForget(user);
}

// ---- inbound ----------------------------------------------------------------

void SubscriptionHandler::OnInbound(User& user, const PendingRecord& pending) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(user.shard->number);
  Cause cause;
  cause.offset = pending.offset;
  cause.trace_id = pending.record.trace_id();
  shard->window.Hold(pending.offset);
  core_.TakeNextTurn(
      user,
      [this, shard, bare = user.bare, cause, presence = pending.record.delivery().stanza()]() -> Task<void> {
        return InboundTask(shard, bare, cause, presence);
      });
}

Task<void> SubscriptionHandler::InboundTask(std::shared_ptr<Shard> shard, std::string bare, Cause cause,
                                            xmpp::Stanza presence) {
  std::chrono::milliseconds wait = kFirstRetry;
  const std::string contact(xmpp::BareOf(presence.from()));
  const SubscriptionAction action = ActionOf(presence.type());
  absl::StatusOr<roster::v1::ProcessInboundSubscriptionResponse> response =
      absl::UnavailableError("not asked yet");
  while (!shard->released()) {
    // A user with sessions exists; about a missing one nothing is said (RFC 6121 section 8.5.1).
    const User* user = core_.FindUser(*shard, bare);
    absl::StatusOr<bool> exists = true;
    if (user == nullptr || user->sessions.empty()) exists = co_await core_.ports().accounts.Exists(bare);
    if (exists.ok() && !*exists) {
      shard->window.Release(cause.offset);
      co_return;
    }
    if (exists.ok()) {
      roster::v1::ProcessInboundSubscriptionRequest request;
      request.set_user(bare);
      request.set_contact(contact);
      request.set_action(action);
      *request.mutable_stanza() = presence;
      request.set_request_id(RequestIdOf(*shard, cause));
      request.set_max_pending(static_cast<std::uint32_t>(core_.settings().max_pending_requests));
      response = co_await core_.ports().roster.Inbound(std::move(request), cause.trace_id);
      if (response.ok() || !IsTemporary(response.status())) break;
    }
    // The sender has been told that it is accepted: it must not be lost.
    co_await runtime::Sleep(wait);
    wait = std::min(wait * 2, kLastRetry);
  }
  if (shard->released()) co_return;
  if (!response.ok()) {
    telemetry::LogWarn("subscription.refused", {{"error", Message(response.status())}});
    shard->window.Release(cause.offset);
    co_return;
  }
  User& user = core_.GetUser(*shard, bare);
  if (response->deliver()) {
    presence.set_from(contact);
    presence.set_to(bare);
    auto delivery = std::make_shared<Delivery>();
    delivery->stanza = presence;
    delivery->offset = cause.offset;
    delivery->received_at_ms = core_.clock().UnixMillisNow();
    delivery->trace_id = cause.trace_id;
    // Requests to available resources; the rest to those that keep a roster (section 3.1.6).
    const bool is_request = action == roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBE;
    std::vector<Session*> sessions;
    for (const auto& session : user.sessions)
      if (session->available() || (!is_request && session->state.interested()))
        sessions.push_back(session.get());
    for (Session* session : sessions)
      core_.deliverer().SendRecord(*session, delivery, /*primary=*/false, cause.offset < shard->epoch);
  }
  if (response->has_push()) Push(user, response->push());
  if (response->auto_reply()) {
    core_.AppendDelivery(*shard, cause, xmpp::MakePresence("subscribed", bare, contact));
  }
  const bool from_before = HasFrom(response->before());
  const bool from_after = HasFrom(response->after());
  if (from_after && response->auto_reply()) core_.presence().SendCurrent(user, cause, contact);
  if (from_before && !from_after) core_.presence().SendUnavailable(user, cause, contact);
  shard->window.Release(cause.offset);
  core_.MaybeForget(user);
}

// ---- removal ----------------------------------------------------------------

void SubscriptionHandler::OnItemRemoved(User& user, Cause& cause, const std::string& contact,
                                        const roster::v1::RemoveRosterItemResponse& removed) {
  Push(user, removed.push());
  // An address outside the cluster was never asked for anything.
  if (!core_.IsLocalDomain(xmpp::DomainOf(contact))) return;
  for (const int action : removed.send()) {
    core_.AppendDelivery(
        *user.shard, cause,
        xmpp::MakePresence(TypeOf(static_cast<SubscriptionAction>(action)), user.bare, contact));
  }
  if (removed.was_from()) core_.presence().SendUnavailable(user, cause, contact);
}

Task<absl::Status> SubscriptionHandler::RemoveAccount(std::string bare, Cause cause) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(core_.ShardNumberOf(bare));
  if (!shard || !shard->live()) co_return absl::UnavailableError("the user's shard is not here");
  roster::v1::DeleteUserRequest request;
  request.set_user(bare);
  request.set_request_id(RequestIdOf(*shard, cause));
  auto contacts = co_await core_.ports().roster.DeleteUser(std::move(request), cause.trace_id);
  if (!contacts.ok()) co_return contacts.status();
  const absl::Status removed = co_await core_.ports().accounts.Remove(bare);
  if (!removed.ok()) co_return removed;
  if (shard->released()) co_return absl::UnavailableError("the user's shard has moved");
  // The records that follow from the contacts come first: a repetition numbers them alike.
  std::vector<std::string> seeing;
  for (const auto& item : contacts->items()) {
    if (!core_.IsLocalDomain(xmpp::DomainOf(item.jid()))) continue;
    const ContactState state{item.subscription()};
    if (state.to() || item.pending_out())
      core_.AppendDelivery(*shard, cause, xmpp::MakePresence("unsubscribe", bare, item.jid()));
    if (!state.from()) continue;
    core_.AppendDelivery(*shard, cause, xmpp::MakePresence("unsubscribed", bare, item.jid()));
    seeing.push_back(item.jid());
  }
  for (const std::string& asking : contacts->asking()) {
    if (core_.IsLocalDomain(xmpp::DomainOf(asking)))
      core_.AppendDelivery(*shard, cause, xmpp::MakePresence("unsubscribed", bare, asking));
  }
  events::v1::UserRecord record;
  record.mutable_account_removed()->set_jid(bare);
  core_.AppendRecord(*shard, cause, shard->number, bare, std::move(record));
  User* user = core_.FindUser(*shard, bare);
  if (user == nullptr) co_return absl::OkStatus();
  for (const auto& session : user->sessions) {
    if (session->available() && !seeing.empty())
      core_.AppendFanout(*shard, cause, xmpp::MakePresence("unavailable", session->jid.str(), {}), seeing);
  }
  // Nobody is left to be told when the sessions end.
  if (user->contacts) user->contacts->by_jid.clear();
  co_return absl::OkStatus();
}

}  // namespace rookery::session_manager
