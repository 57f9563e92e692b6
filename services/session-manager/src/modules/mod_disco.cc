#include "modules/account_access.h"
#include "modules/modules.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

void AddIdentity(xmpp::Element& query, std::string_view category, std::string_view type,
                 std::string_view name) {
  xmpp::Element& identity = query.Add("identity");
  identity.SetAttr("category", category).SetAttr("type", type);
  if (!name.empty()) identity.SetAttr("name", name);
}

void AddFeature(xmpp::Element& query, std::string_view var) { query.Add("feature").SetAttr("var", var); }

/// XEP-0030 for the server, its services and accounts.
class DiscoModule final : public Module {
 public:
  explicit DiscoModule(Core& core) : core_(core) {}
  void Register(Hooks& hooks) override {
    hooks_ = &hooks;
    hooks.ServerFeature(xmpp::ns::kDiscoInfo);
    hooks.ServerFeature(xmpp::ns::kDiscoItems);
    hooks.ServerFeature("msgoffline");
    hooks.ServerFeature(xmpp::ns::kHints);
    hooks.AccountFeature(xmpp::ns::kDiscoInfo);
    hooks.AccountFeature(xmpp::ns::kDiscoItems);
    hooks.AccountFeature(xmpp::ns::kStanzaId);
    const std::vector<Target> all{Target::kServer, Target::kService, Target::kOwnAccount,
                                  Target::kOtherAccount};
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kDiscoInfo, "query", all, false,
               [this](IqRequest& request) { return Info(request); });
    hooks.OnIq(Hooks::Kind::kGet, xmpp::ns::kDiscoItems, "query", all, false,
               [this](IqRequest& request) { return Items(request); });
  }

 private:
  Task<IqReply> Info(IqRequest& request) {
    xmpp::Element query("query", xmpp::ns::kDiscoInfo);
    if (request.target == Target::kOtherAccount) {
      // Section 8: no telling of who has an account.
      auto may_see = co_await MaySee(core_, request);
      if (!may_see.ok()) co_return IqReply::FromStatus(may_see.status());
      if (!*may_see) co_return IqReply::Error(xmpp::ErrorCondition::kServiceUnavailable);
    }
    if (!request.payload.Attr("node").empty()) co_return IqReply::Error(xmpp::ErrorCondition::kItemNotFound);
    switch (request.target) {
      case Target::kServer:
        AddIdentity(query, "server", "im", "Rookery");
        for (const std::string& feature : hooks_->server_features) AddFeature(query, feature);
        break;
      case Target::kService:
        // Both have joined the cluster and have no features of their own yet.
        if (request.service == "muc") {
          AddIdentity(query, "conference", "text", "Rooms");
        } else {
          AddIdentity(query, "directory", "user", "Search");
        }
        AddFeature(query, xmpp::ns::kDiscoInfo);
        break;
      case Target::kOwnAccount:
      case Target::kOtherAccount:
        AddIdentity(query, "account", "registered", {});
        for (const std::string& feature : hooks_->account_features) AddFeature(query, feature);
        break;
    }
    co_return IqReply::Result(std::move(query));
  }

  Task<IqReply> Items(IqRequest& request) {
    xmpp::Element query("query", xmpp::ns::kDiscoItems);
    if (!request.payload.Attr("node").empty()) {
      if (request.target == Target::kOtherAccount) co_return IqReply::Result(std::move(query));
      co_return IqReply::Error(xmpp::ErrorCondition::kItemNotFound);
    }
    if (request.target == Target::kServer) {
      const std::string domain = request.iq.to().empty() ? core_.settings().domains.front() : request.iq.to();
      query.Add("item").SetAttr("jid", "muc." + domain).SetAttr("name", "Rooms");
      query.Add("item").SetAttr("jid", "search." + domain).SetAttr("name", "Search");
    } else if (request.target == Target::kOwnAccount) {
      if (const User* user = core_.FindUser(*request.shard, request.account)) {
        for (const auto& session : user->sessions)
          if (session->available()) query.Add("item").SetAttr("jid", session->jid.str());
      }
    }
    // To others an account that exists looks like one that does not: empty.
    co_return IqReply::Result(std::move(query));
  }

  Core& core_;
  const Hooks* hooks_ = nullptr;
};

}  // namespace

std::unique_ptr<Module> MakeDiscoModule(Core& core) { return std::make_unique<DiscoModule>(core); }

}  // namespace rookery::session_manager
