#include "domain/delivery/message_routing.h"

#include <algorithm>
#include <limits>

namespace rookery::session_manager {

using namespace rookery::common::v1;  // the trait names
using xmpp::Has;

MessageType ParseMessageType(std::string_view type) {
  if (type == "chat") return MessageType::kChat;
  if (type == "groupchat") return MessageType::kGroupchat;
  if (type == "headline") return MessageType::kHeadline;
  if (type == "error") return MessageType::kError;
  return MessageType::kNormal;
}

namespace {

constexpr std::uint32_t kHints = STANZA_TRAIT_NO_STORE | STANZA_TRAIT_NO_PERMANENT_STORE |
                                 STANZA_TRAIT_NO_COPY | STANZA_TRAIT_STORE | STANZA_TRAIT_PRIVATE |
                                 STANZA_TRAIT_STANZA_ID | STANZA_TRAIT_DELAY;

bool IsChatStateOnly(const xmpp::Stanza& message) {
  return Has(message, STANZA_TRAIT_CHAT_STATE) &&
         (message.traits() & ~(kHints | STANZA_TRAIT_CHAT_STATE)) == 0;
}

MessageRoute ToBareJid(MessageType type, std::span<const Candidate> candidates) {
  MessageRoute route;
  switch (type) {
    case MessageType::kGroupchat:
      route.fate = MessageFate::kBounce;
      return route;
    case MessageType::kError:
      route.fate = MessageFate::kIgnore;
      return route;
    case MessageType::kHeadline:
      for (std::size_t i = 0; i < candidates.size(); ++i)
        if (candidates[i].available && candidates[i].priority >= 0) route.targets.push_back(i);
      route.fate = route.targets.empty() ? MessageFate::kIgnore : MessageFate::kDeliver;
      return route;
    case MessageType::kNormal:
    case MessageType::kChat:
      break;
  }
  int best = -1;
  for (const Candidate& candidate : candidates)
    if (candidate.available) best = std::max(best, candidate.priority);
  if (best < 0) {
    route.fate = MessageFate::kStore;
    return route;
  }
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (candidates[i].available && candidates[i].priority == best) route.targets.push_back(i);
  route.fate = MessageFate::kDeliver;
  return route;
}

}  // namespace

MessageRoute RouteMessage(const xmpp::Stanza& message, std::string_view resource,
                          std::span<const Candidate> candidates, bool answers_copied) {
  const MessageType type = ParseMessageType(message.type());
  MessageRoute route;
  if (resource.empty()) {
    route = ToBareJid(type, candidates);
  } else {
    for (std::size_t i = 0; i < candidates.size(); ++i)
      if (candidates[i].resource == resource) route.targets.push_back(i);
    if (!route.targets.empty()) {
      route.fate = MessageFate::kDeliver;
    } else {
      switch (type) {
        case MessageType::kChat:
          route = ToBareJid(type, candidates);
          break;
        case MessageType::kNormal:
        case MessageType::kGroupchat:
          route.fate = MessageFate::kBounce;
          break;
        case MessageType::kHeadline:
        case MessageType::kError:
          route.fate = MessageFate::kIgnore;
          break;
      }
    }
  }
  const bool is_copied = type == MessageType::kError ? answers_copied
                                                     : route.fate == MessageFate::kDeliver &&
                                                           IsCarbonEligible(message, /*sent=*/false);
  if (is_copied) {
    // A message that one of the user's own resources has sent does not come back to it.
    const bool from_self = xmpp::BareOf(message.from()) == xmpp::BareOf(message.to());
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const bool is_target = std::find(route.targets.begin(), route.targets.end(), i) != route.targets.end();
      const bool is_sender = from_self && xmpp::ResourceOf(message.from()) == candidates[i].resource;
      if (candidates[i].carbons && !is_target && !is_sender) route.copies.push_back(i);
    }
  }
  return route;
}

bool HasToBeAnswered(const xmpp::Stanza& stanza) {
  if (stanza.type() == "error") return false;
  return stanza.kind() == common::v1::STANZA_KIND_MESSAGE ||
         (stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() != "result");
}

bool IsCarbonEligible(const xmpp::Stanza& message, bool sent) {
  if (Has(message, STANZA_TRAIT_PRIVATE) || Has(message, STANZA_TRAIT_NO_COPY) ||
      Has(message, STANZA_TRAIT_CARBON))
    return false;
  // A private message of a room reaches the resource that has joined; a sent one is copied.
  if (!sent && Has(message, STANZA_TRAIT_MUC_USER) && !Has(message, STANZA_TRAIT_MUC_INVITE)) return false;
  switch (ParseMessageType(message.type())) {
    case MessageType::kGroupchat:
    case MessageType::kHeadline:
      return false;
    case MessageType::kError:
      return false;
    case MessageType::kChat:
      return true;
    case MessageType::kNormal:
      // A body or what is typical of instant messaging; a private message to a room's occupant.
      return (message.traits() & (STANZA_TRAIT_BODY | STANZA_TRAIT_RECEIPT | STANZA_TRAIT_CHAT_STATE |
                                  STANZA_TRAIT_MUC_USER | STANZA_TRAIT_MUC_INVITE | STANZA_TRAIT_ENCRYPTED |
                                  STANZA_TRAIT_CALL | STANZA_TRAIT_STORE)) != 0;
  }
  return false;
}

bool IsStorable(const xmpp::Stanza& message) {
  const MessageType type = ParseMessageType(message.type());
  if (type != MessageType::kChat && type != MessageType::kNormal) return false;
  if (Has(message, STANZA_TRAIT_NO_STORE)) return false;
  if (Has(message, STANZA_TRAIT_STORE)) return true;
  return !IsChatStateOnly(message);
}

bool IsArchivable(const xmpp::Stanza& message) {
  const MessageType type = ParseMessageType(message.type());
  if (type != MessageType::kChat && type != MessageType::kNormal) return false;
  if (Has(message, STANZA_TRAIT_NO_STORE) || Has(message, STANZA_TRAIT_NO_PERMANENT_STORE)) return false;
  if (Has(message, STANZA_TRAIT_CARBON)) return false;
  return (message.traits() & (STANZA_TRAIT_BODY | STANZA_TRAIT_STORE | STANZA_TRAIT_ENCRYPTED |
                              STANZA_TRAIT_RECEIPT | STANZA_TRAIT_MUC_INVITE | STANZA_TRAIT_CALL)) != 0;
}

}  // namespace rookery::session_manager
