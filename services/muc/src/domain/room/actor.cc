#include "domain/room/actor.h"

namespace rookery::muc {

const v1::Occupant* FindActor(const Turn& turn) {
  const v1::Occupant* const occupant = turn.occupant();
  if (occupant != nullptr || turn.AffiliationOf(turn.sender()) < v1::AFFILIATION_ADMIN) return occupant;
  const auto occupants = turn.room.FindAccount(turn.sender());
  return occupants.empty() ? nullptr : occupants.front();
}

}  // namespace rookery::muc
