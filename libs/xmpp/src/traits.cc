#include "traits.h"

#include "rookery/common/v1/stanza.pb.h"
#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {

using namespace common::v1;  // NOLINT: the trait names

bool IsBody(std::string_view name, std::string_view ns) { return name == "body" && ns == ns::kClient; }

bool IsMediatedInvite(std::string_view name, std::string_view ns) {
  return name == "invite" && ns == ns::kMucUser;
}

std::uint32_t TraitsOfChild(std::string_view name, std::string_view ns) {
  if (ns == ns::kClient) {
    return name == "body" || name == "thread" ? 0u : static_cast<std::uint32_t>(STANZA_TRAIT_OTHER_PAYLOAD);
  }
  if (ns == ns::kChatStates) return STANZA_TRAIT_CHAT_STATE;
  if (ns == ns::kHints) {
    if (name == "no-store") return STANZA_TRAIT_NO_STORE;
    if (name == "no-permanent-store") return STANZA_TRAIT_NO_PERMANENT_STORE;
    if (name == "no-copy") return STANZA_TRAIT_NO_COPY;
    if (name == "store") return STANZA_TRAIT_STORE;
  } else if (ns == ns::kCarbons) {
    if (name == "private") return STANZA_TRAIT_PRIVATE;
    if (name == "sent" || name == "received") return STANZA_TRAIT_CARBON;
  } else if (ns == ns::kStanzaId) {
    if (name == "stanza-id") return STANZA_TRAIT_STANZA_ID;
  } else if (ns == ns::kDelay) {
    if (name == "delay") return STANZA_TRAIT_DELAY;
  } else if (ns == ns::kLegacyDelay) {
    if (name == "x") return STANZA_TRAIT_DELAY;
  } else if (ns == ns::kReceipts) {
    if (name == "request" || name == "received") return STANZA_TRAIT_RECEIPT;
  } else if (ns == ns::kChatMarkers) {  // to routing and archive a marker is a receipt
    return STANZA_TRAIT_RECEIPT;
  } else if (ns == ns::kMucUser) {
    if (name == "x") return STANZA_TRAIT_MUC_USER;
  } else if (ns == ns::kDirectInvitation) {
    if (name == "x") return STANZA_TRAIT_MUC_INVITE;
  } else if (ns == ns::kCaps) {
    if (name == "c") return STANZA_TRAIT_CAPS;
  } else if (ns == ns::kEncryption) {
    if (name == "encryption") return STANZA_TRAIT_ENCRYPTED;
  } else if (ns == ns::kOmemo || ns == ns::kOmemoAxolotl) {
    if (name == "encrypted") return STANZA_TRAIT_ENCRYPTED;
  } else if (ns == ns::kOpenPgp) {
    if (name == "openpgp") return STANZA_TRAIT_ENCRYPTED;
  } else if (ns == ns::kOpenPgpLegacy) {
    if (name == "x") return STANZA_TRAIT_ENCRYPTED;
  } else if (ns == ns::kJingleMessage) {
    return STANZA_TRAIT_CALL;
  }
  return STANZA_TRAIT_OTHER_PAYLOAD;
}

}  // namespace rookery::xmpp
