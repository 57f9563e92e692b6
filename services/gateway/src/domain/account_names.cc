#include "domain/account_names.h"

#include "rookery/xmpp/confusables.h"

namespace rookery::gateway {

AccountNames::AccountNames(const std::vector<std::string>& reserved, bool may_mix_scripts)
    : may_mix_scripts_(may_mix_scripts) {
  for (const std::string& name : reserved) reserved_.insert(xmpp::SkeletonOf(name));
}

bool AccountNames::Allows(std::string_view local) const {
  if (!reserved_.empty() && reserved_.contains(xmpp::SkeletonOf(local))) return false;
  return may_mix_scripts_ || xmpp::IsOfScriptsWrittenTogether(local);
}

}  // namespace rookery::gateway
