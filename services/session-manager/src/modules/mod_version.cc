#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0092. The operating system stays hidden.
class VersionModule final : public Module {
 public:
  explicit VersionModule(Core& core) : core_(core) {}
  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kVersion);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kVersion, "query", {Target::kServer}, Hooks::Effect::kNone,
               [this](IqRequest& request) { return Handle(request); });
  }

 private:
  Task<IqReply> Handle(IqRequest&) {
    xmpp::Element query("query", xmpp::ns::kVersion);
    query.Add("name").SetText("Rookery");
    query.Add("version").SetText(core_.settings().version);
    co_return IqReply::Result(std::move(query));
  }
  Core& core_;
};

}  // namespace

std::unique_ptr<Module> MakeVersionModule(Core& core) { return std::make_unique<VersionModule>(core); }

}  // namespace rookery::session_manager
