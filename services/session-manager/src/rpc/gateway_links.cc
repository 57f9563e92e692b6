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
  const Incarnation& incarnation() const override { return incarnation_; }
  session::v1::SessionManagerAction& Add() override { return link_->Add(); }
  bool is_congested() const override { return link_->is_congested(); }
  void Close() override {
    is_ended_ = true;
    link_->Close();
  }

  void OnAction(session::v1::GatewayAction action) override {
    if (is_ended_) return;
    if (!instance_.empty()) {
      links_.sessions_.OnAction(*this, std::move(action));
      return;
    }
    if (!action.has_hello() || action.hello().instance().empty()) {
      telemetry::LogWarn("link.no_hello", {});
      Close();
      return;
    }
    const session::v1::GatewayHello& hello = action.hello();
    instance_ = hello.instance();
    incarnation_ = {hello.incarnation().started_at_ms(), hello.incarnation().random()};
    telemetry::LogInfo("link.up", {{"gateway", instance_}});
    links_.sessions_.OnGatewayLinked(*this);
    if (!is_ended_) TellSessionManagers();
  }
  void OnFrameEnd() override {}
  void OnUncongested() override {
    if (!instance_.empty() && !is_ended_) links_.sessions_.OnGatewayHasRoom(*this);
  }
  void OnClosed(const absl::Status& status) override {
    if (!instance_.empty()) {
      if (status.ok()) {
        telemetry::LogInfo("link.closed", {{"gateway", instance_}});
      } else {
        telemetry::LogInfo("link.down", {{"gateway", instance_}, {"reason", Message(status)}});
      }
      links_.sessions_.OnGatewayLost(*this);
    }
    links_.Remove(*this);
  }
  /// In order: what the gateway has sent before it knows still counts.
  void Finish() { link_->Close(); }

  void TellSessionManagers() {
    if (instance_.empty() || is_ended_ || links_.known_.session_managers().empty()) return;
    *link_->Add().mutable_session_managers_known() = links_.known_;
  }

 private:
  GatewayLinks& links_;
  std::unique_ptr<rpc::SessionManagerLink> link_;
  std::string instance_;
  Incarnation incarnation_;
  bool is_ended_ = false;
};

GatewayLinks::GatewayLinks(asio::io_context& io, SessionKeeper& sessions, const rpc::LinkLimits& limits)
    : io_(io),
      sessions_(sessions),
      service_(rpc::MakeLinkService(io, [this](auto link) { return Accept(std::move(link)); }, limits)) {}

GatewayLinks::~GatewayLinks() = default;

rpc::SessionManagerLinkHandler* GatewayLinks::Accept(std::unique_ptr<rpc::SessionManagerLink> link) {
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
  for (const auto& end : ends_) end->Finish();
}

void GatewayLinks::SetSessionManagers(const std::vector<routing::Instance>& instances) {
  known_.clear_session_managers();
  for (const routing::Instance& instance : instances) {
    auto& known = *known_.add_session_managers();
    known.set_instance(instance.id);
    known.set_address(instance.address);
    known.mutable_incarnation()->set_started_at_ms(instance.incarnation.started_at_ms);
    known.mutable_incarnation()->set_random(instance.incarnation.random);
  }
  for (const auto& end : ends_) end->TellSessionManagers();
}

}  // namespace rookery::session_manager
