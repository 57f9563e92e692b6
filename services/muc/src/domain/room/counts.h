#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// So far the clocks of those who receive stanzas may differ: what is further in the future was said by a
/// wrong one.
inline constexpr std::int64_t kMaxAheadMs = 5'000;

/// The things that are counted of an account in a room, in periods of `settings.changes_period`.
enum class Counted : std::uint8_t {
  /// Joins, changes of nick, registrations.
  kChanges,
  /// Requests that reach others: invitations, requests for voice, notices to people who are absent.
  kRequests,
  /// Wrong passwords.
  kRefusals,
  /// Stanzas that others hear of.
  kStanzas,
  /// Errors and answers that the account is given by other occupants' clients.
  kReturns,
};

/// How often an account (bare JID) has done something in the period that runs: with all of its nicks
/// together, in the room or not. The occupant has the count of somebody who is in; of others the room keeps
/// the newest kMaxKeptChanges.
class Count {
 public:
  Count(const Turn& turn, std::string_view bare, Counted what);
  std::uint32_t value() const { return value_; }
  bool Fits(std::int64_t more, std::int64_t most) const { return value_ + more <= most; }
  /// `more` than there were.
  void Add(Turn& turn, std::int64_t more = 1) const;

 private:
  std::string bare_;
  Counted what_;
  std::int64_t since_ms_;
  std::uint32_t value_ = 0;
};

/// Counts one more stanza that others hear of. False: the account, which is in, has had `most` of them in the
/// period that runs. As Count does, but without a look at those who are not in: it is done for each message.
bool CountStanza(Turn& turn, std::string_view bare, std::int64_t most);

/// Keeps what is counted of an occupant who goes, while it matters: who comes back, or has another nick in
/// the room, does not begin anew.
inline constexpr int kMaxKeptChanges = 256;
void KeepChangesOf(Turn& turn, const v1::Occupant& occupant);

/// The wrong passwords that all accounts together have given in the period that runs: whether they are fewer
/// than `most`, and one more.
bool HasRefusalsLeft(const Turn& turn, std::int64_t most);
void CountRefusal(Turn& turn);

/// When the account has last said something to all that XEP-0500 counts, under any nick, in the room or gone;
/// 0: not that the room knows. What a clock ahead has said of the future counts for nothing.
std::int64_t LastMessageOf(const Turn& turn, std::string_view bare);

}  // namespace rookery::muc
