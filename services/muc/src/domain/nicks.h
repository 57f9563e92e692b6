#pragma once

#include <optional>
#include <string_view>

#include "domain/turn.h"

namespace rookery::muc {

/// Why an account (bare JID) may not have a nick in the room, as an occupant or reserved; nullopt: it may.
///   - not-acceptable: longer than `settings.max_nick_bytes`, of scripts that are not written together, or
///     nothing to be seen of it;
///   - conflict: it is another account's, or looks like one that is (XEP-0045 sections 7.2.8 and 7.6).
/// `nick` is prepared.
std::optional<xmpp::ErrorCondition> RefusalOfNick(const Turn& turn, std::string_view nick,
                                                  std::string_view bare);

/// The joins and changes of nick of an account (bare JID), in the room or not, in the period that runs
/// (`settings.changes_period`). What it costs others bounds how many there may be.
class Changes {
 public:
  Changes(const Turn& turn, std::string_view bare);
  std::int64_t since_ms() const { return since_ms_; }
  std::uint32_t count() const { return count_; }
  /// Whether one more is within `settings.max_changes`.
  bool may_change() const { return may_change_; }
  /// One more, kept with the account's occupant who has this nick.
  void Count(Turn& turn, std::string_view nick) const;

 private:
  std::int64_t since_ms_ = 0;
  std::uint32_t count_ = 0;
  bool may_change_ = true;
};
/// Keeps what an occupant who goes has counted, while it matters: who comes back does not begin anew. The
/// newest kMaxKeptChanges of a room.
inline constexpr int kMaxKeptChanges = 256;
void KeepChangesOf(Turn& turn, const v1::Occupant& occupant);

}  // namespace rookery::muc
