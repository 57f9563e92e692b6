#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/addresses.h"
#include "domain/keyed_lock.h"
#include "domain/presence/presence_tracker.h"
#include "domain/roster/ask_roster.h"
#include "domain/roster/subscription_handler.h"
#include "domain/settings.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "domain/users/user_settings.h"
#include "modules/modules.h"
#include "ports/roster.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/vcard.h"

namespace rookery::session_manager {

namespace {

/// XEP-0054: the vCards of accounts, which the roster service keeps. What presence says of the image in them
/// (XEP-0153) is PresenceTracker's.
class VcardModule final : public Module {
 public:
  VcardModule(const Settings& settings, const Addresses& addresses, Roster& roster, KeyedLock& rosters,
              SettingsKeeper& user_settings, PresenceTracker& presence)
      : settings_(settings),
        addresses_(addresses),
        roster_(roster),
        rosters_(rosters),
        user_settings_(user_settings),
        presence_(presence) {}

  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kVcardTemp);
    hooks.AccountFeature(xmpp::ns::kVcardTemp);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kVcardTemp, "vCard", {Target::kOwnAccount, Target::kOtherAccount},
               Hooks::Effect::kNone, [this](IqRequest& request) { return Get(request); });
    hooks.OnIq(
        Hooks::Kind::kSet, xmpp::ns::kVcardTemp, "vCard",
        {Target::kOwnAccount, Target::kOtherAccount, Target::kServer},
        [](const xmpp::Stanza& iq) {
          const bool is_to_server = !iq.to().empty() && xmpp::DomainOf(iq.to()) == iq.to();
          return is_to_server ? Hooks::Effect::kNone : Hooks::Effect::kChanges;
        },
        [this](IqRequest& request) { return Set(request); });
    hooks.features().OnFromClient({.messages = false, .presences = false},
                                  [this](const User&, const xmpp::Stanza& iq) -> std::optional<Veto> {
                                    if (!IsForAnotherAccount(iq)) return std::nullopt;
                                    return Veto{xmpp::ErrorCondition::kForbidden, {}};
                                  });
  }

 private:
  /// Whether a client's request, which is not for its own account, would set another one's vCard. It does not
  /// get there: what it is answered must not tell whether its sender is blocked there.
  bool IsForAnotherAccount(const xmpp::Stanza& iq) const {
    return iq.type() == "set" && iq.payload_namespace() == xmpp::ns::kVcardTemp &&
           iq.payload_name() == "vCard" && xmpp::ResourceOf(iq.to()).empty() &&
           addresses_.IsLocal(xmpp::DomainOf(iq.to()));
  }

  Task<IqReply> Get(IqRequest& request) {
    roster::v1::GetVcardRequest get;
    get.set_user(request.account);
    auto stored = co_await roster_.GetVcard(std::move(get), request.cause->trace_id);
    if (!stored.ok()) co_return IqReply::FromStatus(stored.status());
    if (stored->vcard().empty()) {
      // Section 3.1 allows either for one's own.
      if (request.target == Target::kOwnAccount)
        co_return IqReply::Result(xmpp::Element("vCard", xmpp::ns::kVcardTemp));
      // Section 3.3: as if there were no such account.
      co_return IqReply::Error(xmpp::ErrorCondition::kServiceUnavailable);
    }
    // As Set has written it.
    co_return IqReply::CanonicalResult(std::move(*stored->mutable_vcard()));
  }

  /// Why the vCard cannot be kept; nothing: it can.
  std::optional<IqReply> Refuse(std::size_t bytes,
                                const absl::StatusOr<std::vector<xmpp::VcardPhoto>>& photos) const {
    if (bytes > static_cast<std::size_t>(settings_.max_vcard_bytes))
      return IqReply::Error(xmpp::ErrorCondition::kPolicyViolation, "The vCard is too large.");
    if (!photos.ok())
      return IqReply::Error(xmpp::ErrorCondition::kNotAcceptable, std::string(photos.status().message()));
    for (const xmpp::VcardPhoto& photo : *photos)
      if (photo.bytes > static_cast<std::size_t>(settings_.max_photo_bytes))
        return IqReply::Error(xmpp::ErrorCondition::kPolicyViolation, "The photo is too large.");
    return std::nullopt;
  }

  Task<IqReply> Set(IqRequest& request) {
    // Section 3.2.
    if (request.target != Target::kOwnAccount) co_return IqReply::Error(xmpp::ErrorCondition::kForbidden);
    std::string text = request.payload.ToXml(xmpp::ns::kClient);
    const auto photos = xmpp::PhotosOf(request.payload);
    if (auto refusal = Refuse(text.size(), photos)) co_return *std::move(refusal);

    // Once it is asked for, it is asked for until its outcome is known. So a client whose vCard nobody can
    // store now is told to try again before that.
    const absl::Status is_there = co_await FindRoster(request);
    if (!is_there.ok()) co_return IqReply::FromStatus(is_there);

    roster::v1::SetVcardRequest set;
    set.set_user(request.account);
    if (!xmpp::IsEmptyVcard(request.payload)) set.set_vcard(std::move(text));
    if (!photos->empty()) set.set_avatar_hash(photos->front().hash);
    set.set_request_id(RequestIdOf(*request.shard, *request.cause));
    const auto call = [&] { return roster_.SetVcard(set, request.cause->trace_id); };
    const auto on_doubt = [&] { OnDoubt(request); };
    const auto answer = co_await AskRoster<roster::v1::SetVcardResponse>(*request.shard, rosters_,
                                                                         request.account, call, on_doubt);
    if (!answer.response.ok()) co_return IqReply::FromStatus(answer.response.status());
    if (User* user = request.shard->FindUser(request.account))
      user_settings_.Put(*user, answer.response->settings());
    // A new owner may not know yet whom to tell. If it cannot find out, it is told later.
    (void)co_await presence_.LoadAudience(request.shard, request.account, request.cause->trace_id);
    if (User* user = request.shard->FindUser(request.account)) presence_.TellAvatar(*user);
    co_return IqReply::Result();
  }

  /// Whether there is a roster service that keeps vCards: one of an earlier version does not.
  Task<absl::Status> FindRoster(const IqRequest& request) {
    roster::v1::GetVcardRequest ask;
    ask.set_user(request.account);
    const auto stored = co_await roster_.GetVcard(std::move(ask), request.cause->trace_id);
    if (stored.ok() || !request.shard->IsBeforeFence(request.cause->offset)) co_return stored.status();
    // An earlier owner may have asked for the same change, and another instance may have made it.
    OnDoubt(request);
    co_return absl::UnavailableError(stored.status().message());
  }

  /// The change may have been made or not.
  void OnDoubt(const IqRequest& request) {
    if (User* user = request.shard->FindUser(request.account)) user_settings_.Doubt(*user);
    if (request.on_doubt) request.on_doubt();
  }

  const Settings& settings_;
  const Addresses& addresses_;
  Roster& roster_;
  KeyedLock& rosters_;
  SettingsKeeper& user_settings_;
  PresenceTracker& presence_;
};

}  // namespace

std::unique_ptr<Module> MakeVcardModule(const Settings& settings, const Addresses& addresses, Roster& roster,
                                        KeyedLock& rosters, SettingsKeeper& user_settings,
                                        PresenceTracker& presence) {
  return std::make_unique<VcardModule>(settings, addresses, roster, rosters, user_settings, presence);
}

}  // namespace rookery::session_manager
