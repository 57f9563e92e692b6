#include "domain/settings.h"
#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0092. The operating system stays hidden.
class VersionModule final : public Module {
 public:
  explicit VersionModule(const Settings& settings) : settings_(settings) {}
  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kVersion);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kVersion, "query", {Target::kServer}, Hooks::Effect::kNone,
               [this](IqRequest& request) { return Handle(request); });
  }

 private:
  Task<IqReply> Handle(IqRequest&) {
    xmpp::Element query("query", xmpp::ns::kVersion);
    query.Add("name").SetText("Rookery");
    query.Add("version").SetText(settings_.version);
    co_return IqReply::Result(std::move(query));
  }
  const Settings& settings_;
};

}  // namespace

std::unique_ptr<Module> MakeVersionModule(const Settings& settings) {
  return std::make_unique<VersionModule>(settings);
}

}  // namespace rookery::session_manager
