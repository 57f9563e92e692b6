#include "app.h"

namespace rookery::search {

namespace {

// No features yet, so what every entity has (XEP-0030 section 3.1).
disco::v1::GetDiscoInfoResponse Info() {
  disco::v1::GetDiscoInfoResponse info;
  disco::v1::DiscoIdentity& identity = *info.add_identities();
  identity.set_category("directory");
  identity.set_type("user");
  identity.set_name("Search");
  info.add_features("http://jabber.org/protocol/disco#info");
  return info;
}

}  // namespace

App::App(app::Process& process, const Config& config)
    : member_(process, config,
              {.service = std::string(kDescription.name),
               .topic = events::Topic::kMessages,
               .shards = &shards_,
               .info = Info()}) {}

Task<absl::Status> App::Start() { return member_.Start(); }
Task<void> App::Stop() { return member_.Stop(); }
std::string App::NotReadyReason() const { return member_.NotReadyReason(); }

}  // namespace rookery::search
