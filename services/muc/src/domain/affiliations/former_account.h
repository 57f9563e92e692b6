#pragma once

#include "domain/room/turn.h"

namespace rookery::muc {

/// The name of an account that was removed may be another's later. What the room knows of the first one is
/// not the second one's: whose it is shows in the account generations of what they say. An affiliation and
/// hats are meant for the account that the name had when they were given last, also where it has said nothing
/// to the room yet: for no account that was made later.

/// Before a stanza is applied: takes from the sender what an earlier account of the name had in the room (its
/// affiliation, reserved nick and hats), and its occupants out. A ban stays: else one would be rid of it by
/// registering anew.
void ForgetFormerAccount(Turn& turn);
/// After it: notes whose the sender's entry is.
void NoteAccount(Turn& turn);

}  // namespace rookery::muc
