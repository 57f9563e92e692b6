#pragma once

#include <optional>
#include <string_view>

#include "domain/room/counts.h"
#include "domain/room/turn.h"

namespace rookery::muc {

/// Why an account (bare JID) may not have a nick in the room, as an occupant or reserved; nullopt: it may.
///   - not-acceptable: longer than `settings.max_nick_bytes`, of scripts that are not written together
///     (unless `settings.admits_mixed_scripts`), or nothing to be seen of it;
///   - conflict: it is another account's, or looks like one that is (XEP-0045 sections 7.2.8 and 7.6).
/// `nick` is prepared.
std::optional<xmpp::ErrorCondition> RefusalOfNick(const Turn& turn, std::string_view nick,
                                                  std::string_view bare);

/// The joins, changes of nick and registrations of an account (bare JID), in the room or not, in the period
/// that runs. What it costs others bounds how many there may be.
class Changes {
 public:
  Changes(const Turn& turn, std::string_view bare) : count_(turn, bare, Counted::kChanges) {
    may_change_ = turn.settings.max_changes <= 0 || count_.Fits(1, turn.settings.max_changes);
  }
  /// Whether one more is within `settings.max_changes`.
  bool may_change() const { return may_change_; }
  /// One more.
  void Add(Turn& turn) const { count_.Add(turn); }

 private:
  Count count_;
  bool may_change_;
};

}  // namespace rookery::muc
