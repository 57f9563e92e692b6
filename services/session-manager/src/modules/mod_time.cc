#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0202. Servers of a cluster have one time zone: UTC.
class TimeModule final : public Module {
 public:
  explicit TimeModule(const Clock& clock) : clock_(clock) {}
  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kTime);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kTime, "time", {Target::kServer}, Hooks::Effect::kNone,
               [this](IqRequest& request) { return Handle(request); });
  }

 private:
  Task<IqReply> Handle(IqRequest&) {
    xmpp::Element time("time", xmpp::ns::kTime);
    time.Add("tzo").SetText("+00:00");
    time.Add("utc").SetText(xmpp::FormatDateTime(clock_.UnixMillisNow()));
    co_return IqReply::Result(std::move(time));
  }
  const Clock& clock_;
};

}  // namespace

std::unique_ptr<Module> MakeTimeModule(const Clock& clock) { return std::make_unique<TimeModule>(clock); }

}  // namespace rookery::session_manager
