#pragma once

#include <string>
#include <vector>

#include "rookery/config/config.h"

namespace rookery::app {

/// Of the setting `domains`: prepares their names (RFC 7622 section 3.2), so that they can be compared. One
/// that is none stays as it is and is a problem, and so is that there is none.
void PrepareDomains(std::vector<std::string>& domains, config::Problems& problems);

}  // namespace rookery::app
