#include "rookery/xmpp/jid.h"

#include <arpa/inet.h>
#include <idn2.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "precis.h"
#include "rookery/base/status.h"

namespace rookery::xmpp {
namespace {

constexpr std::size_t kMaxPartBytes = 1023;
// A full-width letter of three bytes becomes one of one byte, so a longer text may
// still fit once it is prepared; nothing shrinks to less than a quarter.
constexpr std::size_t kMaxRawBytes = 4 * kMaxPartBytes;
constexpr std::size_t kMaxLabelBytes = 63;
// A name of the DNS has no more (RFC 1035 section 2.3.4). Names in ASCII may be longer
// here, as RFC 7622 says; others go through libidn2 label by label.
constexpr int kMaxInternationalLabels = 127;

enum CharClass : unsigned char {
  kLocalChar = 1,     // may stand in a prepared localpart
  kDomainChar = 2,    // lower-case letter, digit, hyphen
  kResourceChar = 4,  // printable ASCII
};

constexpr std::array<unsigned char, 256> kAscii = [] {
  std::array<unsigned char, 256> table{};
  for (int c = 0x20; c < 0x7F; ++c) {
    table[c] = kResourceChar;
    // RFC 7622 section 3.3.1; space is not of the IdentifierClass.
    if (c != ' ' && std::string_view("\"&'/:<>@").find(static_cast<char>(c)) == std::string_view::npos &&
        !(c >= 'A' && c <= 'Z')) {
      table[c] |= kLocalChar;
    }
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') table[c] |= kDomainChar;
  }
  return table;
}();

bool All(std::string_view text, CharClass char_class) {
  unsigned char all = char_class;
  for (char c : text) all &= kAscii[static_cast<unsigned char>(c)];
  return all != 0;
}

bool IsAscii(std::string_view text) {
  unsigned char any = 0;
  for (char c : text) any |= static_cast<unsigned char>(c);
  return any < 0x80;
}

char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// RFC 5890 section 2.3.1: an LDH label that is not reserved. In lower case.
bool IsPlainLabel(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabelBytes && All(label, kDomainChar) &&
         label.front() != '-' && label.back() != '-' &&
         !(label.size() >= 4 && label[2] == '-' && label[3] == '-');
}

bool IsPlainDomain(std::string_view domain) {
  if (domain.empty() || domain.size() > kMaxPartBytes) return false;
  while (true) {
    const std::size_t dot = domain.find('.');
    if (!IsPlainLabel(domain.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    domain.remove_prefix(dot + 1);
  }
}

absl::Status Bad(const char* part, std::string_view why) {
  return absl::InvalidArgumentError(std::string(part) + ": " + std::string(why));
}

absl::Status Bad(const char* part, const absl::Status& why) {
  return absl::Status(why.code(), std::string(part) + ": " + std::string(why.message()));
}

// RFC 8265 section 3.3.2, the rules applied once.
absl::Status ApplyUsernameCaseMapped(std::u32string& text) {
  precis::MapWidth(text);
  ROOKERY_RETURN_IF_ERROR(precis::CheckClass(text, precis::StringClass::kIdentifier));
  precis::MapLowerCase(text);
  ROOKERY_RETURN_IF_ERROR(precis::NormalizeNfc(text));
  if (precis::HasRightToLeft(text) && !precis::SatisfiesBidiRule(text)) {
    return absl::InvalidArgumentError("breaks the Bidi Rule");
  }
  return precis::CheckClass(text, precis::StringClass::kIdentifier);
}

// RFC 8265 section 4.2.2, the rules applied once.
absl::Status ApplyOpaqueString(std::u32string& text) {
  precis::MapSpaces(text);
  ROOKERY_RETURN_IF_ERROR(precis::NormalizeNfc(text));
  return precis::CheckClass(text, precis::StringClass::kFreeForm);
}

// RFC 8264 section 7: the rules are applied until the result is stable, at most
// three more times.
absl::StatusOr<std::string> Enforce(const char* part, std::string_view raw,
                                    absl::Status (*apply)(std::u32string&)) {
  if (raw.empty()) return Bad(part, "empty");
  if (raw.size() > kMaxRawBytes) return Bad(part, "too long");
  std::u32string text;
  if (!precis::Decode(raw, text)) return Bad(part, "not UTF-8");
  bool stable = false;
  for (int round = 0; round < 4 && !stable; ++round) {
    std::u32string before = text;
    if (absl::Status status = apply(text); !status.ok()) return Bad(part, status);
    stable = before == text;
  }
  if (!stable) return Bad(part, "has no stable form");
  std::string prepared;
  precis::Encode(text, prepared);
  if (prepared.empty()) return Bad(part, "empty");
  if (prepared.size() > kMaxPartBytes) return Bad(part, "too long");
  return prepared;
}

struct Idn2Free {
  void operator()(char* text) const { idn2_free(text); }
};
using Idn2String = std::unique_ptr<char, Idn2Free>;

bool IsALabel(std::string_view label) { return label.size() >= 4 && label.substr(0, 4) == "xn--"; }

// A U-label, checked as for registration (RFC 5891 section 4), to its A-label.
absl::StatusOr<std::string> ToALabel(const std::string& label) {
  std::uint8_t* out = nullptr;
  const int rc = idn2_register_u8(reinterpret_cast<const std::uint8_t*>(label.c_str()), nullptr, &out, 0);
  Idn2String holder(reinterpret_cast<char*>(out));
  if (rc != IDN2_OK) return Bad("domainpart", idn2_strerror_name(rc));
  return std::string(holder.get());
}

// The mappings of RFC 5895 section 2, which RFC 7622 section 3.2.2 allows.
absl::Status MapDomain(std::u32string& text) {
  for (char32_t& c : text) {
    if (c == 0x3002 || c == 0xFF0E || c == 0xFF61) c = U'.';
  }
  precis::MapWidth(text);
  precis::MapLabelCase(text);
  if (absl::Status status = precis::NormalizeNfc(text); !status.ok()) return Bad("domainpart", status);
  return absl::OkStatus();
}

// Whether a label is what it would be mapped to.
bool IsMapped(const std::string& label) {
  std::u32string text;
  if (!precis::Decode(label, text)) return false;
  std::u32string mapped = text;
  return MapDomain(mapped).ok() && mapped == text;
}

// One label, mapped already, to the form that is kept: LDH or U-label.
absl::StatusOr<std::string> PrepareLabel(std::string label) {
  if (IsPlainLabel(label)) return label;
  std::string a_label;
  if (IsALabel(label)) {
    if (label.size() > kMaxLabelBytes || !All(label, kDomainChar))
      return Bad("domainpart", "malformed A-label");
    a_label = std::move(label);
    char* out = nullptr;
    const int rc = idn2_to_unicode_8z8z(a_label.c_str(), &out, 0);
    Idn2String holder(out);
    if (rc != IDN2_OK) return Bad("domainpart", idn2_strerror_name(rc));
    label = holder.get();
  }
  if (label.empty() || IsAscii(label)) return Bad("domainpart", "malformed label");
  ROOKERY_ASSIGN_OR_RETURN(std::string encoded, ToALabel(label));
  if (!a_label.empty() && (encoded != a_label || !IsMapped(label)))
    return Bad("domainpart", "not the A-label of its U-label");
  return label;
}

absl::StatusOr<std::string> PrepareInternationalDomain(std::string_view raw) {
  std::u32string text;
  if (!precis::Decode(raw, text)) return Bad("domainpart", "not UTF-8");
  ROOKERY_RETURN_IF_ERROR(MapDomain(text));
  if (!text.empty() && text.back() == U'.') text.pop_back();

  std::string prepared;
  std::string label;
  std::size_t begin = 0;
  for (int labels = 1;; ++labels) {
    if (labels > kMaxInternationalLabels) return Bad("domainpart", "too many labels");
    const std::size_t dot = text.find(U'.', begin);
    const std::size_t end = dot == std::u32string::npos ? text.size() : dot;
    // Its A-label is longer still.
    if (end - begin > kMaxLabelBytes) return Bad("domainpart", "label too long");
    precis::Encode(std::u32string_view(text).substr(begin, end - begin), label);
    if (label.find('\0') != std::string::npos) return Bad("domainpart", "malformed label");
    ROOKERY_ASSIGN_OR_RETURN(label, PrepareLabel(std::move(label)));
    prepared += label;
    if (dot == std::u32string::npos) break;
    prepared += '.';
    begin = dot + 1;
  }
  if (prepared.size() > kMaxPartBytes) return Bad("domainpart", "too long");

  // RFC 5893 section 2: in a name with a right-to-left label every label obeys.
  if (!precis::Decode(prepared, text)) return Bad("domainpart", "not UTF-8");
  if (precis::HasRightToLeft(text)) {
    for (begin = 0; begin <= text.size();) {
      const std::size_t dot = std::min(text.find(U'.', begin), text.size());
      if (!precis::SatisfiesBidiRule(std::u32string_view(text).substr(begin, dot - begin))) {
        return Bad("domainpart", "breaks the Bidi Rule");
      }
      begin = dot + 1;
    }
  }
  return prepared;
}

absl::StatusOr<std::string> PrepareIpv6(std::string_view raw) {
  if (raw.size() < 4 || raw.size() > INET6_ADDRSTRLEN + 2 || raw.back() != ']') {
    return Bad("domainpart", "malformed IPv6 literal");
  }
  in6_addr address;
  const std::string text(raw.substr(1, raw.size() - 2));
  if (text.find('\0') != std::string::npos || inet_pton(AF_INET6, text.c_str(), &address) != 1) {
    return Bad("domainpart", "malformed IPv6 literal");
  }
  char canonical[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address, canonical, sizeof canonical);
  return "[" + std::string(canonical) + "]";
}

}  // namespace

absl::StatusOr<std::string> PrepareLocal(std::string_view text) {
  if (text.empty()) return Bad("localpart", "empty");
  if (text.size() <= kMaxPartBytes && All(text, kLocalChar)) return std::string(text);
  std::string prepared;
  if (IsAscii(text) && text.size() <= kMaxPartBytes) {
    prepared.reserve(text.size());
    for (char c : text) prepared.push_back(AsciiLower(c));
  } else {
    ROOKERY_ASSIGN_OR_RETURN(prepared, Enforce("localpart", text, ApplyUsernameCaseMapped));
  }
  for (char c : prepared) {
    if (static_cast<unsigned char>(c) < 0x80 && !(kAscii[static_cast<unsigned char>(c)] & kLocalChar)) {
      return Bad("localpart", "has a character that RFC 7622 section 3.3.1 excludes");
    }
  }
  return prepared;
}

absl::StatusOr<std::string> PrepareDomain(std::string_view text) {
  if (IsPlainDomain(text)) return std::string(text);
  if (text.empty()) return Bad("domainpart", "empty");
  if (text.size() > kMaxRawBytes) return Bad("domainpart", "too long");
  if (text.front() == '[') return PrepareIpv6(text);
  if (IsAscii(text)) {
    std::string lower;
    lower.reserve(text.size());
    for (char c : text) lower.push_back(AsciiLower(c));
    if (lower.back() == '.') lower.pop_back();
    if (IsPlainDomain(lower)) return lower;
  }
  return PrepareInternationalDomain(text);
}

absl::StatusOr<std::string> PrepareResource(std::string_view text) {
  if (!text.empty() && text.size() <= kMaxPartBytes && All(text, kResourceChar)) return std::string(text);
  return Enforce("resourcepart", text, ApplyOpaqueString);
}

absl::StatusOr<std::string> PreparePassword(std::string_view text) {
  if (!text.empty() && text.size() <= kMaxPartBytes && All(text, kResourceChar)) return std::string(text);
  return Enforce("password", text, ApplyOpaqueString);
}

absl::StatusOr<Jid> Jid::Parse(std::string_view text) {
  // RFC 7622 section 3.1: the first slash ends the bare part, the first at sign in
  // what is left ends the localpart.
  const std::size_t slash = text.find('/');
  const std::string_view bare = text.substr(0, slash);
  const std::size_t at = bare.find('@');
  const bool has_local = at != std::string_view::npos;
  const bool has_resource = slash != std::string_view::npos;
  const std::string_view raw_local = has_local ? bare.substr(0, at) : std::string_view();
  const std::string_view raw_domain = has_local ? bare.substr(at + 1) : bare;
  const std::string_view raw_resource = has_resource ? text.substr(slash + 1) : std::string_view();

  if ((!has_local ||
       (!raw_local.empty() && raw_local.size() <= kMaxPartBytes && All(raw_local, kLocalChar))) &&
      IsPlainDomain(raw_domain) &&
      (!has_resource ||
       (!raw_resource.empty() && raw_resource.size() <= kMaxPartBytes && All(raw_resource, kResourceChar)))) {
    Jid jid;
    jid.text_.assign(text);
    jid.local_size_ = static_cast<std::uint32_t>(raw_local.size());
    jid.bare_size_ = static_cast<std::uint32_t>(bare.size());
    return jid;
  }

  std::string local;
  std::string resource;
  if (has_local) {
    ROOKERY_ASSIGN_OR_RETURN(local, PrepareLocal(raw_local));
  }
  ROOKERY_ASSIGN_OR_RETURN(const std::string domain, PrepareDomain(raw_domain));
  if (has_resource) {
    ROOKERY_ASSIGN_OR_RETURN(resource, PrepareResource(raw_resource));
  }
  return FromPrepared(local, domain, resource);
}

Jid Jid::FromPrepared(std::string_view local, std::string_view domain, std::string_view resource) {
  Jid jid;
  jid.text_.reserve(local.size() + domain.size() + resource.size() + 2);
  if (!local.empty()) jid.text_.append(local).push_back('@');
  jid.text_.append(domain);
  jid.local_size_ = static_cast<std::uint32_t>(local.size());
  jid.bare_size_ = static_cast<std::uint32_t>(jid.text_.size());
  if (!resource.empty()) {
    jid.text_.push_back('/');
    jid.text_.append(resource);
  }
  return jid;
}

Jid Jid::FromTrusted(std::string_view text) {
  Jid jid;
  jid.text_.assign(text);
  const std::string_view bare = BareOf(text);
  const std::size_t at = bare.find('@');
  jid.bare_size_ = static_cast<std::uint32_t>(bare.size());
  jid.local_size_ = at == std::string_view::npos ? 0 : static_cast<std::uint32_t>(at);
  return jid;
}

std::string_view Jid::local() const { return str().substr(0, local_size_); }

std::string_view Jid::domain() const {
  const std::size_t begin = local_size_ == 0 ? 0 : local_size_ + 1;
  return str().substr(begin, bare_size_ - begin);
}

std::string_view Jid::resource() const {
  return has_resource() ? str().substr(bare_size_ + 1) : std::string_view();
}

std::string_view Jid::bare() const { return str().substr(0, bare_size_); }

std::string_view BareOf(std::string_view prepared) { return prepared.substr(0, prepared.find('/')); }

std::string_view ResourceOf(std::string_view prepared) {
  const std::size_t slash = prepared.find('/');
  return slash == std::string_view::npos ? std::string_view() : prepared.substr(slash + 1);
}

std::string_view DomainOf(std::string_view prepared) {
  const std::string_view bare = BareOf(prepared);
  const std::size_t at = bare.find('@');
  return at == std::string_view::npos ? bare : bare.substr(at + 1);
}

}  // namespace rookery::xmpp
