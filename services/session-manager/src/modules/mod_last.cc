#include "modules/account_access.h"
#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0012: uptime of the server; of an account, the time since its last session.
class LastModule final : public Module {
 public:
  explicit LastModule(Core& core) : core_(core) {}
  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kLast);
    hooks.AccountFeature(xmpp::ns::kLast);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kLast, "query",
               {Target::kServer, Target::kOwnAccount, Target::kOtherAccount}, Hooks::Effect::kNone,
               [this](IqRequest& request) { return Handle(request); });
  }

 private:
  static IqReply Answer(std::int64_t seconds, std::string_view status = {}) {
    xmpp::Element query("query", xmpp::ns::kLast);
    query.SetAttr("seconds", std::to_string(std::max<std::int64_t>(seconds, 0)));
    if (!status.empty()) query.SetText(status);
    return IqReply::Result(std::move(query));
  }
  Task<IqReply> Handle(IqRequest& request) {
    if (request.target == Target::kServer) {
      const auto uptime = core_.clock().Now() - core_.started_at();
      co_return Answer(std::chrono::duration_cast<std::chrono::seconds>(uptime).count());
    }
    auto may_see = co_await MaySee(core_, request);
    if (!may_see.ok()) co_return IqReply::FromStatus(may_see.status());
    if (!*may_see) co_return IqReply::Error(xmpp::ErrorCondition::kForbidden);
    const User* user = core_.FindUser(*request.shard, request.account);
    if (user != nullptr && user->HasAvailable()) co_return Answer(0);
    auto last = co_await core_.ports().accounts.GetLastActivity(request.account);
    if (!last.ok()) co_return IqReply::FromStatus(last.status());
    if (!last->has_value()) co_return IqReply::Error(xmpp::ErrorCondition::kItemNotFound);
    co_return Answer((core_.clock().UnixMillisNow() - (*last)->unix_millis) / 1000, (*last)->status);
  }
  Core& core_;
};

}  // namespace

std::unique_ptr<Module> MakeLastModule(Core& core) { return std::make_unique<LastModule>(core); }

}  // namespace rookery::session_manager
