#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace rookery::xmpp {

/// A prepared XMPP address (RFC 7622): domain always, localpart and resource perhaps.
/// Immutable; one string with two offsets. Equality is byte equality, since every
/// Jid has been prepared.
class Jid {
 public:
  Jid() = default;

  /// Prepares each part (PRECIS UsernameCaseMapped, OpaqueString; IDNA2008 domain,
  /// trailing dot dropped; 1023 bytes each). INVALID_ARGUMENT says which part.
  /// Plain ASCII in lower case, nearly all of them, takes a path without ICU.
  static absl::StatusOr<Jid> Parse(std::string_view text);
  /// From parts that are already prepared; `local` and `resource` may be empty.
  static Jid FromPrepared(std::string_view local, std::string_view domain, std::string_view resource);
  /// From text that came out of str() before (a record, the database). No check.
  static Jid FromTrusted(std::string_view text);

  std::string_view local() const;
  std::string_view domain() const;
  std::string_view resource() const;
  /// `local@domain`, or `domain`: a view into str().
  std::string_view bare() const;
  std::string_view str() const { return text_; }
  bool empty() const { return text_.empty(); }
  bool has_local() const { return local_size_ > 0; }
  bool has_resource() const { return bare_size_ < text_.size(); }

  friend bool operator==(const Jid& a, const Jid& b) { return a.text_ == b.text_; }
  friend auto operator<=>(const Jid& a, const Jid& b) { return a.text_ <=> b.text_; }

 private:
  std::string text_;
  std::uint32_t local_size_ = 0;  // 0: no localpart
  std::uint32_t bare_size_ = 0;   // bytes up to the slash, or all
};

/// The bare part of a prepared address in text, without allocation.
std::string_view BareOf(std::string_view prepared);
std::string_view ResourceOf(std::string_view prepared);
std::string_view DomainOf(std::string_view prepared);

/// Each part alone; INVALID_ARGUMENT when RFC 7622 forbids it.
absl::StatusOr<std::string> PrepareLocal(std::string_view text);
absl::StatusOr<std::string> PrepareDomain(std::string_view text);
absl::StatusOr<std::string> PrepareResource(std::string_view text);
/// PRECIS OpaqueString for passwords (RFC 8265 section 4.2), which SCRAM hashes.
absl::StatusOr<std::string> PreparePassword(std::string_view text);

}  // namespace rookery::xmpp

template <>
struct std::hash<rookery::xmpp::Jid> {
  std::size_t operator()(const rookery::xmpp::Jid& jid) const noexcept {
    return std::hash<std::string_view>{}(jid.str());
  }
};
