#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// An IQ request to an occupant: answered by the room where it is a ping of one's own nick (XEP-0410), else
/// given to one of the occupant's sessions, without the sender's real address.
void OnRequestToOccupant(Turn& turn);
/// A result or error of an occupant's client, to whom asked.
void OnAnswerToOccupant(Turn& turn);
/// XEP-0199 to the room itself.
void OnPing(Turn& turn);

}  // namespace rookery::muc
