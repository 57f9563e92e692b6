#include "domain/affiliations/asked.h"

#include <algorithm>
#include <string>

#include "domain/room/counts.h"
#include "domain/room/tags.h"

namespace rookery::muc {

namespace {

using Entries = google::protobuf::RepeatedPtrField<v1::Asked>;

const Entries& EntriesOf(const v1::RoomState& state, Asked what) {
  return what == Asked::kInvitation ? state.invitations() : state.registrations();
}

Entries& Change(Turn& turn, Asked what) {
  v1::RoomState& state = turn.room.ChangeState();
  return what == Asked::kInvitation ? *state.mutable_invitations() : *state.mutable_registrations();
}

bool IsOpen(const Turn& turn, const v1::Asked& asked) {
  const std::int64_t age = turn.now_ms - asked.at_ms();
  return age >= -kMaxAheadMs && age < std::chrono::milliseconds(kAskedFor).count();
}

std::string Tag(const Turn& turn, Asked what, std::string_view from, std::string_view to) {
  std::string data(from);
  data.push_back('\0');
  data.append(to);
  return TagOf(turn, what == Asked::kInvitation ? "invitation" : "membership", data);
}

/// Those that are over, too.
void Forget(const Turn& turn, Entries& entries, std::string_view tag) {
  const auto is_gone = [&](const v1::Asked& asked) { return asked.tag() == tag || !IsOpen(turn, asked); };
  entries.erase(std::remove_if(entries.begin(), entries.end(), is_gone), entries.end());
}

}  // namespace

bool IsAsked(const Turn& turn, Asked what, std::string_view from, std::string_view to) {
  const Entries& entries = EntriesOf(turn.room.state(), what);
  if (entries.empty()) return false;
  const std::string tag = Tag(turn, what, from, to);
  return std::any_of(entries.begin(), entries.end(),
                     [&](const v1::Asked& asked) { return asked.tag() == tag && IsOpen(turn, asked); });
}

void NoteAsked(Turn& turn, Asked what, std::string_view from, std::string_view to) {
  std::string tag = Tag(turn, what, from, to);
  Entries& entries = Change(turn, what);
  Forget(turn, entries, tag);
  if (entries.size() >= kMaxAsked) entries.DeleteSubrange(0, entries.size() - kMaxAsked + 1);
  v1::Asked& asked = *entries.Add();
  asked.set_tag(std::move(tag));
  asked.set_at_ms(turn.now_ms);
}

void ForgetAsked(Turn& turn, Asked what, std::string_view from, std::string_view to) {
  if (EntriesOf(turn.room.state(), what).empty()) return;
  Forget(turn, Change(turn, what), Tag(turn, what, from, to));
}

int CountAsked(const Turn& turn, Asked what) {
  const Entries& entries = EntriesOf(turn.room.state(), what);
  return static_cast<int>(std::count_if(entries.begin(), entries.end(),
                                        [&](const v1::Asked& asked) { return IsOpen(turn, asked); }));
}

}  // namespace rookery::muc
