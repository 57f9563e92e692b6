#include "domain/affiliations/former_account.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "domain/affiliations/affiliations.h"
#include "domain/occupants/presence.h"
#include "rookery/events/account_generation.h"

namespace rookery::muc {

namespace {

/// Whether what the name was given then (0: nobody knows when) is the sender's. `is_others`: another account
/// has had the entry; else nobody knows whose it is.
bool IsSenders(const Turn& turn, std::int64_t given_at_ms, bool is_others) {
  const std::optional<std::int64_t> made_at_ms = events::AccountMadeAtMs(turn.account_generation);
  if (!made_at_ms || given_at_ms == 0) return !is_others;
  // In doubt it goes to somebody who has had nothing yet, and not from one to the next.
  return *made_at_ms <= given_at_ms + (is_others ? 0 : events::kClockSkewMs);
}

void TakeOccupants(Turn& turn, std::string_view account) {
  std::vector<std::string> nicks;
  for (const v1::Occupant* occupant : turn.room.FindAccount(account)) nicks.push_back(occupant->nick());
  for (const std::string& nick : nicks) RemoveOccupant(turn, nick, {});
}

}  // namespace

void ForgetFormerAccount(Turn& turn) {
  Room& room = turn.room;
  if (turn.account_generation == 0 || !room.exists()) return;
  const std::string account(turn.sender());
  const v1::Affiliated* const known = room.FindAffiliated(account);
  if (known == nullptr || known->account_generation() == turn.account_generation) return;
  const bool is_others = known->account_generation() != 0;
  const auto is_formers = [&](std::int64_t given_at_ms) { return !IsSenders(turn, given_at_ms, is_others); };
  const bool is_taken = known->affiliation() >= v1::AFFILIATION_MEMBER && is_formers(known->given_at_ms());
  const bool is_left = is_others || is_taken;
  if (is_left) {
    TakeOccupants(turn, account);
    // With its last occupant a temporary room goes.
    if (!room.exists()) return;
    room.SetReservedNick(account, {});
  }
  if (is_taken) SetAffiliation(turn, account, v1::AFFILIATION_NONE, {}, {}, Courtesy::kNone);
  v1::Affiliated& entry = room.ChangeAffiliated(account);
  entry.set_account_generation(turn.account_generation);
  auto& hats = *entry.mutable_hats();
  hats.erase(std::remove_if(hats.begin(), hats.end(),
                            [&](const v1::Hat& hat) { return is_formers(hat.given_at_ms()); }),
             hats.end());
  if (is_left) entry.clear_is_without_voice();
}

void NoteAccount(Turn& turn) {
  Room& room = turn.room;
  if (turn.account_generation == 0 || !room.exists()) return;
  const v1::Affiliated* const known = room.FindAffiliated(turn.sender());
  if (known == nullptr || known->account_generation() == turn.account_generation) return;
  room.ChangeAffiliated(turn.sender()).set_account_generation(turn.account_generation);
}

}  // namespace rookery::muc
