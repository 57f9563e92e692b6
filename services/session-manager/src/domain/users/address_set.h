#pragma once

#include <cstddef>
#include <string_view>

#include "absl/container/flat_hash_set.h"

namespace rookery::session_manager {

/// Addresses that stand for others, as those of a block list do (XEP-0191 section 5): a full JID for that
/// resource, a bare JID for all of its resources, a domain with a resource for that only, a domain for itself
/// and every address of it.
///
/// Users choose both how long the list is and how many addresses it is asked about. So it is not walked: an
/// address is looked up in each form by which a list may name it, and the hash is salted.
class AddressSet {
 public:
  AddressSet() = default;
  /// Prepared addresses, which must outlive this and stay where they are.
  template <typename Addresses>
  explicit AddressSet(const Addresses& addresses) : addresses_(addresses.begin(), addresses.end()) {}

  /// Whether a prepared address is one that these stand for.
  bool Matches(std::string_view address) const;
  bool empty() const { return addresses_.empty(); }
  /// In memory, without the addresses.
  std::size_t bytes() const { return addresses_.capacity() * (sizeof(std::string_view) + 1); }

 private:
  absl::flat_hash_set<std::string_view> addresses_;
};

}  // namespace rookery::session_manager
