#include <algorithm>

#include "domain/addresses.h"
#include "domain/presence/server_info.h"
#include "domain/settings.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "modules/account_access.h"
#include "modules/modules.h"
#include "ports/roster.h"
#include "ports/service_disco.h"
#include "rookery/xmpp/disco.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

void AddItem(xmpp::Element& query, const std::string& jid, std::string_view name, std::string_view node) {
  xmpp::Element& item = query.Add("item");
  item.SetAttr("jid", jid);
  if (!name.empty()) item.SetAttr("name", name);
  if (!node.empty()) item.SetAttr("node", node);
}

/// As clients show it to people.
std::string_view TitleOf(events::Service service) {
  return service == events::Service::kMuc ? "Rooms" : "Search";
}

/// RFC 6120 section 8.3.3.17: the domain is ours, but whoever must answer cannot be reached
/// just now. Never an answer in its place.
IqReply FromService(const absl::Status& status) {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return IqReply::FromStatus(status);
  IqReply reply = IqReply::Error(xmpp::ErrorCondition::kRemoteServerTimeout);
  reply.error_type = xmpp::ErrorType::kWait;
  return reply;
}

/// XEP-0030 for the server and accounts, and for search, which is asked; rooms answer for themselves.
class DiscoModule final : public Module {
 public:
  DiscoModule(const Settings& settings, const Addresses& addresses, Roster& roster,
              ServiceDisco& service_disco)
      : settings_(settings), addresses_(addresses), roster_(roster), service_disco_(service_disco) {}
  void Register(Hooks& hooks) override {
    hooks_ = &hooks;
    hooks.ServerFeature(xmpp::ns::kDiscoInfo);
    hooks.ServerFeature(xmpp::ns::kDiscoItems);
    hooks.ServerFeature("msgoffline");
    hooks.ServerFeature(xmpp::ns::kHints);
    hooks.ServerFeature(xmpp::ns::kCaps);
    hooks.AccountFeature(xmpp::ns::kDiscoInfo);
    hooks.AccountFeature(xmpp::ns::kDiscoItems);
    hooks.AccountFeature(xmpp::ns::kStanzaId);
    const std::vector<Target> all{Target::kServer, Target::kService, Target::kOwnAccount,
                                  Target::kOtherAccount};
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kDiscoInfo, "query", all, Hooks::Effect::kNone,
               [this](IqRequest& request) { return Info(request); });
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kDiscoItems, "query", all, Hooks::Effect::kNone,
               [this](IqRequest& request) { return Items(request); });
  }

 private:
  Task<IqReply> Info(IqRequest& request) {
    if (request.target == Target::kService) {
      IqReply reply = co_await ServiceInfo(request);
      co_return reply;
    }
    xmpp::Element query("query", xmpp::ns::kDiscoInfo);
    if (request.target == Target::kOtherAccount) {
      // Section 8: no telling of who has an account.
      auto may_see = co_await MaySee(roster_, request);
      if (!may_see.ok()) co_return IqReply::FromStatus(may_see.status());
      if (!*may_see) co_return IqReply::Error(xmpp::ErrorCondition::kServiceUnavailable);
    }
    const std::string_view node = request.payload.Attr("node");
    if (request.target == Target::kServer) {
      // XEP-0115 section 6.2: what the stream features announced may be asked for by its node.
      if (!node.empty() && node != std::string(kServerCapsNode) + "#" + ServerCapsVer(*hooks_))
        co_return IqReply::Error(xmpp::ErrorCondition::kItemNotFound);
      query = MakeServerInfo(*hooks_);
      if (!node.empty()) query.SetAttr("node", node);
      co_return IqReply::Result(std::move(query));
    }
    if (!node.empty()) co_return IqReply::Error(xmpp::ErrorCondition::kItemNotFound);
    xmpp::AddIdentity(query, "account", "registered");
    for (const std::string& feature : hooks_->account_features) xmpp::AddFeature(query, feature);
    co_return IqReply::Result(std::move(query));
  }

  Task<IqReply> Items(IqRequest& request) {
    if (request.target == Target::kService) {
      IqReply reply = co_await ServiceItems(request);
      co_return reply;
    }
    xmpp::Element query("query", xmpp::ns::kDiscoItems);
    // To others an account that exists looks like one that does not: empty.
    if (request.target == Target::kOtherAccount) co_return IqReply::ResultThatSaysNothing(std::move(query));
    if (!request.payload.Attr("node").empty()) co_return IqReply::Error(xmpp::ErrorCondition::kItemNotFound);
    if (request.target == Target::kServer) {
      const std::string domain = request.iq.to().empty() ? settings_.domains.front() : request.iq.to();
      const std::vector<events::Component> components = addresses_.ComponentsOf(domain);
      for (const events::Component& component : components) {
        const bool is_offered = co_await IsOffered(component, request.cause->trace_id);
        if (is_offered) AddItem(query, component.address, TitleOf(component.service), {});
      }
    } else if (request.target == Target::kOwnAccount) {
      if (const User* user = request.shard->FindUser(request.account)) {
        for (const auto& session : user->sessions)
          if (session->available()) AddItem(query, std::string(session->jid.str()), {}, {});
      }
    }
    co_return IqReply::Result(std::move(query));
  }

  /// A service that can do nothing yet, or cannot be reached, is not shown: clients would try it.
  Task<bool> IsOffered(events::Component component, std::uint64_t trace_id) {
    if (component.service == events::Service::kMuc) co_return service_disco_.IsThere(component.service);
    const std::optional<events::Home> home = addresses_.HomeOf(component.address);
    if (!home) co_return false;
    disco::v1::GetDiscoInfoRequest ask;
    ask.set_jid(std::move(component.address));
    const auto info = co_await service_disco_.Info(*home, std::move(ask), trace_id);
    co_return info.ok() &&
        std::any_of(info->features().begin(), info->features().end(), [](const auto& feature) {
          return feature != xmpp::ns::kDiscoInfo && feature != xmpp::ns::kDiscoItems;
        });
  }

  Task<IqReply> ServiceInfo(IqRequest& request) {
    disco::v1::GetDiscoInfoRequest ask;
    ask.set_jid(request.iq.to());
    ask.set_node(std::string(request.payload.Attr("node")));
    auto info = co_await service_disco_.Info(*request.home, std::move(ask), request.cause->trace_id);
    if (!info.ok()) co_return FromService(info.status());
    xmpp::Element query("query", xmpp::ns::kDiscoInfo);
    Mirror(request, query);
    for (const auto& identity : info->identities())
      xmpp::AddIdentity(query, identity.category(), identity.type(), identity.name());
    for (const std::string& feature : info->features()) xmpp::AddFeature(query, feature);
    co_return IqReply::Result(std::move(query));
  }

  /// The first page, which is all that can be asked for without XEP-0059.
  Task<IqReply> ServiceItems(IqRequest& request) {
    disco::v1::ListDiscoItemsRequest ask;
    ask.set_jid(request.iq.to());
    ask.set_node(std::string(request.payload.Attr("node")));
    auto items = co_await service_disco_.Items(*request.home, std::move(ask), request.cause->trace_id);
    if (!items.ok()) co_return FromService(items.status());
    xmpp::Element query("query", xmpp::ns::kDiscoItems);
    Mirror(request, query);
    for (const auto& item : items->items()) AddItem(query, item.jid(), item.name(), item.node());
    co_return IqReply::Result(std::move(query));
  }

  /// XEP-0030 sections 3.2 and 4.2: the answer repeats the node that was asked for.
  static void Mirror(const IqRequest& request, xmpp::Element& query) {
    if (const std::string* node = request.payload.FindAttr("node")) query.SetAttr("node", *node);
  }

  const Settings& settings_;
  const Addresses& addresses_;
  Roster& roster_;
  ServiceDisco& service_disco_;
  const Hooks* hooks_ = nullptr;
};

}  // namespace

std::unique_ptr<Module> MakeDiscoModule(const Settings& settings, const Addresses& addresses, Roster& roster,
                                        ServiceDisco& service_disco) {
  return std::make_unique<DiscoModule>(settings, addresses, roster, service_disco);
}

}  // namespace rookery::session_manager
