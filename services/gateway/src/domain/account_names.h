#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace rookery::gateway {

/// Which names strangers may register: none that people take for the operator's or for somebody
/// else's. What looks like a reserved name is reserved, and names of letters that are not written together
/// are refused. Immutable.
class AccountNames {
 public:
  AccountNames(const std::vector<std::string>& reserved, bool may_mix_scripts);

  /// `local`: prepared (RFC 7622 section 3.3).
  bool Allows(std::string_view local) const;

 private:
  std::unordered_set<std::string> reserved_;  // their skeletons
  const bool may_mix_scripts_;
};

}  // namespace rookery::gateway
