#include <charconv>
#include <set>

#include "domain/keyed_lock.h"
#include "domain/outbound/outbox.h"
#include "domain/roster/ask_roster.h"
#include "domain/roster/subscription_handler.h"
#include "domain/settings.h"
#include "domain/state/cause.h"
#include "domain/state/session.h"
#include "domain/state/shard.h"
#include "modules/modules.h"
#include "ports/roster.h"
#include "rookery/base/status.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

constexpr std::size_t kMaxNameBytes = 1023;
constexpr int kMaxGroups = 100;
/// The limit for one item, as the roster service has it.
constexpr std::size_t kMaxItemBytes = 16 * 1024;

/// RFC 6121 section 2: get with versioning, set, remove.
class RosterModule final : public Module {
 public:
  RosterModule(const Settings& settings, Roster& roster, KeyedLock& rosters, Outbox& outbox,
               SubscriptionHandler& subscriptions)
      : settings_(settings),
        roster_(roster),
        rosters_(rosters),
        outbox_(outbox),
        subscriptions_(subscriptions) {}
  void Register(Hooks& hooks) override {
    hooks.ServerFeature(xmpp::ns::kRoster);
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kRoster, "query", {Target::kOwnAccount, Target::kOtherAccount},
               Hooks::Effect::kNone, [this](IqRequest& request) { return Get(request); });
    hooks.OnIq(Hooks::Kind::kSet, xmpp::ns::kRoster, "query", {Target::kOwnAccount, Target::kOtherAccount},
               Hooks::Effect::kChanges, [this](IqRequest& request) { return Set(request); });
  }

 private:
  Task<IqReply> Get(IqRequest& request) {
    if (!request.session) co_return IqReply::Error(xmpp::ErrorCondition::kForbidden);
    roster::v1::GetRosterRequest get;
    get.set_user(request.account);
    const std::string* ver = request.payload.FindAttr("ver");
    if (ver != nullptr) {
      std::uint64_t version = 0;
      const auto [end, error] = std::from_chars(ver->data(), ver->data() + ver->size(), version);
      // An empty or foreign version is one that we do not know: the whole roster comes.
      if (error == std::errc() && end == ver->data() + ver->size()) get.set_known_version(version);
    }
    // Pushes come before the answer or after it, as their versions do.
    const KeyedLock::Hold turn = co_await rosters_.Take(request.account);
    auto roster = co_await roster_.Get(std::move(get), request.cause->trace_id);
    if (!roster.ok()) co_return IqReply::FromStatus(roster.status());
    if (request.session->ended()) co_return IqReply::Result();
    session::v1::SessionManagerState& state = request.session->state;
    if (!state.interested() || state.removals_missed()) {
      state.set_interested(true);
      state.clear_removals_missed();
      outbox_.Publish(*request.session);
    }
    if (roster->unchanged()) co_return IqReply::Result();
    xmpp::Element query("query", xmpp::ns::kRoster);
    if (ver != nullptr) query.SetAttr("ver", std::to_string(roster->version()));
    for (const auto& item : roster->items()) query.Add(MakeRosterItem(item));
    co_return IqReply::Result(std::move(query));
  }

  Task<IqReply> Set(IqRequest& request) {
    using xmpp::ErrorCondition;
    if (request.target != Target::kOwnAccount) co_return IqReply::Error(ErrorCondition::kForbidden);
    // Section 2.1.5: exactly one item.
    std::vector<const xmpp::Element*> items;
    for (const xmpp::Element& child : request.payload.children())
      if (!child.name().empty()) items.push_back(&child);
    if (items.size() != 1 || !items.front()->Is("item", xmpp::ns::kRoster))
      co_return IqReply::Error(ErrorCondition::kBadRequest);
    const xmpp::Element& item = *items.front();
    if (item.Attr("jid").empty()) co_return IqReply::Error(ErrorCondition::kBadRequest);
    auto jid = xmpp::Jid::Parse(item.Attr("jid"));
    if (!jid.ok()) co_return IqReply::Error(ErrorCondition::kJidMalformed);
    const std::string contact(jid->str());
    if (item.Attr("subscription") == "remove") {
      // Section 2.5.
      roster::v1::RemoveRosterItemRequest remove;
      remove.set_user(request.account);
      remove.set_jid(contact);
      remove.set_request_id(RequestIdOf(*request.shard, *request.cause));
      const auto call = [&] { return roster_.RemoveItem(remove, request.cause->trace_id); };
      const auto on_doubt = [&] { OnDoubt(request); };
      const auto answer = co_await AskRoster<roster::v1::RemoveRosterItemResponse>(
          *request.shard, rosters_, request.account, call, on_doubt);
      const auto& removed = answer.response;
      if (absl::IsNotFound(removed.status())) co_return IqReply::Error(ErrorCondition::kItemNotFound);
      if (!removed.ok()) co_return IqReply::FromStatus(removed.status());
      subscriptions_.OnItemRemoved(request.shard->GetUser(request.account), *request.cause, contact,
                                   *removed);
      co_return IqReply::Result();
    }
    // Section 2.3.3: one's own presence needs no item.
    if (contact == request.account)
      co_return IqReply::Error(ErrorCondition::kNotAllowed, "an item for oneself");
    roster::v1::SetRosterItemRequest set;
    set.set_user(request.account);
    set.set_jid(contact);
    set.set_request_id(RequestIdOf(*request.shard, *request.cause));
    set.set_name(std::string(item.Attr("name")));
    set.set_max_items(static_cast<std::uint32_t>(settings_.max_roster_items));
    if (set.name().size() > kMaxNameBytes)
      co_return IqReply::Error(ErrorCondition::kNotAcceptable, "the name is too long");
    std::set<std::string> groups;
    std::size_t bytes = set.jid().size() + set.name().size();
    for (const xmpp::Element& child : item.children()) {
      if (!child.Is("group", xmpp::ns::kRoster)) continue;
      std::string group = child.Text();
      if (group.empty() || group.size() > kMaxNameBytes || set.groups_size() >= kMaxGroups)
        co_return IqReply::Error(ErrorCondition::kNotAcceptable, "a group's name is empty or too long");
      if (!groups.insert(group).second)
        co_return IqReply::Error(ErrorCondition::kBadRequest, "a group is named twice");
      bytes += group.size();
      if (bytes > kMaxItemBytes)
        co_return IqReply::Error(ErrorCondition::kNotAcceptable, "the groups' names are too long");
      set.add_groups(std::move(group));
    }
    const auto call = [&] { return roster_.SetItem(set, request.cause->trace_id); };
    const auto on_doubt = [&] { OnDoubt(request); };
    const auto answer = co_await AskRoster<roster::v1::SetRosterItemResponse>(
        *request.shard, rosters_, request.account, call, on_doubt);
    const auto& stored = answer.response;
    if (absl::IsResourceExhausted(stored.status()))
      co_return IqReply::Error(ErrorCondition::kNotAllowed, std::string(Message(stored.status())));
    if (!stored.ok()) co_return IqReply::FromStatus(stored.status());
    subscriptions_.Push(request.shard->GetUser(request.account), *request.cause, stored->push());
    co_return IqReply::Result();
  }

  /// The change may have been made or not.
  static void OnDoubt(const IqRequest& request) {
    ForgetContacts(*request.shard, request.account);
    if (request.on_doubt) request.on_doubt();
  }

  const Settings& settings_;
  Roster& roster_;
  KeyedLock& rosters_;
  Outbox& outbox_;
  SubscriptionHandler& subscriptions_;
};

}  // namespace

std::unique_ptr<Module> MakeRosterModule(const Settings& settings, Roster& roster, KeyedLock& rosters,
                                         Outbox& outbox, SubscriptionHandler& subscriptions) {
  return std::make_unique<RosterModule>(settings, roster, rosters, outbox, subscriptions);
}

}  // namespace rookery::session_manager
