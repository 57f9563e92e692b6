#include "rookery/xmpp/stanza_limits.h"

#include "escape.h"

namespace rookery::xmpp {
namespace {

// A sender that has counted wrongly should still recognise its stanza in the answer.
constexpr std::size_t kMaxEchoedIdBytes = std::size_t{8} * kMaxIdBytes;

}  // namespace

std::optional<ErrorCondition> CheckStanza(const Stanza& stanza, std::size_t max_written_bytes) {
  if (stanza.id().size() > kMaxIdBytes || stanza.type().size() > kMaxTypeBytes ||
      stanza.lang().size() > kMaxLangBytes) {
    return ErrorCondition::kBadRequest;
  }
  if (WrittenSize(stanza, Framing::kWebSocket) > max_written_bytes) return ErrorCondition::kPolicyViolation;
  return std::nullopt;
}

void StripRefused(Stanza& stanza) {
  ClearPayload(stanza);
  stanza.clear_lang();
  if (stanza.type().size() > kMaxTypeBytes) stanza.clear_type();
  if (EscapedSize(stanza.id()) > kMaxEchoedIdBytes) stanza.clear_id();
}

}  // namespace rookery::xmpp
