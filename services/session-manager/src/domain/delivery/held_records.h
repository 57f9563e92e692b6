#pragma once

#include <cstdint>
#include <vector>

#include "domain/state/user.h"

namespace rookery::session_manager {

class Outbox;

// A session's newest offset says that it was given what was meant for it up to there. Records
// that wait while newer ones are given are the exceptions; the session's state names them, and is
// published before the newer ones are given. `seq` is 0 until the record is given, and published
// before it is: should the owner die in between, whether the gateway has that number tells.

/// These records wait, and newer ones are about to be given. True: the state has changed.
bool HoldRecords(Session& session, const std::vector<std::int64_t>& offsets);
/// HoldRecords with all records that wait for the user (Backlog), for each of the user's sessions. States
/// that change are published.
void NotePassing(Outbox& outbox, User& user);
/// Whether the record was held back and not given.
bool IsHeld(const Session& session, std::int64_t offset);
/// The record is about to be given as packet `seq`. True: the state has changed.
bool NoteHeldGiven(Session& session, std::int64_t offset, std::uint64_t seq);
/// The record is finished, given or not.
void ReleaseRecord(Session& session, std::int64_t offset);
/// The session has come with a change of owner: numbers that its gateway does not have were
/// never given.
void SettleHeld(Session& session);

}  // namespace rookery::session_manager
