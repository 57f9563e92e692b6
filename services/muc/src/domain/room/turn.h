#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "domain/room/outcome.h"
#include "domain/room/room.h"
#include "domain/settings.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// One stanza to a room or to an occupant, while it is applied. All that applying it depends on is here:
/// the room, the record and the settings.
struct Turn {
  const Settings& settings;
  Room& room;
  /// `from`: the sender's full JID (or bare, of a service); `to`: the room, or an occupant.
  const xmpp::Stanza& stanza;
  /// When the cluster received it: ms since 1970.
  std::int64_t now_ms;
  /// The offset of the record in `rooms`.
  std::int64_t offset;
  Outcome& outcome;
  /// Which account of its name the sender is; 0: not known, or no account.
  std::uint64_t account_generation = 0;
  /// A client has said it itself, not its server in its name. False: nobody knows.
  bool is_from_client = false;

  std::string_view sender() const { return xmpp::BareOf(stanza.from()); }
  /// Empty: to the room itself.
  std::string_view nick() const { return xmpp::ResourceOf(stanza.to()); }
  /// The sender as an occupant, or null.
  const v1::Occupant* occupant() const { return room.FindSession(stanza.from()); }
  /// With what the operator has given to administrators.
  v1::Affiliation AffiliationOf(std::string_view bare) const;
  /// How many bytes the sender may make the room take: who administers it has a reserve, so that nobody who
  /// fills it keeps them out, or from banning.
  std::size_t max_bytes() const;

  /// To the sender: an error by the room, as which it can be told from an occupant's (XEP-0045), unless the
  /// stanza is one itself or asks for no answer (an IQ result).
  void Refuse(xmpp::ErrorCondition condition, std::string_view text = {},
              std::optional<xmpp::ErrorType> type = {}) const;
  /// As above, with an <error/> that MakeErrorElement has begun and the caller has added to.
  void Refuse(xmpp::Element error) const;
  void Answer(const xmpp::Element& payload) const { outcome.Send(xmpp::MakeResult(stanza, payload)); }
  void Answer() const { outcome.Send(xmpp::MakeResult(stanza)); }
};

}  // namespace rookery::muc
