#include "domain/affiliations/former_account.h"

#include <string>
#include <vector>

#include "domain/affiliations/affiliations.h"
#include "domain/occupants/presence.h"

namespace rookery::muc {

void ForgetFormerAccount(Turn& turn) {
  Room& room = turn.room;
  if (turn.account_generation == 0 || !room.exists()) return;
  const std::string account(turn.sender());
  const v1::Affiliated* const known = room.FindAffiliated(account);
  if (known == nullptr || known->account_generation() == 0 ||
      known->account_generation() == turn.account_generation)
    return;
  std::vector<std::string> nicks;
  for (const v1::Occupant* occupant : room.FindAccount(account)) nicks.push_back(occupant->nick());
  for (const std::string& nick : nicks) RemoveOccupant(turn, nick, {});
  // With its last occupant a temporary room goes.
  if (!room.exists()) return;
  room.SetReservedNick(account, {});
  const bool is_outcast = known->affiliation() == v1::AFFILIATION_OUTCAST;
  if (!is_outcast && known->affiliation() != v1::AFFILIATION_NONE)
    SetAffiliation(turn, account, v1::AFFILIATION_NONE, {}, {}, Courtesy::kNone);
  v1::Affiliated& entry = room.ChangeAffiliated(account);
  entry.set_account_generation(turn.account_generation);
  entry.clear_hats();
  entry.clear_is_without_voice();
}

void NoteAccount(Turn& turn) {
  Room& room = turn.room;
  if (turn.account_generation == 0 || !room.exists()) return;
  const v1::Affiliated* const known = room.FindAffiliated(turn.sender());
  if (known == nullptr || known->account_generation() == turn.account_generation) return;
  room.ChangeAffiliated(turn.sender()).set_account_generation(turn.account_generation);
}

}  // namespace rookery::muc
