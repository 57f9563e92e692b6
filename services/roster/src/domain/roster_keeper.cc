#include "domain/roster_keeper.h"

namespace rookery::roster {

namespace {

constexpr int kAttempts = 5;

std::optional<Event> EventOf(v1::SubscriptionAction action) {
  switch (action) {
    case v1::SUBSCRIPTION_ACTION_SUBSCRIBE:
      return Event::kSubscribe;
    case v1::SUBSCRIPTION_ACTION_SUBSCRIBED:
      return Event::kSubscribed;
    case v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE:
      return Event::kUnsubscribe;
    case v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED:
      return Event::kUnsubscribed;
    default:
      return std::nullopt;
  }
}

/// What clients see of a contact has changed.
bool IsVisibleChange(const Contact& before, const Contact& after) {
  if (before.listed != after.listed) return true;
  const SubscriptionState& a = before.state;
  const SubscriptionState& b = after.state;
  return after.listed &&
         (a.to != b.to || a.from != b.from || a.pending_out != b.pending_out || a.approved != b.approved);
}

void AddPending(const Contact& contact, v1::GetRosterResponse& response) {
  v1::PendingRequest& pending = *response.add_pending();
  pending.set_from(contact.jid);
  (void)pending.mutable_stanza()->ParseFromString(contact.request);
}

v1::RosterPush MakePush(const Contact& contact, std::uint64_t version) {
  v1::RosterPush push;
  *push.mutable_item() = ToProto(contact);
  push.set_version(version);
  return push;
}

}  // namespace

v1::Subscription ToProto(const SubscriptionState& state) {
  if (state.to && state.from) return v1::SUBSCRIPTION_BOTH;
  if (state.to) return v1::SUBSCRIPTION_TO;
  if (state.from) return v1::SUBSCRIPTION_FROM;
  return v1::SUBSCRIPTION_NONE;
}

v1::RosterItem ToProto(const Contact& contact) {
  v1::RosterItem item;
  item.set_jid(contact.jid);
  item.set_name(contact.name);
  for (const std::string& group : contact.groups) item.add_groups(group);
  item.set_subscription(ToProto(contact.state));
  item.set_pending_out(contact.state.pending_out);
  item.set_approved(contact.state.approved);
  return item;
}

Task<absl::StatusOr<Contact>> RosterKeeper::FindOrNew(std::string owner, std::string jid) {
  auto found = co_await store_.Find(std::move(owner), jid);
  if (!found.ok()) co_return found.status();
  if (found->has_value()) co_return **std::move(found);
  Contact contact;
  contact.jid = std::move(jid);
  co_return contact;
}

Task<absl::StatusOr<v1::GetRosterResponse>> RosterKeeper::Get(v1::GetRosterRequest request) {
  v1::GetRosterResponse response;
  if (request.has_known_version() && request.known_version() > 0) {
    auto waiting = co_await store_.LoadPending(request.user());
    if (!waiting.ok()) co_return waiting.status();
    if (waiting->version == request.known_version()) {
      response.set_version(waiting->version);
      response.set_unchanged(true);
      for (const Contact& contact : waiting->contacts) AddPending(contact, response);
      co_return response;
    }
  }
  auto roster = co_await store_.Load(request.user());
  if (!roster.ok()) co_return roster.status();
  response.set_version(roster->version);
  for (const Contact& contact : roster->contacts) {
    if (contact.listed) *response.add_items() = ToProto(contact);
    if (contact.state.pending_in) AddPending(contact, response);
  }
  co_return response;
}

Task<absl::StatusOr<v1::SetRosterItemResponse>> RosterKeeper::SetItem(v1::SetRosterItemRequest request) {
  absl::Status last = absl::AbortedError("the contact keeps changing");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto contact = co_await FindOrNew(request.user(), request.jid());
    if (!contact.ok()) co_return contact.status();
    if (!contact->listed && request.max_items() > 0) {
      auto counts = co_await store_.Count(request.user());
      if (!counts.ok()) co_return counts.status();
      if (counts->listed >= request.max_items()) co_return absl::ResourceExhaustedError("the roster is full");
    }
    // Section 2.3: a client sets name and groups, nothing else.
    contact->listed = true;
    contact->name = request.name();
    contact->groups.assign(request.groups().begin(), request.groups().end());
    // Also when nothing differs: the RFC has the server push what a client has set.
    auto version = co_await store_.Save(request.user(), *contact, true);
    if (version.ok()) {
      v1::SetRosterItemResponse response;
      *response.mutable_push() = MakePush(*contact, *version);
      co_return response;
    }
    last = version.status();
    if (!absl::IsAborted(last)) break;
  }
  co_return last;
}

Task<absl::StatusOr<v1::RemoveRosterItemResponse>> RosterKeeper::RemoveItem(
    v1::RemoveRosterItemRequest request) {
  absl::Status last = absl::AbortedError("the contact keeps changing");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto found = co_await store_.Find(request.user(), request.jid());
    if (!found.ok()) co_return found.status();
    if (!found->has_value() || !(*found)->listed) co_return absl::NotFoundError("no such item");
    const Contact& contact = **found;
    auto version = co_await store_.Remove(request.user(), request.jid(), contact.revision, true);
    if (version.ok()) {
      v1::RemoveRosterItemResponse response;
      response.mutable_push()->mutable_item()->set_jid(contact.jid);
      response.mutable_push()->mutable_item()->set_subscription(v1::SUBSCRIPTION_REMOVE);
      response.mutable_push()->set_version(*version);
      // Section 2.5.2: what the contact's server must learn of it.
      if (contact.state.to || contact.state.pending_out)
        response.add_send(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE);
      if (contact.state.from || contact.state.pending_in)
        response.add_send(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED);
      response.set_was_from(contact.state.from);
      co_return response;
    }
    last = version.status();
    if (!absl::IsAborted(last)) break;
  }
  co_return last;
}

Task<absl::StatusOr<v1::ProcessOutboundSubscriptionResponse>> RosterKeeper::ProcessOutbound(
    v1::ProcessOutboundSubscriptionRequest request) {
  const std::optional<Event> event = EventOf(request.action());
  if (!event) co_return absl::InvalidArgumentError("no such action");
  absl::Status last = absl::AbortedError("the contact keeps changing");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto before = co_await FindOrNew(request.user(), request.contact());
    if (!before.ok()) co_return before.status();
    const Transition next = Outbound(before->state, *event);
    Contact after = *before;
    after.state = next.state;
    // Sections 3.1.2 and 3.4: asking for, granting and approving make an item.
    if (after.state.pending_out || after.state.to || after.state.from || after.state.approved)
      after.listed = true;
    if (!after.state.pending_in) after.request.clear();
    if (after.listed && !before->listed && request.max_items() > 0) {
      auto counts = co_await store_.Count(request.user());
      if (!counts.ok()) co_return counts.status();
      if (counts->listed >= request.max_items()) co_return absl::ResourceExhaustedError("the roster is full");
    }
    v1::ProcessOutboundSubscriptionResponse response;
    response.set_route(next.pass_on);
    response.set_before(ToProto(before->state));
    response.set_after(ToProto(after.state));
    if (after.state == before->state && after.listed == before->listed) co_return response;
    const bool is_visible = IsVisibleChange(*before, after);
    absl::StatusOr<std::uint64_t> version = 0;
    if (!after.listed && !after.state.pending_in) {
      // A request refused by a user who never had the contact: nothing stays.
      version = co_await store_.Remove(request.user(), request.contact(), before->revision, is_visible);
    } else {
      version = co_await store_.Save(request.user(), after, is_visible);
    }
    if (version.ok()) {
      if (is_visible) *response.mutable_push() = MakePush(after, *version);
      co_return response;
    }
    last = version.status();
    if (!absl::IsAborted(last)) break;
  }
  co_return last;
}

Task<absl::StatusOr<v1::ProcessInboundSubscriptionResponse>> RosterKeeper::ProcessInbound(
    v1::ProcessInboundSubscriptionRequest request) {
  const std::optional<Event> event = EventOf(request.action());
  if (!event) co_return absl::InvalidArgumentError("no such action");
  absl::Status last = absl::AbortedError("the contact keeps changing");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto before = co_await FindOrNew(request.user(), request.contact());
    if (!before.ok()) co_return before.status();
    const Transition next = Inbound(before->state, *event);
    Contact after = *before;
    after.state = next.state;
    v1::ProcessInboundSubscriptionResponse response;
    response.set_deliver(next.pass_on);
    response.set_auto_reply(next.auto_reply);
    response.set_before(ToProto(before->state));
    response.set_after(ToProto(after.state));
    if (after.state == before->state) co_return response;
    if (after.state.pending_in && !before->state.pending_in) {
      if (request.max_pending() > 0) {
        auto counts = co_await store_.Count(request.user());
        if (!counts.ok()) co_return counts.status();
        if (counts->pending >= request.max_pending())
          co_return absl::ResourceExhaustedError("too many subscription requests wait");
      }
      after.request = request.stanza().SerializeAsString();
    }
    if (!after.state.pending_in) after.request.clear();
    const bool is_visible = IsVisibleChange(*before, after);
    absl::StatusOr<std::uint64_t> version = 0;
    if (!after.listed && !after.state.pending_in) {
      version = co_await store_.Remove(request.user(), request.contact(), before->revision, is_visible);
    } else {
      version = co_await store_.Save(request.user(), after, is_visible);
    }
    if (version.ok()) {
      if (is_visible) *response.mutable_push() = MakePush(after, *version);
      co_return response;
    }
    last = version.status();
    if (!absl::IsAborted(last)) break;
  }
  co_return last;
}

Task<absl::StatusOr<v1::DeleteUserResponse>> RosterKeeper::DeleteUser(v1::DeleteUserRequest request) {
  auto roster = co_await store_.Load(request.user());
  if (!roster.ok()) co_return roster.status();
  const absl::Status removed = co_await store_.RemoveAll(request.user());
  if (!removed.ok()) co_return removed;
  v1::DeleteUserResponse response;
  for (const Contact& contact : roster->contacts)
    if (contact.listed) *response.add_items() = ToProto(contact);
  co_return response;
}

}  // namespace rookery::roster
