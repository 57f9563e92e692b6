#include "rookery/app/domains.h"

#include <utility>

#include "rookery/xmpp/jid.h"

namespace rookery::app {

void PrepareDomains(std::vector<std::string>& domains, config::Problems& problems) {
  if (domains.empty()) problems.Add("domains", "must name at least one");
  for (std::string& domain : domains) {
    auto prepared = xmpp::PrepareDomain(domain);
    if (prepared.ok()) {
      domain = *std::move(prepared);
    } else {
      problems.Add("domains", "has `" + domain + "`, which is not a domain name");
    }
  }
}

}  // namespace rookery::app
