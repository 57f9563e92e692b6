#include "domain/delivery/waiting_rules.h"

#include <algorithm>

#include "domain/delivery/delivery_state.h"
#include "domain/delivery/stamps.h"
#include "domain/outbound/outbox.h"
#include "domain/settings.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

namespace {
/// The most ranges that a session may have in what the shard has not finished. One more is merged with the
/// newest, and what the session was given between the two may be given to it again by the next owner.
constexpr int kMaxPassedOver = 256;
}  // namespace

bool HasTaken(const Session& session, std::uint64_t id) {
  const auto& given = session.state.given_offline();
  return std::any_of(given.begin(), given.end(), [&](const auto& entry) { return entry.id() == id; }) ||
         std::any_of(session.unacked.begin(), session.unacked.end(),
                     [&](const UnackedPacket& packet) { return packet.stored_id == id; });
}

bool HasRow(const Session& session, std::uint64_t id) {
  return HasTaken(session, id) ||
         std::any_of(session.unacked.begin(), session.unacked.end(), [&](const UnackedPacket& packet) {
           return packet.primary && packet.offset == OffsetOf(id);
         });
}

const Session* FindOlder(const User& user, const Session& session) {
  if (user.sessions.size() < 2) return nullptr;
  const auto older = std::find_if(user.sessions.begin(), user.sessions.end(), [&](const auto& other) {
    return other.get() != &session && other->resource() == session.resource() && !other->unacked.empty() &&
           IsNewer(session, *other);
  });
  return older == user.sessions.end() ? nullptr : older->get();
}

bool CanReceive(const Session& session) {
  return !session.ended() && !session.detached() && session.available() && session.priority() >= 0 &&
         FindOlder(*session.user, session) == nullptr;
}

std::shared_ptr<Session> FindReceiver(const User& user) {
  std::shared_ptr<Session> best;
  for (const auto& session : user.sessions) {
    if (!CanReceive(*session)) continue;
    if (!best || session->priority() > best->priority()) best = session;
  }
  return best;
}

bool IsBehind(const User& user, const Session& session) {
  return user.delivery && user.delivery->receiver.get() == &session;
}

bool IsBehindOlder(const User& user, const Session& session) {
  return session.available() && session.priority() >= 0 && FindOlder(user, session) != nullptr;
}

bool IsLeftBehind(const User& user, const Session& session) {
  return session.detached() && !session.ended() && session.available() && session.priority() >= 0 &&
         !session.state.offline_given() && !FindReceiver(user);
}

bool IsFull(const Settings& settings, const Session& session) {
  return session.unacked.size() > static_cast<std::size_t>(settings.max_unacked_packets) / 2 ||
         session.unacked_bytes > static_cast<std::size_t>(settings.max_unacked_bytes) / 2;
}

bool HasRoom(const Settings& settings, const Session& session) {
  return session.unacked.size() <= static_cast<std::size_t>(settings.max_unacked_packets) / 8 &&
         session.unacked_bytes <= static_cast<std::size_t>(settings.max_unacked_bytes) / 8;
}

bool IsFullForOwn(const Settings& settings, const Session& session) {
  return session.unacked.size() > static_cast<std::size_t>(settings.max_unacked_packets) * 3 / 4 ||
         session.unacked_bytes > static_cast<std::size_t>(settings.max_unacked_bytes) * 3 / 4;
}

bool IsPassedOver(const Session& session, std::int64_t offset) {
  const auto& ranges = session.state.passed_over();
  return std::any_of(ranges.begin(), ranges.end(), [&](const session::v1::PassedOver& range) {
    return range.first() <= offset && offset <= range.last();
  });
}

void SetGiven(Outbox& outbox, Session& session, bool given) {
  if (session.ended() || session.state.offline_given() == given) return;
  session.state.set_offline_given(given);
  outbox.Publish(session);
}

bool WasThereFor(const Session& session, std::int64_t offset) {
  const auto& state = session.state;
  return offset > std::max(state.start_offset(), state.available_offset()) && !IsPassedOver(session, offset);
}

void NotePassedOver(Session& session, std::int64_t offset) {
  auto& ranges = *session.state.mutable_passed_over();
  const std::int64_t committed = session.user->shard->last_commit;
  while (!ranges.empty() && ranges.begin()->last() < committed) {
    ranges.erase(ranges.begin());
    session.state.set_passed_over_since(committed);
  }
  if (!ranges.empty() && offset > ranges.rbegin()->last() && session.last_offset <= ranges.rbegin()->last()) {
    // Nothing was given in between.
    ranges.rbegin()->set_last(offset);
  } else if (ranges.size() >= kMaxPassedOver) {
    auto& newest = *ranges.rbegin();
    newest.set_first(std::min(newest.first(), offset));
    newest.set_last(std::max(newest.last(), offset));
  } else {
    auto& range = *ranges.Add();
    range.set_first(offset);
    range.set_last(offset);
  }
}

void PassOver(Outbox& outbox, User& user, std::int64_t offset, const Session* given) {
  // A later owner that reads the record again must not take it for given to a session just
  // because newer ones were; and the session, should it become available, has to ask the store.
  for (const auto& session : user.sessions) {
    if (session.get() == given || offset <= session->state.start_offset() || IsPassedOver(*session, offset)) {
      SetGiven(outbox, *session, false);
      continue;
    }
    NotePassedOver(*session, offset);
    session->state.set_offline_given(false);
    outbox.Publish(*session);
  }
}

void PassOver(Outbox& outbox, Session& session, std::int64_t offset) {
  if (!WasThereFor(session, offset)) return;
  NotePassedOver(session, offset);
  outbox.Publish(session);
}

void PassOverAbsent(Outbox& outbox, User& user, std::int64_t offset) {
  for (const auto& session : user.sessions) {
    const bool has_left = !session->available() && session->state.availability_count() > 0;
    if (!has_left || !WasThereFor(*session, offset)) continue;
    NotePassedOver(*session, offset);
    outbox.Publish(*session);
  }
}

std::shared_ptr<Delivery> FromRow(std::string_view bare, WaitingStore::OfflineMessage& row) {
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza.Swap(&row.stanza);
  AddDelay(delivery->stanza, xmpp::DomainOf(bare), row.received_at_ms);
  delivery->offset = OffsetOf(row.id);
  delivery->stored_id = row.id;
  delivery->has_row = true;
  delivery->is_logged = false;
  delivery->received_at_ms = row.received_at_ms;
  return delivery;
}

std::shared_ptr<Delivery> FromMemory(std::string_view bare, const WaitingStanza& waiting) {
  // Not the same object: it may be on its way into the store.
  const Delivery& message = *waiting.message;
  auto delivery = std::make_shared<Delivery>();
  delivery->stanza = message.stanza;
  delivery->offset = message.offset;
  delivery->stored_id = RowIdOf(message.offset);
  delivery->is_logged = !waiting.is_last_trace;
  delivery->received_at_ms = message.received_at_ms;
  delivery->trace_id = message.trace_id;
  if (waiting.is_late || waiting.is_written)
    AddDelay(delivery->stanza, xmpp::DomainOf(bare), message.received_at_ms);
  return delivery;
}

}  // namespace rookery::session_manager
