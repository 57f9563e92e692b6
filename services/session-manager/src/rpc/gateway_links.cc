#include "rpc/gateway_links.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

class GatewayLinks::End final : public rpc::SessionManagerLinkHandler, public GatewayPeer {
 public:
  End(GatewayLinks& links, std::unique_ptr<rpc::SessionManagerLink> link)
      : links_(links), link_(std::move(link)) {}

  const std::string& instance() const override { return instance_; }
  session::v1::SessionManagerAction& Add() override { return link_->Add(); }

  void OnAction(session::v1::GatewayAction action) override {
    if (!instance_.empty()) {
      links_.sessions_.OnAction(*this, std::move(action));
      return;
    }
    if (!action.has_hello() || action.hello().instance().empty()) {
      telemetry::LogWarn("link.no_hello", {});
      link_->Close();
      return;
    }
    instance_ = action.hello().instance();
    telemetry::LogInfo("link.up", {{"gateway", instance_}});
    links_.sessions_.OnGatewayLinked(*this);
  }
  void OnFrameEnd() override {}
  void OnClosed(const absl::Status& status) override {
    if (!instance_.empty()) {
      telemetry::LogInfo("link.down", {{"gateway", instance_}, {"reason", Message(status)}});
      links_.sessions_.OnGatewayLost(*this);
    }
    links_.Remove(*this);
  }
  void Close() { link_->Close(); }

 private:
  GatewayLinks& links_;
  std::unique_ptr<rpc::SessionManagerLink> link_;
  std::string instance_;
};

GatewayLinks::GatewayLinks(asio::io_context& io, SessionKeeper& sessions)
    : io_(io),
      sessions_(sessions),
      service_(rpc::MakeLinkService(io, [this](auto link) { return OnLink(std::move(link)); })) {}

GatewayLinks::~GatewayLinks() = default;

rpc::SessionManagerLinkHandler* GatewayLinks::OnLink(std::unique_ptr<rpc::SessionManagerLink> link) {
  ends_.push_back(std::make_unique<End>(*this, std::move(link)));
  return ends_.back().get();
}

void GatewayLinks::Remove(End& end) {
  auto it = std::find_if(ends_.begin(), ends_.end(), [&](const auto& other) { return other.get() == &end; });
  if (it == ends_.end()) return;
  // The link is still calling: it goes at the next turn of the loop.
  asio::post(io_, [gone = std::shared_ptr<End>(std::move(*it))]() mutable { gone.reset(); });
  ends_.erase(it);
}

void GatewayLinks::CloseAll() {
  for (const auto& end : ends_) end->Close();
}

}  // namespace rookery::session_manager
