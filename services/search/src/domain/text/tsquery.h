#pragma once

#include <string>

#include "domain/text/text_search.h"

namespace rookery::search {

/// The search as the literal of a tsquery, for texts that TsvectorOf has indexed. It goes to PostgreSQL as a
/// parameter. Thread-safe.
std::string TsqueryOf(const TextSearch& search);

}  // namespace rookery::search
