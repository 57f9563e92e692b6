#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// The occupant who acts: the sender; of an admin's or owner's other device, one of the account's occupants.
/// Null: nobody of the account is in, or the sender is not and may not administer the room.
const v1::Occupant* FindActor(const Turn& turn);

}  // namespace rookery::muc
