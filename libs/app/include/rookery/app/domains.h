#pragma once

#include <string>
#include <vector>

#include "rookery/config/config.h"

namespace rookery::app {

/// Prepares the names in the setting `domains` (RFC 7622 section 3.2), so that they can be compared. One that
/// is no domain stays as it is and is a problem, and so is an empty list.
void PrepareDomains(std::vector<std::string>& domains, config::Problems& problems);

}  // namespace rookery::app
