#include "modules/account_access.h"
#include "modules/modules.h"
#include "ports/roster.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0199.
class PingModule final : public Module {
 public:
  explicit PingModule(Roster& roster) : roster_(roster) {}
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
      auto may_see = co_await MaySee(roster_, request);
      if (!may_see.ok()) co_return IqReply::FromStatus(may_see.status());
      if (!*may_see) co_return IqReply::Error(xmpp::ErrorCondition::kServiceUnavailable);
    }
    co_return IqReply::Result();
  }
  Roster& roster_;
};

}  // namespace

std::unique_ptr<Module> MakePingModule(Roster& roster) { return std::make_unique<PingModule>(roster); }

}  // namespace rookery::session_manager
