#pragma once

#include <string_view>

#include "rookery/xmpp/element.h"

namespace rookery::xmpp {

/// Adds to the <query/> of an answer to disco#info (XEP-0030 section 3.1). `name`, for people, may be empty.
void AddIdentity(Element& query, std::string_view category, std::string_view type,
                 std::string_view name = {});
void AddFeature(Element& query, std::string_view var);

}  // namespace rookery::xmpp
