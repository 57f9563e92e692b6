#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// RFC 3921 section 3: a session exists from binding on; old clients ask all the same.
class LegacySessionModule final : public Module {
 public:
  void Register(Hooks& hooks) override {
    hooks.OnIq(Hooks::Kind::kSet, xmpp::ns::kSession, "session", {Target::kOwnAccount, Target::kServer},
               Hooks::Effect::kNone, [](IqRequest&) -> Task<IqReply> { co_return IqReply::Result(); });
  }
};

}  // namespace

std::unique_ptr<Module> MakeLegacySessionModule() { return std::make_unique<LegacySessionModule>(); }

}  // namespace rookery::session_manager
