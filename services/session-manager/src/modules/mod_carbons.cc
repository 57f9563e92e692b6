#include "domain/outbound/outbox.h"
#include "domain/state/session.h"
#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0280 section 3 and 4: a resource turns copies on and off. What is copied is in
/// domain/delivery/message_routing.cc.
class CarbonsModule final : public Module {
 public:
  explicit CarbonsModule(Outbox& outbox) : outbox_(outbox) {}
  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kCarbons);
    hooks.ServerFeature(xmpp::ns::kCarbonsRules);
    for (const std::string_view name : {"enable", "disable"}) {
      hooks.OnIq(Hooks::Kind::kSet, xmpp::ns::kCarbons, name, {Target::kOwnAccount, Target::kServer},
                 Hooks::Effect::kNone, [this](IqRequest& request) { return Handle(request); });
    }
  }

 private:
  Task<IqReply> Handle(IqRequest& request) {
    // Only a session of ours can have asked: copies belong to a resource.
    if (!request.session) co_return IqReply::Error(xmpp::ErrorCondition::kNotAllowed);
    const bool is_enabled = request.payload.name() == "enable";
    if (request.session->state.carbons() != is_enabled) {
      request.session->state.set_carbons(is_enabled);
      outbox_.Publish(*request.session);
    }
    co_return IqReply::Result();
  }
  Outbox& outbox_;
};

}  // namespace

std::unique_ptr<Module> MakeCarbonsModule(Outbox& outbox) { return std::make_unique<CarbonsModule>(outbox); }

}  // namespace rookery::session_manager
