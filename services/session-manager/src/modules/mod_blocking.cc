#include "absl/container/flat_hash_set.h"
#include "domain/keyed_lock.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/presence_tracker.h"
#include "domain/roster/ask_roster.h"
#include "domain/roster/subscription_handler.h"
#include "domain/settings.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "domain/users/address_set.h"
#include "domain/users/user_settings.h"
#include "modules/modules.h"
#include "ports/roster.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

constexpr std::string_view kBlocking = "urn:xmpp:blocking";
constexpr std::string_view kBlockingErrors = "urn:xmpp:blocking:errors";
/// The most items in one request, so that what is pushed stays below what clients take.
constexpr std::size_t kMaxItems = 1'000;

/// Never between the user's own resources (section 4).
bool IsBlocked(const User& user, std::string_view address) {
  const AddressSet& blocked = user.settings->blocked;
  return !blocked.empty() && xmpp::BareOf(address) != user.bare && blocked.Matches(address);
}

/// XEP-0191: a user neither hears from blocked addresses nor is heard by them, and looks offline
/// to them. The list is kept by the roster service.
class BlockingModule final : public Module {
 public:
  BlockingModule(const Settings& settings, Roster& roster, KeyedLock& rosters, SettingsKeeper& user_settings,
                 PresenceTracker& presence, Outbox& outbox, SubscriptionHandler& subscriptions)
      : settings_(settings),
        roster_(roster),
        rosters_(rosters),
        user_settings_(user_settings),
        presence_(presence),
        outbox_(outbox),
        subscriptions_(subscriptions) {}

  void Register(Hooks& hooks) override {
    hooks.ServerFeature(kBlocking);
    hooks.OnIq(Hooks::Kind::kGet, kBlocking, "blocklist", {Target::kOwnAccount}, Hooks::Effect::kNone,
               [this](IqRequest& request) { return List(request); });
    hooks.OnIq(Hooks::Kind::kSet, kBlocking, "block", {Target::kOwnAccount}, Hooks::Effect::kSettings,
               [this](IqRequest& request) { return Block(request); });
    hooks.OnIq(Hooks::Kind::kSet, kBlocking, "unblock", {Target::kOwnAccount}, Hooks::Effect::kSettings,
               [this](IqRequest& request) { return Unblock(request); });
    hooks.features().OnFromClient(
        {}, [](const User& user, const xmpp::Stanza& stanza) -> std::optional<Veto> {
          if (!IsBlocked(user, stanza.to())) return std::nullopt;
          return Veto{xmpp::ErrorCondition::kNotAcceptable, xmpp::Element("blocked", kBlockingErrors)};
        });
    hooks.features().OnToUser({}, [](const User& user, const xmpp::Stanza& stanza) -> std::optional<Veto> {
      if (!IsBlocked(user, stanza.from())) return std::nullopt;
      // Section 3.3: no answer to presence; whoever asks or writes is told what an offline user's server
      // says.
      if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE) return Veto{};
      return Veto{xmpp::ErrorCondition::kServiceUnavailable, {}};
    });
    hooks.features().OnRecipient([](const User& user, std::string_view recipient) {
      return user.settings == nullptr || !IsBlocked(user, recipient);
    });
  }

 private:
  static xmpp::Element MakeList(std::string_view name, const std::vector<std::string>& jids) {
    xmpp::Element list(name, kBlocking);
    for (const std::string& jid : jids) list.Add("item").SetAttr("jid", jid);
    return list;
  }

  /// The items' addresses, prepared, each once; or the error that they deserve.
  static std::optional<xmpp::ErrorCondition> ReadItems(const xmpp::Element& payload,
                                                       std::vector<std::string>& jids) {
    absl::flat_hash_set<std::string> seen;
    for (const xmpp::Element& child : payload.children()) {
      if (!child.Is("item", kBlocking)) continue;
      if (child.Attr("jid").empty()) return xmpp::ErrorCondition::kBadRequest;
      const auto jid = xmpp::Jid::Parse(child.Attr("jid"));
      if (!jid.ok()) return xmpp::ErrorCondition::kJidMalformed;
      if (seen.emplace(jid->str()).second) jids.emplace_back(jid->str());
      if (jids.size() > kMaxItems) return xmpp::ErrorCondition::kPolicyViolation;
    }
    return std::nullopt;
  }

  Task<IqReply> List(IqRequest& request) {
    if (!request.session) co_return IqReply::Error(xmpp::ErrorCondition::kForbidden);
    const auto settings =
        co_await user_settings_.Require(request.shard, request.account, request.cause->trace_id);
    if (!settings.ok()) co_return IqReply::FromStatus(settings.status());
    if (!request.session->ended() && !HasInterest(*request.session, kBlocking)) {
      request.session->state.add_interests(std::string(kBlocking));
      outbox_.Publish(*request.session);
    }
    const auto& blocked = (*settings)->made.blocked();
    co_return IqReply::Result(MakeList("blocklist", {blocked.begin(), blocked.end()}));
  }

  Task<IqReply> Block(IqRequest& request) {
    std::vector<std::string> jids;
    if (const auto error = ReadItems(request.payload, jids)) co_return IqReply::Error(*error);
    if (jids.empty()) co_return IqReply::Error(xmpp::ErrorCondition::kBadRequest);
    roster::v1::BlockAddressesRequest block;
    block.set_max_addresses(static_cast<std::uint32_t>(settings_.max_blocked_addresses));
    co_return co_await Change<roster::v1::BlockAddressesResponse>(request, std::move(jids), std::move(block),
                                                                  &Roster::Block, /*is_block=*/true);
  }

  Task<IqReply> Unblock(IqRequest& request) {
    std::vector<std::string> jids;
    if (const auto error = ReadItems(request.payload, jids)) co_return IqReply::Error(*error);
    co_return co_await Change<roster::v1::UnblockAddressesResponse>(
        request, std::move(jids), roster::v1::UnblockAddressesRequest(), &Roster::Unblock,
        /*is_block=*/false);
  }

  static const auto& ChangedBy(const roster::v1::BlockAddressesResponse& made) { return made.added(); }
  static const auto& ChangedBy(const roster::v1::UnblockAddressesResponse& made) { return made.removed(); }

  template <typename Response, typename Request>
  Task<IqReply> Change(IqRequest& request, std::vector<std::string> jids, Request change,
                       Task<absl::StatusOr<Response>> (Roster::*ask)(Request, std::uint64_t), bool is_block) {
    change.set_user(request.account);
    change.mutable_jids()->Assign(jids.begin(), jids.end());
    change.set_request_id(RequestIdOf(*request.shard, *request.cause));
    const auto call = [&]() -> Task<absl::StatusOr<Response>> {
      const absl::Status known = co_await KnowAudience(request);
      if (!known.ok()) co_return known;
      co_return co_await (roster_.*ask)(change, request.cause->trace_id);
    };
    const auto on_doubt = [&] { OnDoubt(request); };
    const auto answer =
        co_await AskRoster<Response>(*request.shard, rosters_, request.account, call, on_doubt);
    const absl::StatusOr<Response>& made = answer.response;
    if (!made.ok()) co_return IqReply::FromStatus(made.status());
    const auto& changed = ChangedBy(*made);
    Apply(request, made->settings(), {changed.begin(), changed.end()}, is_block);
    Push(request, MakeList(is_block ? "block" : "unblock", jids));
    co_return IqReply::Result();
  }

  /// Before the change is made: once it is in force, who is not told that the user has gone is not told
  /// anything any more.
  Task<absl::Status> KnowAudience(IqRequest& request) {
    return presence_.LoadAudience(request.shard, request.account, request.cause->trace_id);
  }

  /// The change may have been made or not.
  void OnDoubt(const IqRequest& request) {
    if (User* user = request.shard->FindUser(request.account)) user_settings_.Doubt(*user);
    if (request.on_doubt) request.on_doubt();
  }

  /// The new list is in force; those whom the change makes blind, or see again, are told.
  void Apply(const IqRequest& request, roster::v1::UserSettings made, const std::vector<std::string>& changed,
             bool is_block) {
    User* user = request.shard->FindUser(request.account);
    if (user == nullptr) return;
    // Those whom other entries of the list match stay as they were.
    const absl::flat_hash_set<std::string_view> changes(changed.begin(), changed.end());
    std::vector<std::string> others;
    for (const std::string& jid : made.blocked())
      if (!changes.contains(jid)) others.push_back(jid);
    user_settings_.Put(*user, std::move(made));
    if (changed.empty()) return;
    const AddressSet included(changed), hidden_anyway(others);
    PresenceTracker::Audience audience;
    for (const std::string& jid : changed)
      if (!xmpp::ResourceOf(jid).empty()) audience.resources.push_back(jid);
    audience.includes = [&](std::string_view address) { return included.Matches(address); };
    audience.is_hidden_anyway = [&](std::string_view address) { return hidden_anyway.Matches(address); };
    if (is_block) {
      presence_.HideFrom(*request.shard, request.account, *request.cause, audience);
    } else {
      presence_.ShowTo(*request.shard, request.account, *request.cause, audience);
    }
  }

  void Push(const IqRequest& request, const xmpp::Element& change) {
    if (User* user = request.shard->FindUser(request.account))
      subscriptions_.PushTo(*user, *request.cause, change,
                            [](const Session& session) { return HasInterest(session, kBlocking); });
  }

  const Settings& settings_;
  Roster& roster_;
  KeyedLock& rosters_;
  SettingsKeeper& user_settings_;
  PresenceTracker& presence_;
  Outbox& outbox_;
  SubscriptionHandler& subscriptions_;
};

}  // namespace

std::unique_ptr<Module> MakeBlockingModule(const Settings& settings, Roster& roster, KeyedLock& rosters,
                                           SettingsKeeper& user_settings, PresenceTracker& presence,
                                           Outbox& outbox, SubscriptionHandler& subscriptions) {
  return std::make_unique<BlockingModule>(settings, roster, rosters, user_settings, presence, outbox,
                                          subscriptions);
}

}  // namespace rookery::session_manager
