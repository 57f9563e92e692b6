#include "domain/inbound/stanza_applier.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "domain/accounts/account_changes.h"
#include "domain/addresses.h"
#include "domain/delivery/bounces.h"
#include "domain/delivery/carbons.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/ghosts.h"
#include "domain/delivery/held_records.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/message_routes.h"
#include "domain/delivery/message_routing.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/features/feature_hooks.h"
#include "domain/inbound/iq_router.h"
#include "domain/metrics.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/presence_tracker.h"
#include "domain/records/record_order.h"
#include "domain/roster/subscription_handler.h"
#include "domain/settings.h"
#include "domain/state/part_numbers.h"
#include "domain/state/sender.h"
#include "rookery/xmpp/lent_stanza.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// Of RareState::seen_early.
constexpr std::size_t kMostSeenEarly = 64;

void NoteSeenEarly(std::vector<std::string>& seen, const std::string& from) {
  if (std::find(seen.begin(), seen.end(), from) != seen.end()) return;
  if (seen.size() >= kMostSeenEarly) seen.erase(seen.begin());
  seen.push_back(from);
}

/// XEP-0359: rises with the log; above 0.
std::uint64_t ArchiveId(const PendingRecord& pending) {
  return static_cast<std::uint64_t>(pending.offset) + 1;
}

void AppendStanzaId(xmpp::Stanza& message, const User& user, const PendingRecord& pending) {
  std::string& payload = *message.mutable_payload();
  payload.append("<stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"")
      .append(std::to_string(ArchiveId(pending)))
      .append("\" by=\"");
  xmpp::AppendEscaped(payload, user.bare);
  payload.append("\"/>");
}

/// An earlier owner has given it to the session, whose client has not acknowledged it: whatever the user has
/// changed since, it must be told what it was (L7).
bool IsOwed(Session& session, const PendingRecord& pending) {
  return pending.recovering && FindEmptyPacket(session, pending.offset) != nullptr;
}
bool IsOwed(const User& user, const PendingRecord& pending) {
  return pending.recovering && std::any_of(user.sessions.begin(), user.sessions.end(),
                                           [&](const auto& session) { return IsOwed(*session, pending); });
}

}  // namespace

bool StanzaApplier::IsRefusable(const events::v1::UserRecord& record) {
  return record.has_delivery() && HasToBeAnswered(record.delivery().stanza());
}

void StanzaApplier::Return(Shard& shard, PendingRecord& pending) {
  xmpp::Stanza& stanza = *pending.record.mutable_delivery()->mutable_stanza();
  if (const auto ghost = ghosts_.ConditionFor(stanza); ghost && !xmpp::ResourceOf(stanza.to()).empty()) {
    Cause cause = CauseOf(pending);
    return ghosts_.Tell(shard, cause, stanza, stanza.to(), *ghost);
  }
  Bounce(shard, pending, xmpp::ErrorCondition::kServiceUnavailable);
}

void StanzaApplier::Bounce(Shard& shard, PendingRecord& pending, xmpp::ErrorCondition condition) {
  xmpp::Stanza& stanza = *pending.record.mutable_delivery()->mutable_stanza();
  const bool is_message =
      stanza.kind() == common::v1::STANZA_KIND_MESSAGE && xmpp::Has(stanza, common::v1::STANZA_TRAIT_BODY);
  if (!HasToBeAnswered(stanza) || !(is_message || stanza.kind() == common::v1::STANZA_KIND_IQ)) return;
  bounces_.Bounce(shard, *MakeDelivery(pending, stanza), condition);
}

void StanzaApplier::RefuseToWait(User& user, const PendingRecord& pending) {
  metrics_.bounced.Increment();
  // Should we die before its sender is told, nobody must take it for given.
  PassOver(outbox_, user, pending.offset);
  Cause cause = CauseOf(pending);
  const xmpp::Stanza& refused = pending.record.delivery().stanza();
  // What a stranger is answered who may not know of the account.
  const bool is_query =
      refused.kind() == common::v1::STANZA_KIND_IQ && xmpp::ResourceOf(refused.to()).empty();
  if (is_query) {
    iqs_.AnswerLater(*user.shard, cause, xmpp::MakeError(refused, xmpp::ErrorCondition::kServiceUnavailable),
                     pending.read_at);
  } else {
    consequences_.AppendDelivery(*user.shard, cause,
                                 xmpp::MakeError(refused, xmpp::ErrorCondition::kResourceConstraint));
  }
}

void StanzaApplier::GiveUp(Shard& shard, PendingRecord& pending) {
  // A room would take an error for the word of an occupant who is gone.
  if (ghosts_.ConditionFor(pending.record.delivery().stanza())) return;
  Bounce(shard, pending, xmpp::ErrorCondition::kInternalServerError);
}

bool StanzaApplier::Admit(User& user, PendingRecord& pending) {
  xmpp::Stanza& stanza = *pending.record.mutable_delivery()->mutable_stanza();
  const std::optional<Veto> refusal = features_.ToUser(user, stanza);
  if (!refusal || IsOwed(user, pending)) return true;
  // Only what asks for an answer gets one.
  if (!refusal->condition || stanza.type() == "error" || stanza.type() == "result") return false;
  // A room removes an occupant when it is told that nobody is there; blocking one occupant must not cause
  // that.
  if (ghosts_.ConditionFor(stanza)) return false;
  metrics_.bounced.Increment();
  Cause cause = CauseOf(pending);
  if (stanza.kind() == common::v1::STANZA_KIND_IQ) {
    iqs_.AnswerLater(*user.shard, cause, MakeRefusal(stanza, *refusal), pending.read_at);
  } else {
    consequences_.AppendDelivery(*user.shard, cause, MakeRefusal(stanza, *refusal));
  }
  return false;
}

std::shared_ptr<Delivery> StanzaApplier::MakeDelivery(const PendingRecord& pending, xmpp::Stanza& stanza) {
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&stanza);
  delivery->offset = pending.offset;
  delivery->received_at_ms = pending.record.received_at_ms();
  delivery->trace_id = pending.record.trace_id();
  return delivery;
}

void StanzaApplier::PublishEvent(const User& user, const PendingRecord& pending, const xmpp::Stanza& message,
                                 events::v1::MessageDirection direction) {
  events::v1::MessageEvent event;
  event.set_owner(user.bare);
  event.set_archive_id(ArchiveId(pending));
  event.set_direction(direction);
  const xmpp::LentStanza lent(event, message);
  event.set_received_at_ms(pending.record.received_at_ms());
  event.set_trace_id(pending.record.trace_id());
  event.set_source_partition(user.shard->number);
  event.set_source_offset(pending.offset);
  consequences_.AppendEvent(*user.shard, events::Topic::kMessages, user.bare, event, pending.offset);
}

void StanzaApplier::ApplyMessage(User& user, PendingRecord& pending) {
  auto delivery = MakeDelivery(pending, *pending.record.mutable_delivery()->mutable_stanza());
  xmpp::Stanza& message = delivery->stanza;
  if (message.type() != "error") Archive(user, pending, message);
  routes_.Route(user, delivery, pending.recovering);
}

void StanzaApplier::Archive(const User& user, const PendingRecord& pending, xmpp::Stanza& message) {
  // XEP-0359 section 5: only we may speak as the user's archive.
  if (xmpp::Has(message, common::v1::STANZA_TRAIT_STANZA_ID))
    xmpp::RemovePayload(message, "stanza-id", xmpp::ns::kStanzaId, user.bare);
  if (xmpp::Has(message, common::v1::STANZA_TRAIT_PRIVATE)) {
    // It has told us what it says; the trait still says it to routing.
    const std::uint32_t traits = message.traits();
    xmpp::RemovePayload(message, "private", xmpp::ns::kCarbons);
    message.set_traits(traits);
  }
  if (!IsArchivable(message)) return;
  PublishEvent(user, pending, message, events::v1::MESSAGE_DIRECTION_RECEIVED);
  AppendStanzaId(message, user, pending);
}

void StanzaApplier::ApplySentCopy(User& user, PendingRecord& pending) {
  xmpp::Stanza& message = *pending.record.mutable_sent_copy()->mutable_stanza();
  const bool is_archived = IsArchivable(message);
  if (is_archived) PublishEvent(user, pending, message, events::v1::MESSAGE_DIRECTION_SENT);
  const std::string_view sender = xmpp::ResourceOf(message.from());
  // An error is here because it answers a message that was copied.
  const bool is_error = message.type() == "error";
  const bool is_eligible = is_error || IsCarbonEligible(message, /*sent=*/true);
  const auto is_wanted = [&](const std::shared_ptr<Session>& session) {
    return (is_eligible && session->state.carbons() && session->resource() != sender) ||
           IsOwed(*session, pending);
  };
  if (std::none_of(user.sessions.begin(), user.sessions.end(), is_wanted)) return;
  if (!is_error) {
    user.features.Of<CopiedMessages>().Add(message.id(), xmpp::BareOf(message.to()));
  }
  if (is_archived) AppendStanzaId(message, user, pending);
  auto copy = std::make_shared<Delivery>();
  copy->stanza = MakeCarbon("sent", message, user.bare);
  copy->offset = pending.offset;
  copy->received_at_ms = pending.record.received_at_ms();
  copy->trace_id = pending.record.trace_id();
  copy->to_each = true;
  for (const auto& session : user.sessions) {
    if (!is_wanted(session)) continue;
    // An error comes from others.
    const bool is_spared = is_error ? deliverer_.SpareIfFull(*session, message, pending.offset)
                                    : deliverer_.SpareOwnCopyIfFull(*session, pending.offset);
    if (!is_spared) deliverer_.SendRecord(*session, copy, /*primary=*/false, pending.recovering);
  }
}

bool StanzaApplier::IsFor(Session& session, const xmpp::Stanza& stanza, std::string_view resource) const {
  const bool is_presence = stanza.kind() == common::v1::STANZA_KIND_PRESENCE;
  if (!resource.empty()) {
    if (session.resource() != resource) return false;
    if (is_presence && stanza.type().empty() && !session.available() && !addresses_.IsOfRooms(stanza.from()))
      NoteSeenEarly(session.MakeRare().seen_early, stanza.from());
    return true;
  }
  if (session.available()) return true;
  // From the bare address: none of them is there.
  const bool is_bare = xmpp::ResourceOf(stanza.from()).empty();
  const std::vector<std::string>& seen_early = session.rare().seen_early;
  return is_presence && stanza.type() == "unavailable" &&
         std::any_of(seen_early.begin(), seen_early.end(), [&](const std::string& seen) {
           return is_bare ? xmpp::BareOf(seen) == stanza.from() : seen == stanza.from();
         });
}

void StanzaApplier::ApplyPresence(User& user, PendingRecord& pending) {
  xmpp::Stanza& presence = *pending.record.mutable_delivery()->mutable_stanza();
  if (IsSubscription(presence.type())) {
    subscriptions_.OnInbound(user, pending);
    return;
  }
  if (presence.type() == "probe") {
    Cause cause = CauseOf(pending);
    presence_.AnswerProbe(user, cause, presence.from());
    return;
  }
  const std::string resource(xmpp::ResourceOf(presence.to()));
  auto delivery = MakeDelivery(pending, presence);
  const xmpp::Stanza& stanza = delivery->stanza;
  bool is_there = resource.empty();
  bool is_spared = false;
  for (const auto& session : user.sessions) {
    if (!IsFor(*session, stanza, resource) && !IsOwed(*session, pending)) continue;
    if (ghosts_.SpareIfFull(*session, stanza, pending.offset)) {
      is_spared = true;
      continue;
    }
    is_there = true;
    deliverer_.SendRecord(*session, delivery, /*primary=*/false, pending.recovering);
  }
  if (is_there) return;
  if (const auto ghost = is_spared ? ghosts_.ConditionForSpared(stanza) : ghosts_.ConditionFor(stanza)) {
    Cause cause = CauseOf(pending);
    ghosts_.Tell(*user.shard, cause, stanza, stanza.to(), *ghost);
  }
}

std::vector<std::shared_ptr<PendingRecord>> StanzaApplier::ApplyFanout(Shard& shard, PendingRecord& pending) {
  events::v1::Fanout& fanout = *pending.record.mutable_fanout();
  const xmpp::Stanza* stanza = &fanout.stanza();
  const bool is_probe = stanza->type() == "probe";
  const auto ghost = ghosts_.ConditionFor(*stanza);
  const auto spared = ghosts_.ConditionForSpared(*stanza);
  const RecordKey key{RecordClass::kStanza, std::string(xmpp::BareOf(stanza->from()))};
  // One stanza for all of them: nothing of it is copied for one more.
  std::shared_ptr<Delivery> delivery;
  std::vector<Session*> sessions;
  const bool is_in_turn = !pending.places.empty();
  absl::btree_map<std::string_view, std::shared_ptr<PendingRecord>> later;  // by account
  for (int i = 0; i < fanout.recipients_size(); ++i) {
    const std::string& recipient = fanout.recipients(i);
    const std::string_view resource = xmpp::ResourceOf(recipient);
    // Each recipient has its own numbers for what follows, whenever its turn comes.
    Cause cause = CauseOf(pending);
    const std::uint32_t place =
        is_in_turn ? pending.places[static_cast<std::size_t>(i)] : static_cast<std::uint32_t>(i);
    cause.parts = part_numbers::RangeOfPlace(place);
    bool is_there = !ghost || resource.empty();
    User* user = shard.FindUser(xmpp::BareOf(recipient));
    if (user == nullptr || account_changes_.IsGoing(shard, user->bare, pending.offset)) {
      if (!is_there) ghosts_.Tell(shard, cause, *stanza, recipient, *ghost);
      continue;
    }
    if (!is_in_turn && order_.HasToWait(*user, key)) {
      // All that is for one user has one turn: that of one recipient must not be taken for that of another.
      std::shared_ptr<PendingRecord>& part = later[user->bare];
      if (part == nullptr) {
        part = std::make_shared<PendingRecord>();
        part->offset = pending.offset;
        part->recovering = pending.recovering;
        part->record.set_received_at_ms(pending.record.received_at_ms());
        part->record.set_trace_id(pending.record.trace_id());
        *part->record.mutable_fanout()->mutable_stanza() = *stanza;
        shard.window.Hold(pending.offset);
      }
      part->places.push_back(place);
      part->record.mutable_fanout()->add_recipients(recipient);
      continue;
    }
    NotePassing(outbox_, *user);
    const bool is_welcome = !features_.ToUser(*user, *stanza);
    if (!is_welcome && !IsOwed(*user, pending)) continue;
    if (is_probe) {
      presence_.AnswerProbe(*user, cause, stanza->from());
      continue;
    }
    bool is_spared = false;
    for (const auto& session : user->sessions) {
      const bool wanted = is_welcome && IsFor(*session, *stanza, resource);
      if (!wanted && !IsOwed(*session, pending)) continue;
      if (ghosts_.SpareIfFull(*session, *stanza, pending.offset)) {
        is_spared = true;
        continue;
      }
      is_there = true;
      if (!delivery) {
        if (ghosts_.IsPrivate(*stanza)) {
          // All of its recipients are sessions of this user.
          fanout.mutable_stanza()->set_to(recipient);
          Archive(*user, pending, *fanout.mutable_stanza());
        }
        delivery = MakeDelivery(pending, *fanout.mutable_stanza());
        delivery->to_each = true;
        stanza = &delivery->stanza;
        sessions.reserve(static_cast<std::size_t>(fanout.recipients_size() - i));
      }
      if (pending.recovering) {
        deliverer_.SendRecord(*session, delivery, /*primary=*/false, true);
      } else {
        sessions.push_back(session.get());
      }
    }
    if (is_spared && spared) {
      ghosts_.Tell(shard, cause, *stanza, recipient, *spared);
    } else if (!is_there) {
      ghosts_.Tell(shard, cause, *stanza, recipient, *ghost);
    }
  }
  if (!sessions.empty()) deliverer_.SendToAll(sessions, delivery, /*primary=*/false);
  std::vector<std::shared_ptr<PendingRecord>> parts;
  parts.reserve(later.size());
  for (auto& [bare, part] : later) parts.push_back(std::move(part));
  return parts;
}

void StanzaApplier::BounceRequest(User& user, const PendingRecord& pending, const Delivery& request,
                                  xmpp::ErrorCondition condition) {
  const std::string& from = request.stanza.from();
  if (from.empty() || xmpp::BareOf(from) == user.bare)
    return bounces_.Bounce(*user.shard, request, condition);
  metrics_.bounced.Increment();
  Cause cause;
  cause.offset = request.offset;
  cause.trace_id = request.trace_id;
  iqs_.AnswerLater(*user.shard, cause, xmpp::MakeError(request.stanza, condition), pending.read_at);
}

void StanzaApplier::ApplyIq(User& user, PendingRecord& pending) {
  xmpp::Stanza& iq = *pending.record.mutable_delivery()->mutable_stanza();
  const std::string_view resource = xmpp::ResourceOf(iq.to());
  const bool is_request = iq.type() == "get" || iq.type() == "set";
  if (resource.empty()) {
    // RFC 6121 section 8.5.1: answered on the account's behalf, never delivered.
    if (is_request) iqs_.OnAccountRequest(user, pending);
    return;
  }
  Session* session = user.FindResource(resource, pending.offset);
  auto delivery = MakeDelivery(pending, iq);
  const bool is_old = pending.recovering && !IsOwed(user, pending) &&
                      clock_.UnixMillisNow() - pending.record.received_at_ms() > settings_.iq_too_old.count();
  if (session == nullptr || is_old) {
    if (is_request) BounceRequest(user, pending, *delivery, xmpp::ErrorCondition::kServiceUnavailable);
    return;
  }
  if (deliverer_.SpareIfFull(*session, delivery->stanza, pending.offset)) {
    if (is_request) BounceRequest(user, pending, *delivery, xmpp::ErrorCondition::kResourceConstraint);
    return;
  }
  const auto given = deliverer_.SendRecord(*session, delivery, /*primary=*/is_request, pending.recovering);
  // It was for an earlier session of that name.
  if (given == Deliverer::Sent::kElsewhere && is_request)
    BounceRequest(user, pending, *delivery, xmpp::ErrorCondition::kServiceUnavailable);
}

}  // namespace rookery::session_manager
