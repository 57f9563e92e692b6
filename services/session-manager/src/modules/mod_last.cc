#include "domain/presence/last_activities.h"
#include "domain/state/shard.h"
#include "modules/account_access.h"
#include "modules/modules.h"
#include "ports/roster.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0012: uptime of the server; of an account, the time since its last session.
class LastModule final : public Module {
 public:
  LastModule(const Clock& clock, LastActivities& last_activities, Roster& roster)
      : clock_(clock), last_activities_(last_activities), roster_(roster), started_at_(clock.Now()) {}
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
      const auto uptime = clock_.Now() - started_at_;
      co_return Answer(std::chrono::duration_cast<std::chrono::seconds>(uptime).count());
    }
    auto may_see = co_await MaySee(roster_, request);
    if (!may_see.ok()) co_return IqReply::FromStatus(may_see.status());
    if (!*may_see) co_return IqReply::Error(xmpp::ErrorCondition::kForbidden);
    const User* user = request.shard->FindUser(request.account);
    if (user != nullptr && user->HasAvailable()) co_return Answer(0);
    auto last = co_await last_activities_.Get(request.account);
    if (!last.ok()) co_return IqReply::FromStatus(last.status());
    if (!last->has_value()) co_return IqReply::Error(xmpp::ErrorCondition::kItemNotFound);
    co_return Answer((clock_.UnixMillisNow() - (*last)->unix_millis) / 1000, (*last)->status);
  }
  const Clock& clock_;
  LastActivities& last_activities_;
  Roster& roster_;
  const SteadyTime started_at_;
};

}  // namespace

std::unique_ptr<Module> MakeLastModule(const Clock& clock, LastActivities& last_activities, Roster& roster) {
  return std::make_unique<LastModule>(clock, last_activities, roster);
}

}  // namespace rookery::session_manager
