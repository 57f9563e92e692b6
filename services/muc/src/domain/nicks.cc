#include "domain/nicks.h"

#include <string>

#include "rookery/xmpp/confusables.h"

namespace rookery::muc {

namespace {

/// Records come from several processes: one may be a little older than the last.
bool IsOver(const Turn& turn, std::int64_t since_ms) {
  return turn.now_ms - since_ms >= turn.settings.changes_period.count();
}

/// Forgets those of `bare`, and those whose period is over.
void Forget(const Turn& turn, v1::RoomState& state, std::string_view bare) {
  auto& kept = *state.mutable_recent_changes();
  int count = 0;
  for (int i = 0; i < kept.size(); ++i)
    if (kept[i].jid() != bare && !IsOver(turn, kept[i].since_ms())) kept.SwapElements(i, count++);
  kept.DeleteSubrange(count, kept.size() - count);
}

}  // namespace

std::optional<xmpp::ErrorCondition> RefusalOfNick(const Turn& turn, std::string_view nick,
                                                  std::string_view bare) {
  if (nick.size() > static_cast<std::size_t>(turn.settings.max_nick_bytes) ||
      !xmpp::IsOfScriptsWrittenTogether(nick) || Room::LookOf(nick).empty())
    return xmpp::ErrorCondition::kNotAcceptable;
  if (turn.room.IsOfAnother(nick, bare)) return xmpp::ErrorCondition::kConflict;
  return std::nullopt;
}

Changes::Changes(const Turn& turn, std::string_view bare) : since_ms_(turn.now_ms) {
  const auto consider = [&](std::int64_t since_ms, std::uint32_t count) {
    if (IsOver(turn, since_ms) || count <= count_) return;
    since_ms_ = since_ms;
    count_ = count;
  };
  // Each change counts on from those of all of the account's nicks: the highest is the account's.
  for (const v1::Occupant* occupant : turn.room.FindAccount(bare))
    consider(occupant->changes_since_ms(), occupant->changes());
  for (const v1::RecentChanges& kept : turn.room.state().recent_changes())
    if (kept.jid() == bare) consider(kept.since_ms(), kept.changes());
  may_change_ = turn.settings.max_changes <= 0 || count_ < turn.settings.max_changes;
}

void Changes::Count(Turn& turn, std::string_view nick) const {
  v1::Occupant& occupant = *turn.room.ChangeOccupant(nick);
  occupant.set_changes_since_ms(since_ms_);
  occupant.set_changes(count_ + 1);
  if (!turn.room.state().recent_changes().empty())
    Forget(turn, turn.room.ChangeState(), Room::AccountOf(occupant));
}

void KeepChangesOf(Turn& turn, const v1::Occupant& occupant) {
  const std::string bare(Room::AccountOf(occupant));
  const Changes changes(turn, bare);
  if (changes.count() == 0) return;
  v1::RoomState& state = turn.room.ChangeState();
  Forget(turn, state, bare);
  auto& all = *state.mutable_recent_changes();
  if (all.size() >= kMaxKeptChanges) all.DeleteSubrange(0, all.size() - kMaxKeptChanges + 1);
  v1::RecentChanges& kept = *all.Add();
  kept.set_jid(bare);
  kept.set_since_ms(changes.since_ms());
  kept.set_changes(changes.count());
}

}  // namespace rookery::muc
