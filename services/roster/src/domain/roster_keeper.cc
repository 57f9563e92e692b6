#include "domain/roster_keeper.h"

#include <set>
#include <string_view>

#include "domain/refusal.h"

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

/// Whether something has changed that clients see of a contact.
bool IsVisibleChange(const Contact& before, const Contact& after) {
  if (before.listed != after.listed) return true;
  const SubscriptionState& a = before.state;
  const SubscriptionState& b = after.state;
  return after.listed &&
         (a.to != b.to || a.from != b.from || a.pending_out != b.pending_out || a.approved != b.approved);
}

Totals WeightOf(const Contact& contact) {
  Totals weight;
  if (contact.listed) {
    weight.items = 1;
    std::size_t bytes = contact.jid.size() + contact.name.size();
    for (const std::string& group : contact.groups) bytes += group.size();
    weight.item_bytes = static_cast<std::int64_t>(bytes);
  }
  if (contact.state.pending_in) {
    weight.requests = 1;
    weight.request_bytes = static_cast<std::int64_t>(contact.request.size());
  }
  return weight;
}

Totals Difference(const Totals& after, const Totals& before) {
  return {after.items - before.items, after.item_bytes - before.item_bytes, after.requests - before.requests,
          after.request_bytes - before.request_bytes};
}

/// Whether the roster has room for what is added; 0 is no limit.
absl::Status CheckRoom(const Totals& held, const Totals& added, std::int64_t max_items,
                       std::int64_t max_requests) {
  if (added.items > 0 && max_items > 0 && held.items >= max_items)
    return absl::ResourceExhaustedError("the roster is full");
  if (added.item_bytes > 0 && held.item_bytes + added.item_bytes > RosterKeeper::kMaxRosterBytes)
    return absl::ResourceExhaustedError("the names and groups of the roster are too long");
  if (added.requests > 0 && ((max_requests > 0 && held.requests >= max_requests) ||
                             held.request_bytes + added.request_bytes > RosterKeeper::kMaxRequestsBytes))
    return absl::ResourceExhaustedError("too many subscription requests wait");
  return absl::OkStatus();
}

void AddPending(const Contact& contact, v1::GetRosterResponse& response) {
  v1::PendingRequest& pending = *response.add_pending();
  pending.set_from(contact.jid);
  (void)pending.mutable_stanza()->ParseFromString(contact.request);
}

/// The contact as clients see it; without one, that it is gone.
void FillPush(const std::string& jid, const std::optional<Contact>& contact, std::uint64_t version,
              v1::RosterPush& push) {
  if (contact && contact->listed) {
    *push.mutable_item() = ToProto(*contact);
  } else {
    push.mutable_item()->set_jid(jid);
    push.mutable_item()->set_subscription(v1::SUBSCRIPTION_REMOVE);
  }
  push.set_version(version);
}

/// The decision about one contact.
template <typename Response>
struct Decision {
  /// Its push is filled in when the change is made.
  Response response;
  Change::Kind kind = Change::Kind::kNone;
  Contact after;
  bool has_push = false;
  std::int64_t max_items = 0;
  std::int64_t max_requests = 0;
};

/// Section 2.3: a client sets name and groups, nothing else.
absl::StatusOr<Decision<v1::SetRosterItemResponse>> DecideSet(const v1::SetRosterItemRequest& request,
                                                              const Contact& before) {
  Decision<v1::SetRosterItemResponse> decision;
  decision.after = before;
  decision.after.listed = true;
  decision.after.name = request.name();
  decision.after.groups.assign(request.groups().begin(), request.groups().end());
  if (WeightOf(decision.after).item_bytes > RosterKeeper::kMaxItemBytes)
    return absl::InvalidArgumentError("name and groups are too long");
  // Also when nothing differs: the RFC has the server push what a client has set.
  decision.kind = Change::Kind::kSave;
  decision.has_push = true;
  decision.max_items = request.max_items();
  return decision;
}

/// Section 2.5.
absl::StatusOr<Decision<v1::RemoveRosterItemResponse>> DecideRemove(const v1::RemoveRosterItemRequest&,
                                                                    const Contact& before) {
  if (!before.listed) return absl::NotFoundError("no such item");
  Decision<v1::RemoveRosterItemResponse> decision;
  decision.after.jid = before.jid;
  decision.after.revision = before.revision;
  decision.kind = Change::Kind::kRemove;
  decision.has_push = true;
  // Section 2.5.2: what the contact's server must learn of it.
  const SubscriptionState& state = before.state;
  if (state.to || state.pending_out) decision.response.add_send(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE);
  if (state.from || state.pending_in) decision.response.add_send(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED);
  decision.response.set_was_from(state.from);
  return decision;
}

/// Decides what a subscription stanza of either direction makes of a contact.
template <typename Response>
void Step(const Contact& before, Contact after, Decision<Response>& decision) {
  if (!after.state.pending_in) after.request.clear();
  decision.response.set_before(ToProto(before.state));
  decision.response.set_after(ToProto(after.state));
  decision.has_push = IsVisibleChange(before, after);
  if (after.state == before.state && after.listed == before.listed) {
    decision.kind = Change::Kind::kNone;
  } else if (!after.listed && !after.state.pending_in) {
    // A request refused by a user who never had the contact, or withdrawn: nothing stays.
    decision.kind = Change::Kind::kRemove;
  } else {
    decision.kind = Change::Kind::kSave;
  }
  decision.after = std::move(after);
}

absl::StatusOr<Decision<v1::ProcessOutboundSubscriptionResponse>> DecideOutbound(
    const v1::ProcessOutboundSubscriptionRequest& request, const Contact& before) {
  const std::optional<Event> event = EventOf(request.action());
  if (!event) return absl::InvalidArgumentError("no such action");
  const Transition next = Outbound(before.state, *event);
  Contact after = before;
  after.state = next.state;
  // Sections 3.1.2 and 3.4: asking for, granting and approving make an item.
  if (after.state.pending_out || after.state.to || after.state.from || after.state.approved)
    after.listed = true;
  Decision<v1::ProcessOutboundSubscriptionResponse> decision;
  decision.response.set_route(next.pass_on);
  decision.max_items = request.max_items();
  Step(before, std::move(after), decision);
  return decision;
}

absl::StatusOr<Decision<v1::ProcessInboundSubscriptionResponse>> DecideInbound(
    const v1::ProcessInboundSubscriptionRequest& request, const Contact& before, const Totals& held) {
  const std::optional<Event> event = EventOf(request.action());
  if (!event) return absl::InvalidArgumentError("no such action");
  const Transition next = Inbound(before.state, *event);
  Contact after = before;
  after.state = next.state;
  if (after.state.pending_in && !before.state.pending_in) {
    // Section 3.1.3: with all that came in it, as far as there is room.
    after.request = request.stanza().SerializeAsString();
    const auto bytes = static_cast<std::int64_t>(after.request.size());
    if (bytes > RosterKeeper::kMaxRequestBytes ||
        held.request_bytes + bytes > RosterKeeper::kMaxFullRequestsBytes) {
      common::v1::Stanza bare = request.stanza();
      bare.clear_payload();
      bare.clear_traits();
      bare.clear_id();
      after.request = bare.SerializeAsString();
    }
  }
  Decision<v1::ProcessInboundSubscriptionResponse> decision;
  decision.response.set_deliver(next.pass_on);
  decision.response.set_auto_reply(next.auto_reply);
  decision.max_requests = request.max_pending();
  Step(before, std::move(after), decision);
  return decision;
}

/// The answer as it was given, but with the contact as it is now: a repetition must not take a client back to
/// what has changed since, nor show presence to one who has lost sight of the user, or the other way round.
/// The version is the one of then, so that a client that has missed something in between is not taken to be
/// up to date.
template <typename Response>
absl::StatusOr<Response> Repeat(const std::string& jid, const Snapshot& now) {
  if (absl::Status refusal = DecodeRefusal(now.answer->response); !refusal.ok()) return refusal;
  Response response;
  if (!response.ParseFromString(now.answer->response))
    return absl::InternalError("a remembered answer is unreadable");
  if (response.has_push()) FillPush(jid, now.contact, now.answer->version, *response.mutable_push());
  const SubscriptionState state = now.contact ? now.contact->state : SubscriptionState{};
  if constexpr (requires { response.after(); }) response.set_after(ToProto(state));
  if constexpr (requires { response.was_from(); }) response.set_was_from(response.was_from() && !state.from);
  return response;
}

void Fill(v1::UserSettings& settings, const BlockList& list, const VcardMark& vcard) {
  settings.mutable_blocked()->Assign(list.jids.begin(), list.jids.end());
  if (vcard.avatar_hash) settings.set_avatar_hash(*vcard.avatar_hash);
}

absl::Status DecideBlock(const v1::BlockAddressesRequest& request, BlockList& list,
                         v1::BlockAddressesResponse& response) {
  std::set<std::string_view> blocked(list.jids.begin(), list.jids.end());
  std::size_t bytes = 0;
  for (const std::string& jid : list.jids) bytes += jid.size();
  for (const std::string& jid : request.jids()) {
    if (!blocked.insert(jid).second) continue;
    response.add_added(jid);
    bytes += jid.size();
  }
  if (response.added().empty()) return absl::OkStatus();
  if ((request.max_addresses() > 0 && blocked.size() > request.max_addresses()) ||
      bytes > RosterKeeper::kMaxBlockedBytes)
    return absl::ResourceExhaustedError("the block list is full");
  list.jids.insert(list.jids.end(), response.added().begin(), response.added().end());
  return absl::OkStatus();
}

absl::Status DecideUnblock(const v1::UnblockAddressesRequest& request, BlockList& list,
                           v1::UnblockAddressesResponse& response) {
  const std::set<std::string_view> wanted(request.jids().begin(), request.jids().end());
  std::vector<std::string> kept;
  for (std::string& jid : list.jids) {
    if (wanted.empty() || wanted.contains(jid)) {
      response.add_removed(std::move(jid));
    } else {
      kept.push_back(std::move(jid));
    }
  }
  list.jids = std::move(kept);
  return absl::OkStatus();
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

Task<absl::StatusOr<v1::GetRosterResponse>> RosterKeeper::Get(v1::GetRosterRequest request) {
  v1::GetRosterResponse response;
  if (!request.contact().empty()) {
    auto now = co_await store_.Read(request.user(), request.contact(), {});
    if (!now.ok()) co_return now.status();
    if (now->contact && now->contact->listed) *response.add_items() = ToProto(*now->contact);
    co_return response;
  }
  if (request.has_known_version() && request.known_version() > 0) {
    auto waiting = co_await store_.LoadPending(request.user());
    if (!waiting.ok()) co_return waiting.status();
    if (waiting->version == request.known_version()) {
      response.set_version(waiting->version);
      response.set_unchanged(true);
      for (const Contact& contact : waiting->contacts) AddPending(contact, response);
      if (request.with_settings()) {
        const absl::Status added = co_await AddSettings(*waiting, request.user(), response);
        if (!added.ok()) co_return added;
      }
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
  if (request.with_settings()) {
    const absl::Status added = co_await AddSettings(*roster, request.user(), response);
    if (!added.ok()) co_return added;
  }
  co_return response;
}

Task<absl::Status> RosterKeeper::AddSettings(const StoredRoster& roster, std::string owner,
                                             v1::GetRosterResponse& response) {
  v1::UserSettings& settings = *response.mutable_settings();
  if (!roster.has_blocked) {
    if (roster.avatar_hash) settings.set_avatar_hash(*roster.avatar_hash);
    co_return absl::OkStatus();
  }
  auto now = co_await store_.ReadSettings(std::move(owner), {});
  if (!now.ok()) co_return now.status();
  Fill(settings, now->list, now->vcard);
  co_return absl::OkStatus();
}

template <typename Request>
Task<absl::Status> RosterKeeper::Refuse(const Request& request, std::int64_t read_at_ms,
                                        absl::Status refusal) {
  if (request.request_id().empty() || absl::IsInvalidArgument(refusal)) co_return absl::OkStatus();
  Change answer;
  answer.read_at_ms = read_at_ms;
  answer.request_id = request.request_id();
  answer.response = EncodeRefusal(refusal);
  const auto kept = co_await store_.Apply(request.user(), std::move(answer));
  co_return kept.status();
}

template <typename Response, typename Request, typename Decide>
Task<absl::StatusOr<Response>> RosterKeeper::ChangeContact(Request request, std::string jid, Decide decide) {
  absl::Status last = absl::AbortedError("the contact keeps changing");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto now = co_await store_.Read(request.user(), jid, request.request_id());
    if (!now.ok()) co_return now.status();
    if (now->answer) co_return Repeat<Response>(jid, *now);
    Contact before;
    if (now->contact) {
      before = *std::move(now->contact);
    } else {
      before.jid = jid;
    }
    absl::StatusOr<Decision<Response>> decision = decide(request, before, now->totals);
    Change change;
    absl::Status refusal = decision.status();
    if (refusal.ok()) {
      change.added = Difference(WeightOf(decision->after), WeightOf(before));
      refusal = CheckRoom(now->totals, change.added, decision->max_items, decision->max_requests);
    }
    if (!refusal.ok()) {
      const absl::Status kept = co_await Refuse(request, now->read_at_ms, refusal);
      if (!absl::IsAborted(kept)) co_return kept.ok() ? refusal : kept;
      continue;
    }
    // That there is a push is remembered, what is in it is not.
    if (decision->has_push) decision->response.mutable_push();
    if (decision->kind == Change::Kind::kNone && request.request_id().empty()) co_return decision->response;
    change.kind = decision->kind;
    change.read_at_ms = now->read_at_ms;
    change.contact = decision->after;
    change.is_visible = decision->has_push;
    change.request_id = request.request_id();
    change.response = decision->response.SerializeAsString();
    auto version = co_await store_.Apply(request.user(), std::move(change));
    if (version.ok()) {
      if (decision->has_push)
        FillPush(jid, std::move(decision->after), *version, *decision->response.mutable_push());
      co_return std::move(decision->response);
    }
    last = version.status();
    if (!absl::IsAborted(last)) break;
  }
  co_return last;
}

Task<absl::StatusOr<v1::SetRosterItemResponse>> RosterKeeper::SetItem(v1::SetRosterItemRequest request) {
  std::string jid = request.jid();
  return ChangeContact<v1::SetRosterItemResponse>(
      std::move(request), std::move(jid),
      [](const auto& set, const Contact& before, const Totals&) { return DecideSet(set, before); });
}

Task<absl::StatusOr<v1::RemoveRosterItemResponse>> RosterKeeper::RemoveItem(
    v1::RemoveRosterItemRequest request) {
  std::string jid = request.jid();
  return ChangeContact<v1::RemoveRosterItemResponse>(
      std::move(request), std::move(jid),
      [](const auto& remove, const Contact& before, const Totals&) { return DecideRemove(remove, before); });
}

Task<absl::StatusOr<v1::ProcessOutboundSubscriptionResponse>> RosterKeeper::ProcessOutbound(
    v1::ProcessOutboundSubscriptionRequest request) {
  std::string jid = request.contact();
  return ChangeContact<v1::ProcessOutboundSubscriptionResponse>(
      std::move(request), std::move(jid),
      [](const auto& sent, const Contact& before, const Totals&) { return DecideOutbound(sent, before); });
}

Task<absl::StatusOr<v1::ProcessInboundSubscriptionResponse>> RosterKeeper::ProcessInbound(
    v1::ProcessInboundSubscriptionRequest request) {
  std::string jid = request.contact();
  return ChangeContact<v1::ProcessInboundSubscriptionResponse>(std::move(request), std::move(jid),
                                                               DecideInbound);
}

Task<absl::StatusOr<v1::DeleteUserResponse>> RosterKeeper::DeleteUser(v1::DeleteUserRequest request) {
  absl::Status last = absl::AbortedError("the roster keeps changing");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    v1::DeleteUserResponse response;
    auto now = co_await store_.Read(request.user(), {}, request.request_id());
    if (!now.ok()) co_return now.status();
    if (now->answer) {
      if (!response.ParseFromString(now->answer->response))
        co_return absl::InternalError("a remembered answer is unreadable");
      co_return response;
    }
    auto roster = co_await store_.Load(request.user());
    if (!roster.ok()) co_return roster.status();
    for (const Contact& contact : roster->contacts) {
      if (contact.state.pending_in) response.add_asking(contact.jid);
      if (!contact.listed) continue;
      v1::RosterItem& item = *response.add_items();
      item.set_jid(contact.jid);
      item.set_subscription(ToProto(contact.state));
      item.set_pending_out(contact.state.pending_out);
    }
    Removal removal;
    removal.read_at_ms = now->read_at_ms;
    removal.request_id = request.request_id();
    removal.response = response.SerializeAsString();
    last = co_await store_.RemoveAll(request.user(), std::move(removal));
    if (last.ok()) co_return response;
    if (!absl::IsAborted(last)) break;
  }
  co_return last;
}

Task<absl::StatusOr<v1::GetUserSettingsResponse>> RosterKeeper::GetUserSettings(
    v1::GetUserSettingsRequest request) {
  auto now = co_await store_.ReadSettings(request.user(), {});
  if (!now.ok()) co_return now.status();
  v1::GetUserSettingsResponse response;
  Fill(*response.mutable_settings(), now->list, now->vcard);
  co_return response;
}

template <typename Response, typename Request, typename Decide>
Task<absl::StatusOr<Response>> RosterKeeper::ChangeBlockList(Request request, Decide decide) {
  absl::Status last = absl::AbortedError("the block list keeps changing");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto now = co_await store_.ReadSettings(request.user(), request.request_id());
    if (!now.ok()) co_return now.status();
    Response response;
    if (now->answer) {
      if (absl::Status refusal = DecodeRefusal(now->answer->response); !refusal.ok()) co_return refusal;
      if (!response.ParseFromString(now->answer->response))
        co_return absl::InternalError("a remembered answer is unreadable");
      Fill(*response.mutable_settings(), now->list, now->vcard);
      co_return response;
    }
    BlockChange change;
    change.read_at_ms = now->read_at_ms;
    change.list = now->list;
    const absl::Status decided = decide(request, change.list, response);
    if (!decided.ok()) {
      const absl::Status kept = co_await Refuse(request, now->read_at_ms, decided);
      if (!absl::IsAborted(kept)) co_return kept.ok() ? decided : kept;
      continue;
    }
    // The contents of the list are not remembered: a repetition says what is in it then.
    change.request_id = request.request_id();
    change.response = response.SerializeAsString();
    Fill(*response.mutable_settings(), change.list, now->vcard);
    if (change.list.jids != now->list.jids) {
      last = co_await store_.SaveBlockList(request.user(), std::move(change));
    } else if (!change.request_id.empty()) {
      Change answer;
      answer.read_at_ms = change.read_at_ms;
      answer.request_id = std::move(change.request_id);
      answer.response = std::move(change.response);
      const auto kept = co_await store_.Apply(request.user(), std::move(answer));
      last = kept.status();
    } else {
      last = absl::OkStatus();
    }
    if (last.ok()) co_return response;
    if (!absl::IsAborted(last)) break;
  }
  co_return last;
}

Task<absl::StatusOr<v1::BlockAddressesResponse>> RosterKeeper::Block(v1::BlockAddressesRequest request) {
  return ChangeBlockList<v1::BlockAddressesResponse>(std::move(request), DecideBlock);
}

Task<absl::StatusOr<v1::UnblockAddressesResponse>> RosterKeeper::Unblock(
    v1::UnblockAddressesRequest request) {
  return ChangeBlockList<v1::UnblockAddressesResponse>(std::move(request), DecideUnblock);
}

Task<absl::StatusOr<v1::GetVcardResponse>> RosterKeeper::GetVcard(v1::GetVcardRequest request) {
  auto vcard = co_await store_.LoadVcard(request.user());
  if (!vcard.ok()) co_return vcard.status();
  v1::GetVcardResponse response;
  response.set_vcard(*std::move(vcard));
  co_return response;
}

Task<absl::StatusOr<v1::SetVcardResponse>> RosterKeeper::SetVcard(v1::SetVcardRequest request) {
  if (request.vcard().size() > kMaxVcardBytes) co_return absl::InvalidArgumentError("the vCard is too long");
  auto now = co_await store_.ReadSettings(request.user(), request.request_id());
  if (!now.ok()) co_return now.status();
  v1::SetVcardResponse response;
  if (!now->answer) {
    // Made once: it replaces all that is there, so nothing of it holds on top of what somebody else has made
    // meanwhile. Whoever still wants it asks again.
    VcardChange change;
    change.read_at_ms = now->read_at_ms;
    change.vcard = std::move(*request.mutable_vcard());
    change.avatar_hash = request.avatar_hash();
    change.revision = now->vcard.revision;
    change.request_id = request.request_id();
    const absl::Status saved = co_await store_.SaveVcard(request.user(), std::move(change));
    if (!saved.ok()) co_return saved;
    now->vcard.avatar_hash = request.avatar_hash();
  }
  Fill(*response.mutable_settings(), now->list, now->vcard);
  co_return response;
}

}  // namespace rookery::roster
