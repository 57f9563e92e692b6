#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

enum class MessageType { kNormal, kChat, kGroupchat, kHeadline, kError };
/// RFC 6121 section 5.2.2: an unknown type is normal.
MessageType ParseMessageType(std::string_view type);

/// A session as routing sees it.
struct Candidate {
  std::string_view resource;
  bool available = false;
  int priority = 0;
  bool carbons = false;
};

enum class MessageFate {
  kDeliver,  // to `targets`, with copies to `copies`
  kStore,    // for later, or bounce where it must not be stored
  kBounce,   // service-unavailable
  kIgnore,
};

struct MessageRoute {
  MessageFate fate = MessageFate::kIgnore;
  /// Indices of candidates.
  absl::InlinedVector<std::size_t, 4> targets;
  absl::InlinedVector<std::size_t, 4> copies;
};

/// RFC 6121 section 8.5 with its table 1, and XEP-0280 section 6, for a message to a user
/// who exists. `resource` is empty for a bare JID. `answers_copied`: it is an error that
/// answers a message of which copies were made.
MessageRoute RouteMessage(const xmpp::Stanza& message, std::string_view resource,
                          std::span<const Candidate> candidates, bool answers_copied = false);

/// Whether the sender of a message or request is told when it cannot be taken.
bool HasToBeAnswered(const xmpp::Stanza& stanza);
/// XEP-0280 section 6.1 with carbons:rules:0: whether the account's other resources get a copy.
/// Not of an error, which says nothing of the message that it answers.
bool IsCarbonEligible(const xmpp::Stanza& message, bool sent);
/// XEP-0160 and XEP-0334: whether it is kept for a user who is away.
bool IsStorable(const xmpp::Stanza& message);
/// Whether it belongs in a history (XEP-0313 section 5.1.1).
bool IsArchivable(const xmpp::Stanza& message);

}  // namespace rookery::session_manager
