#include <algorithm>

#include "domain/accounts/account_changes.h"
#include "domain/settings.h"
#include "domain/state/session.h"
#include "modules/modules.h"
#include "rookery/base/status.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// XEP-0077 for who is signed in: the form, change of password, removal of the account.
/// Registration before sign-in is the gateway's, over the link's `create`.
class RegisterModule final : public Module {
 public:
  RegisterModule(const Settings& settings, AccountChanges& changes)
      : settings_(settings), changes_(changes) {}
  void Register(Hooks& hooks) override {
    if (settings_.registration) hooks.ServerFeature(xmpp::ns::kRegister);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kRegister, "query", {Target::kServer, Target::kOwnAccount},
               EffectOfGet, [this](IqRequest& request) { return Get(request); });
    hooks.OnIq(Hooks::Kind::kSet, xmpp::ns::kRegister, "query", {Target::kServer, Target::kOwnAccount},
               EffectOfSet, [this](IqRequest& request) { return Set(request); });
  }

 private:
  static bool IsRemoval(const xmpp::Element& query) {
    return query.Find("remove", xmpp::ns::kRegister) != nullptr;
  }
  /// Section 3.2: nothing stands beside <remove/>. That goes through the log, and a password never may.
  static bool IsAlone(const xmpp::Element& query) {
    return std::all_of(query.children().begin(), query.children().end(), [](const xmpp::Element& child) {
      return child.name().empty() || child.Is("remove", xmpp::ns::kRegister);
    });
  }
  /// The form is asked for with nothing; a client that fills it in all the same may have put a password
  /// there.
  static Hooks::Effect EffectOfGet(const xmpp::Stanza& iq) {
    const auto payload = xmpp::ParsePayload(iq.payload());
    const bool is_empty = payload.ok() && payload->size() == 1 && payload->front().children().empty();
    return is_empty ? Hooks::Effect::kNone : Hooks::Effect::kSecret;
  }
  static Hooks::Effect EffectOfSet(const xmpp::Stanza& iq) {
    const auto payload = xmpp::ParsePayload(iq.payload());
    const bool is_removal =
        payload.ok() && payload->size() == 1 && IsRemoval(payload->front()) && IsAlone(payload->front());
    return is_removal ? Hooks::Effect::kChanges : Hooks::Effect::kSecret;
  }

  Task<IqReply> Get(IqRequest& request) {
    if (!request.session) co_return IqReply::Error(xmpp::ErrorCondition::kForbidden);
    xmpp::Element query("query", xmpp::ns::kRegister);
    query.Add("registered");
    query.Add("username").SetText(request.session->jid.local());
    query.Add("password");
    co_return IqReply::Result(std::move(query));
  }

  Task<IqReply> Set(IqRequest& request) {
    using xmpp::ErrorCondition;
    const std::string bare(xmpp::BareOf(request.iq.from()));
    if (!request.iq.to().empty() && request.target == Target::kServer &&
        request.iq.to() != xmpp::DomainOf(bare))
      co_return IqReply::Error(ErrorCondition::kNotAllowed);
    if (IsRemoval(request.payload)) {
      if (!IsAlone(request.payload)) co_return IqReply::Error(ErrorCondition::kBadRequest);
      if (!settings_.registration) co_return IqReply::Error(ErrorCondition::kNotAllowed);
      // Section 3.2: what ends the sessions comes into the log now, and so after this answer has left.
      const absl::Status removed =
          co_await changes_.Remove(request.shard, bare, request.generation, *request.cause);
      co_return IqReply::FromStatus(removed);
    }
    if (!request.session) co_return IqReply::Error(ErrorCondition::kForbidden);
    const xmpp::Element* username = request.payload.Find("username", xmpp::ns::kRegister);
    const xmpp::Element* password = request.payload.Find("password", xmpp::ns::kRegister);
    if (username == nullptr || password == nullptr || password->Text().empty())
      co_return IqReply::Error(ErrorCondition::kBadRequest);
    auto prepared = xmpp::PrepareLocal(username->Text());
    if (!prepared.ok() || *prepared != request.session->jid.local())
      co_return IqReply::Error(ErrorCondition::kNotAllowed, "only the password of one's own account");
    const bool is_resent = request.cause->count <= request.session->resent_up_to;
    const absl::Status changed =
        co_await changes_.ChangePassword(request.shard, request.session, password->Text(), is_resent);
    if (absl::IsInvalidArgument(changed))
      co_return IqReply::Error(ErrorCondition::kNotAcceptable, std::string(Message(changed)));
    co_return IqReply::FromStatus(changed);
  }

  const Settings& settings_;
  AccountChanges& changes_;
};

}  // namespace

std::unique_ptr<Module> MakeRegisterModule(const Settings& settings, AccountChanges& changes) {
  return std::make_unique<RegisterModule>(settings, changes);
}

}  // namespace rookery::session_manager
