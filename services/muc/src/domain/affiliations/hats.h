#pragma once

#include <string>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// The commands of XEP-0317 at the room (XEP-0050): owners make hats and destroy them, admins give them to
/// accounts and take them, whoever may look inside the room reads which there are. No command has a state
/// between its steps, so each may be the first.
void OnCommand(Turn& turn);
/// The commands that the sender may use, as items of disco#items (XEP-0050 section 2.2).
void AddCommandItems(const Turn& turn, xmpp::Element& query);
/// disco#info of a command (section 2.3). False: the sender knows no command with this node.
bool AddCommandInfo(const Turn& turn, std::string_view node, xmpp::Element& query);

}  // namespace rookery::muc
