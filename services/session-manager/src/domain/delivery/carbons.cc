#include "domain/delivery/carbons.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace rookery::session_manager {

xmpp::Stanza MakeCarbon(std::string_view direction, const xmpp::Stanza& message, std::string_view bare) {
  xmpp::Stanza carbon = xmpp::MakeMessage(message.type(), bare, {});
  std::string& payload = *carbon.mutable_payload();
  payload.reserve(message.payload().size() + 400);
  payload.append("<").append(direction).append(" xmlns=\"urn:xmpp:carbons:2\">");
  xmpp::AppendForwarded(payload, &message);
  payload.append("</").append(direction).append(">");
  carbon.set_traits(common::v1::STANZA_TRAIT_CARBON);
  return carbon;
}

std::uint64_t CopiedMessages::HashOf(std::string_view id, std::string_view peer) {
  // 0 stands for an empty place.
  const std::uint64_t hash =
      absl::HashOf(absl::string_view(id.data(), id.size()), absl::string_view(peer.data(), peer.size()));
  return hash == 0 ? 1 : hash;
}

void CopiedMessages::Add(std::string_view id, std::string_view peer) {
  if (id.empty()) return;
  hashes_[next_] = HashOf(id, peer);
  next_ = (next_ + 1) % kMany;
}

bool CopiedMessages::Contains(std::string_view id, std::string_view peer) const {
  return !id.empty() && std::find(hashes_.begin(), hashes_.end(), HashOf(id, peer)) != hashes_.end();
}

}  // namespace rookery::session_manager
