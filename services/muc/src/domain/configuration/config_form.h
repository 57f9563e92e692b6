#pragma once

#include <optional>
#include <string>
#include <vector>

#include "domain/room/turn.h"
#include "rookery/xmpp/forms.h"

namespace rookery::muc {

/// The form http://jabber.org/protocol/muc#roomconfig: what the room is like now (XEP-0045 section 10.2).
xmpp::Form ConfigFormOf(const Turn& turn);

/// The changes of a room by a submitted form.
struct ConfigChange {
  v1::RoomConfig config = {};
  /// Bare JIDs, each once: the whole lists; nullopt: they stay.
  std::optional<std::vector<std::string>> owners = {};
  std::optional<std::vector<std::string>> admins = {};
};

struct FormRefusal {
  xmpp::ErrorCondition condition;
  std::string text = {};
};

/// More than `settings.max_items` owners and admins would change.
FormRefusal TooManyPeople();

/// Reads a form of type `submit` over the present configuration: fields that are not in it stay as they are,
/// unknown ones mean nothing. The refusal otherwise: bad-request for the form of something else,
/// not-acceptable for a value that is none (XEP-0004 section 4) or against the service's bounds, or a blank
/// password where one is wanted (section 10.1.3).
std::optional<FormRefusal> ReadConfig(const Turn& turn, const xmpp::Form& form, ConfigChange& change);

}  // namespace rookery::muc
