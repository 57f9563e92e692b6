#include "domain/scram_message.h"

#include "domain/base64.h"

namespace rookery::gateway {
namespace {

/// Cuts the text up to the next comma off `rest`. False at the end of the text.
bool TakeField(std::string_view& rest, std::string_view& field) {
  if (rest.data() == nullptr) return false;
  const auto comma = rest.find(',');
  field = rest.substr(0, comma);
  rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  return true;
}

/// saslname: comma and equals sign are written =2C and =3D, and no other way.
std::optional<std::string> DecodeSaslName(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      name.push_back(text[i]);
    } else if (text.substr(i, 3) == "=2C") {
      name.push_back(',');
      i += 2;
    } else if (text.substr(i, 3) == "=3D") {
      name.push_back('=');
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return name;
}

/// printable: %x21-2B / %x2D-7E.
bool IsNonce(std::string_view text) {
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e || c == ',') return false;
  }
  return !text.empty();
}

bool IsBindingName(std::string_view text) {
  for (const char c : text) {
    const bool ok =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!ok) return false;
  }
  return !text.empty();
}

}  // namespace

std::optional<ScramClientFirst> ParseScramClientFirst(std::string_view message) {
  if (message.find('\0') != std::string_view::npos) return std::nullopt;
  ScramClientFirst first;
  std::string_view rest = message;
  std::string_view field;
  if (!TakeField(rest, field) || field.empty()) return std::nullopt;
  first.flag = field[0];
  if (first.flag == 'p') {
    if (!field.starts_with("p=") || !IsBindingName(field.substr(2))) return std::nullopt;
    first.binding = field.substr(2);
  } else if (field != "n" && field != "y") {
    return std::nullopt;
  }
  if (!TakeField(rest, field)) return std::nullopt;
  if (!field.empty()) {
    if (!field.starts_with("a=")) return std::nullopt;
    auto name = DecodeSaslName(field.substr(2));
    if (!name) return std::nullopt;
    first.authzid = std::move(*name);
  }
  if (rest.data() == nullptr) return std::nullopt;
  first.bare = rest;
  first.gs2_header = message.substr(0, message.size() - rest.size());

  if (!TakeField(rest, field) || !field.starts_with("n=")) return std::nullopt;
  auto name = DecodeSaslName(field.substr(2));
  if (!name) return std::nullopt;
  first.user = std::move(*name);
  if (!TakeField(rest, field) || !field.starts_with("r=") || !IsNonce(field.substr(2))) return std::nullopt;
  first.nonce = field.substr(2);
  return first;
}

std::optional<ScramClientFinal> ParseScramClientFinal(std::string_view message) {
  if (message.find('\0') != std::string_view::npos) return std::nullopt;
  ScramClientFinal final;
  std::string_view rest = message;
  std::string_view field;
  if (!TakeField(rest, field) || !field.starts_with("c=")) return std::nullopt;
  auto binding = DecodeBase64(field.substr(2));
  if (!binding) return std::nullopt;
  final.channel_binding = std::move(*binding);
  if (!TakeField(rest, field) || !field.starts_with("r=") || !IsNonce(field.substr(2))) return std::nullopt;
  final.nonce = field.substr(2);
  // The proof is the last attribute; extensions may stand before it.
  const auto comma = message.rfind(',');
  const std::string_view last = message.substr(comma + 1);
  if (!last.starts_with("p=")) return std::nullopt;
  auto proof = DecodeBase64(last.substr(2));
  if (!proof) return std::nullopt;
  final.proof = std::move(*proof);
  final.without_proof = message.substr(0, comma);
  return final;
}

}  // namespace rookery::gateway
