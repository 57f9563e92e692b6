#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// XEP-0280 sections 7 and 8: `received` or `sent` wrapper around the message.
xmpp::Stanza MakeCarbon(std::string_view direction, const xmpp::Stanza& message, std::string_view bare);

/// The messages of an account that were copied last, received and sent: an error that
/// answers one of them is copied too (XEP-0280 section 6.1).
class CopiedMessages {
 public:
  static constexpr std::size_t kMany = 64;

  /// `peer`: the other side's bare JID.
  void Add(std::string_view id, std::string_view peer);
  bool Contains(std::string_view id, std::string_view peer) const;

 private:
  static std::uint64_t HashOf(std::string_view id, std::string_view peer);

  std::array<std::uint64_t, kMany> hashes_{};
  std::size_t next_ = 0;
};

}  // namespace rookery::session_manager
