#include "modules/account_access.h"
#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0199.
class PingModule final : public Module {
 public:
  explicit PingModule(Core& core) : core_(core) {}
  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kPing);
    hooks.AccountFeature(xmpp::ns::kPing);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kPing, "ping",
               {Target::kServer, Target::kOwnAccount, Target::kOtherAccount}, Hooks::Effect::kNone,
               [this](IqRequest& request) { return Handle(request); });
  }

 private:
  Task<IqReply> Handle(IqRequest& request) {
    if (request.target == Target::kOtherAccount) {
      // Section 6: to those who may not see the user, an account is as good as none.
      auto may_see = co_await MaySee(core_, request);
      if (!may_see.ok()) co_return IqReply::FromStatus(may_see.status());
      if (!*may_see) co_return IqReply::Error(xmpp::ErrorCondition::kServiceUnavailable);
    }
    co_return IqReply::Result();
  }
  Core& core_;
};

}  // namespace

std::unique_ptr<Module> MakePingModule(Core& core) { return std::make_unique<PingModule>(core); }

}  // namespace rookery::session_manager
