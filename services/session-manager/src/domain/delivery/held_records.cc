#include "domain/delivery/held_records.h"

#include <algorithm>
#include <utility>

#include "domain/outbound/outbox.h"

namespace rookery::session_manager {

namespace {

using session::v1::HeldRecord;

template <typename Predicate>
void RemoveIf(Session& session, Predicate predicate) {
  auto& held = *session.state.mutable_held_records();
  held.erase(std::remove_if(held.begin(), held.end(), predicate), held.end());
}

/// The gateway has it: its number says that it was given, whoever owns the shard next.
bool IsSettled(const Session& session, const HeldRecord& record) {
  return record.seq() != 0 && record.seq() <= session.acked_seq;
}

}  // namespace

bool HoldRecords(Session& session, const std::vector<std::int64_t>& offsets) {
  RemoveIf(session, [&](const HeldRecord& record) { return IsSettled(session, record); });
  bool has_changed = false;
  for (const std::int64_t offset : offsets) {
    // A record that it was given, or that was there before it, does not wait for it.
    if (offset <= session.last_offset || IsHeld(session, offset)) continue;
    session.state.add_held_records()->set_offset(offset);
    has_changed = true;
  }
  return has_changed;
}

void NotePassing(Outbox& outbox, User& user) {
  if (!user.backlog) return;
  std::vector<std::int64_t> passed;
  for (Backlog::Entry& entry : user.backlog->entries) {
    if (std::exchange(entry.is_noted, true)) continue;
    // A question to the account by others gives no session anything: an answer is a record of its own. A
    // question by the user's own client does.
    if (entry.key.record_class != RecordClass::kAccountQuery || entry.key.is_outbound)
      passed.push_back(entry.offset);
  }
  if (passed.empty()) return;
  for (const auto& session : user.sessions)
    if (HoldRecords(*session, passed)) outbox.Publish(*session);
}

bool IsHeld(const Session& session, std::int64_t offset) {
  const auto& held = session.state.held_records();
  return std::any_of(held.begin(), held.end(), [&](const HeldRecord& record) {
    return record.offset() == offset && record.seq() == 0;
  });
}

bool NoteHeldGiven(Session& session, std::int64_t offset, std::uint64_t seq) {
  for (HeldRecord& record : *session.state.mutable_held_records()) {
    if (record.offset() != offset || record.seq() != 0) continue;
    record.set_seq(seq);
    return true;
  }
  return false;
}

void ReleaseRecord(Session& session, std::int64_t offset) {
  RemoveIf(session, [&](const HeldRecord& record) {
    return (record.offset() == offset && record.seq() == 0) || IsSettled(session, record);
  });
}

void SettleHeld(Session& session) {
  RemoveIf(session,
           [&](const HeldRecord& record) { return record.seq() != 0 && record.seq() <= session.last_seq; });
  for (HeldRecord& record : *session.state.mutable_held_records()) record.set_seq(0);
}

}  // namespace rookery::session_manager
