#include "protocols/xmpp/sm_id.h"

#include "domain/base64.h"

namespace rookery::gateway {

std::string SmId::ToText() const {
  std::string bytes(session.bytes());
  for (std::uint64_t rest = inbound_base; rest != 0; rest >>= 8)
    bytes.push_back(static_cast<char>(rest & 0xff));
  return EncodeBase64Url(bytes);
}

std::optional<SmId> SmId::Parse(std::string_view text) {
  if (text.size() > 64) return std::nullopt;
  const auto bytes = DecodeBase64Url(text);
  if (!bytes || bytes->size() < SessionId::kBytes || bytes->size() > SessionId::kBytes + 8)
    return std::nullopt;
  SmId id;
  id.session = *SessionId::FromBytes(std::string_view(*bytes).substr(0, SessionId::kBytes));
  for (std::size_t i = SessionId::kBytes; i < bytes->size(); ++i) {
    id.inbound_base |= static_cast<std::uint64_t>(static_cast<unsigned char>((*bytes)[i]))
                       << (8 * (i - SessionId::kBytes));
  }
  return id;
}

}  // namespace rookery::gateway
