#include "rookery/xmpp/disco.h"

namespace rookery::xmpp {

void AddIdentity(Element& query, std::string_view category, std::string_view type, std::string_view name) {
  Element& identity = query.Add("identity").SetAttr("category", category).SetAttr("type", type);
  if (!name.empty()) identity.SetAttr("name", name);
}

void AddFeature(Element& query, std::string_view var) { query.Add("feature").SetAttr("var", var); }

}  // namespace rookery::xmpp
