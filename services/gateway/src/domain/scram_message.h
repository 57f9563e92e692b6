#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rookery::gateway {

/// RFC 5802 section 7, client-first-message.
struct ScramClientFirst {
  /// 'n': no channel binding; 'y': the client could, but saw no -PLUS; 'p': it binds.
  char flag = 'n';
  std::string binding;  // with 'p': the channel binding's name
  std::string authzid;  // decoded; empty when absent
  std::string user;     // decoded
  std::string nonce;
  std::string_view gs2_header;  // "n,," and so on, a view into the message
  std::string_view bare;        // what follows it
};

/// nullopt: it does not follow the grammar. Mandatory extensions (m=) are refused, as
/// the RFC demands of who knows none.
std::optional<ScramClientFirst> ParseScramClientFirst(std::string_view message);

/// client-final-message.
struct ScramClientFinal {
  std::string channel_binding;  // c=, decoded from base64
  std::string nonce;
  std::string proof;               // decoded
  std::string_view without_proof;  // a view into the message
};
std::optional<ScramClientFinal> ParseScramClientFinal(std::string_view message);

}  // namespace rookery::gateway
