#include "domain/room/counts.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace rookery::muc {

namespace {

constexpr Counted kAll[] = {Counted::kChanges, Counted::kRequests, Counted::kRefusals, Counted::kStanzas,
                            Counted::kReturns};

struct Span {
  std::int64_t since_ms;
  std::uint32_t count;
};

Span SpanOf(const v1::Occupant& occupant, Counted what) {
  switch (what) {
    case Counted::kChanges:
      return {occupant.changes_since_ms(), occupant.changes()};
    case Counted::kRequests:
      return {occupant.requests_since_ms(), occupant.requests()};
    case Counted::kRefusals:
      return {occupant.refusals_since_ms(), occupant.refusals()};
    case Counted::kStanzas:
      return {occupant.stanzas_since_ms(), occupant.stanzas()};
    case Counted::kReturns:
      return {occupant.returns_since_ms(), occupant.returns()};
  }
  return {};
}

Span SpanOf(const v1::RecentChanges& kept, Counted what) {
  switch (what) {
    case Counted::kChanges:
      return {kept.since_ms(), kept.changes()};
    case Counted::kRequests:
      return {kept.requests_since_ms(), kept.requests()};
    case Counted::kRefusals:
      return {kept.refusals_since_ms(), kept.refusals()};
    case Counted::kStanzas:
      return {kept.stanzas_since_ms(), kept.stanzas()};
    case Counted::kReturns:
      return {kept.returns_since_ms(), kept.returns()};
  }
  return {};
}

void Set(v1::Occupant& occupant, Counted what, Span span) {
  switch (what) {
    case Counted::kChanges:
      occupant.set_changes_since_ms(span.since_ms);
      return occupant.set_changes(span.count);
    case Counted::kRequests:
      occupant.set_requests_since_ms(span.since_ms);
      return occupant.set_requests(span.count);
    case Counted::kRefusals:
      occupant.set_refusals_since_ms(span.since_ms);
      return occupant.set_refusals(span.count);
    case Counted::kStanzas:
      occupant.set_stanzas_since_ms(span.since_ms);
      return occupant.set_stanzas(span.count);
    case Counted::kReturns:
      occupant.set_returns_since_ms(span.since_ms);
      return occupant.set_returns(span.count);
  }
}

void Set(v1::RecentChanges& kept, Counted what, Span span) {
  switch (what) {
    case Counted::kChanges:
      kept.set_since_ms(span.since_ms);
      return kept.set_changes(span.count);
    case Counted::kRequests:
      kept.set_requests_since_ms(span.since_ms);
      return kept.set_requests(span.count);
    case Counted::kRefusals:
      kept.set_refusals_since_ms(span.since_ms);
      return kept.set_refusals(span.count);
    case Counted::kStanzas:
      kept.set_stanzas_since_ms(span.since_ms);
      return kept.set_stanzas(span.count);
    case Counted::kReturns:
      kept.set_returns_since_ms(span.since_ms);
      return kept.set_returns(span.count);
  }
}

/// Records come from several processes: one may be a little older than the last. A beginning that is further
/// in the future is of a wrong clock, and none.
bool IsRunning(const Turn& turn, const Span& span) {
  const std::int64_t age = turn.now_ms - span.since_ms;
  return span.count > 0 && age >= -kMaxAheadMs && age < turn.settings.changes_period.count();
}

/// Takes `from` over where it counts for more.
template <typename To, typename From>
void Merge(const Turn& turn, To& to, const From& from) {
  for (const Counted what : kAll) {
    const Span span = SpanOf(from, what);
    const Span known = SpanOf(to, what);
    if (IsRunning(turn, span) && (!IsRunning(turn, known) || span.count > known.count)) Set(to, what, span);
  }
  // That of a clock ahead does not hide an older one.
  const std::int64_t at_ms = from.last_message_at_ms();
  if (at_ms <= turn.now_ms && (at_ms > to.last_message_at_ms() || to.last_message_at_ms() > turn.now_ms))
    to.set_last_message_at_ms(at_ms);
}

bool Matters(const Turn& turn, const v1::RecentChanges& kept) {
  const std::int64_t slow_mode_ms = std::int64_t{turn.room.config().slow_mode_seconds()} * 1000;
  const std::int64_t silent_ms = turn.now_ms - kept.last_message_at_ms();
  return (silent_ms >= 0 && silent_ms < slow_mode_ms) ||
         std::any_of(std::begin(kAll), std::end(kAll),
                     [&](Counted what) { return IsRunning(turn, SpanOf(kept, what)); });
}

/// Takes out what is kept of `bare`, and what does not matter any more of others.
v1::RecentChanges TakeKept(Turn& turn, std::string_view bare) {
  v1::RecentChanges own;
  own.set_jid(std::string(bare));
  if (turn.room.state().recent_changes().empty()) return own;
  auto& all = *turn.room.ChangeState().mutable_recent_changes();
  int count = 0;
  for (int i = 0; i < all.size(); ++i) {
    if (all[i].jid() == bare) {
      own = std::move(all[i]);
    } else if (Matters(turn, all[i])) {
      all.SwapElements(i, count++);
    }
  }
  all.DeleteSubrange(count, all.size() - count);
  return own;
}

void PutKept(Turn& turn, v1::RecentChanges kept) {
  auto& all = *turn.room.ChangeState().mutable_recent_changes();
  if (all.size() >= kMaxKeptChanges) all.DeleteSubrange(0, all.size() - kMaxKeptChanges + 1);
  *all.Add() = std::move(kept);
}

/// All that is known of an account.
v1::RecentChanges KnownOf(const Turn& turn, std::string_view bare) {
  v1::RecentChanges known;
  known.set_jid(std::string(bare));
  for (const v1::Occupant* occupant : turn.room.FindAccount(bare)) Merge(turn, known, *occupant);
  for (const v1::RecentChanges& kept : turn.room.state().recent_changes())
    if (kept.jid() == bare) Merge(turn, known, kept);
  return known;
}

}  // namespace

Count::Count(const Turn& turn, std::string_view bare, Counted what)
    : bare_(bare), what_(what), since_ms_(turn.now_ms) {
  const Span span = SpanOf(KnownOf(turn, bare), what);
  if (!IsRunning(turn, span)) return;
  since_ms_ = span.since_ms;
  value_ = span.count;
}

void Count::Add(Turn& turn, std::int64_t more) const {
  const Span span{since_ms_, value_ + static_cast<std::uint32_t>(more)};
  v1::RecentChanges kept = TakeKept(turn, bare_);
  const auto occupants = turn.room.FindAccount(bare_);
  if (occupants.empty()) {
    Set(kept, what_, span);
    return PutKept(turn, std::move(kept));
  }
  v1::Occupant& occupant = *turn.room.ChangeOccupant(occupants.front()->nick());
  // It was absent once, and is in now.
  Merge(turn, occupant, kept);
  Set(occupant, what_, span);
}

bool CountStanza(Turn& turn, std::string_view bare, std::int64_t most) {
  // What was kept of it while it was out it has again since it entered (Count::Add).
  Span span{turn.now_ms, 0};
  const std::vector<const v1::Occupant*> occupants = turn.room.FindAccount(bare);
  for (const v1::Occupant* occupant : occupants) {
    const Span known = SpanOf(*occupant, Counted::kStanzas);
    if (IsRunning(turn, known) && known.count > span.count) span = known;
  }
  if (occupants.empty() || span.count >= most) return false;
  ++span.count;
  Set(*turn.room.ChangeKnown(occupants.front()->nick()), Counted::kStanzas, span);
  return true;
}

void KeepChangesOf(Turn& turn, const v1::Occupant& occupant) {
  const std::string bare(Room::AccountOf(occupant));
  v1::RecentChanges known = KnownOf(turn, bare);
  if (!Matters(turn, known)) return;
  (void)TakeKept(turn, bare);
  for (const v1::Occupant* other : turn.room.FindAccount(bare)) {
    if (other->nick() == occupant.nick()) continue;
    return Merge(turn, *turn.room.ChangeKnown(other->nick()), known);
  }
  PutKept(turn, std::move(known));
}

bool HasRefusalsLeft(const Turn& turn, std::int64_t most) {
  const v1::RoomState& state = turn.room.state();
  return state.refusals() < most || !IsRunning(turn, {state.refusals_since_ms(), state.refusals()});
}

void CountRefusal(Turn& turn) {
  v1::RoomState& state = turn.room.ChangeState();
  const bool is_running = IsRunning(turn, {state.refusals_since_ms(), state.refusals()});
  if (!is_running) state.set_refusals_since_ms(turn.now_ms);
  state.set_refusals(is_running ? state.refusals() + 1 : 1);
}

std::int64_t LastMessageOf(const Turn& turn, std::string_view bare) {
  return KnownOf(turn, bare).last_message_at_ms();
}

}  // namespace rookery::muc
