#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "domain/state/delivery.h"
#include "domain/state/user.h"
#include "ports/waiting_store.h"

namespace rookery::session_manager {

class Outbox;
struct Settings;
struct WaitingStanza;

// The rules for waiting messages that need only a user and their sessions (README.md, W1, W2, W5).

/// A message's name in the offline store, and the offset of its record.
inline std::int64_t OffsetOf(std::uint64_t row_id) { return static_cast<std::int64_t>(row_id) - 1; }
inline std::uint64_t RowIdOf(std::int64_t offset) { return static_cast<std::uint64_t>(offset) + 1; }

/// An older session of the same name, which is about to end (SL2), and whose client has not acknowledged all
/// that it was given. Null: none.
const Session* FindOlder(const User& user, const Session& session);
/// Whether a session can be handed what waits; and the one that is, null: none.
bool CanReceive(const Session& session);
std::shared_ptr<Session> FindReceiver(const User& user);
/// Whether a message for the session must wait until it was handed what came before.
bool IsBehind(const User& user, const Session& session);
/// Whether a message for the session must wait until an older session of its name has left what its client
/// did not acknowledge (W11).
bool IsBehindOlder(const User& user, const Session& session);
/// Nobody is there, and the session's client left before it had all that waits: what comes for it waits
/// for the same hand-out.
bool IsLeftBehind(const User& user, const Session& session);

/// Whether a session has more than half of what may wait for its client, so that it is given no more of
/// others (B4); and whether so little that it may be given what it missed.
bool IsFull(const Settings& settings, const Session& session);
bool HasRoom(const Settings& settings, const Session& session);
/// Whether it has so much that it is not even given copies of what the user has sent.
bool IsFullForOwn(const Settings& settings, const Session& session);

/// Whether the session was given the message as the row that it is.
bool HasTaken(const Session& session, std::uint64_t id);
/// Whether the session was given the message, as the row or as the record that the row comes from.
bool HasRow(const Session& session, std::uint64_t id);
/// Whether the record went to the offline store, or to others, while this session was connected.
bool IsPassedOver(const Session& session, std::int64_t offset);
/// Whether the session may have been given a record that is addressed to the account: it was available.
bool WasThereFor(const Session& session, std::int64_t offset);

/// The session's state says whether it was handed all that waits.
void SetGiven(Outbox& outbox, Session& session, bool given);
/// Notes in the states of all the user's sessions, except `given`, that the record went to the offline store.
/// `given` (may be null): the one that an earlier owner gave it to.
void PassOver(Outbox& outbox, User& user, std::int64_t offset, const Session* given = nullptr);
/// Notes in this session's state that the record went to others.
void PassOver(Outbox& outbox, Session& session, std::int64_t offset);
/// Notes that in the states of the user's sessions that are not available.
void PassOverAbsent(Outbox& outbox, User& user, std::int64_t offset);

/// As it is sent: from the store, and from memory.
std::shared_ptr<Delivery> FromRow(std::string_view bare, WaitingStore::OfflineMessage& row);
std::shared_ptr<Delivery> FromMemory(std::string_view bare, const WaitingStanza& waiting);

}  // namespace rookery::session_manager
