#include "adapters/link_pool.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "rookery/base/random.h"
#include "rookery/telemetry/log.h"

namespace rookery::gateway {
namespace {

constexpr std::chrono::milliseconds kFirstRetry{100};
constexpr std::chrono::milliseconds kLastRetry{2000};

}  // namespace

/// One session-manager, and the link to it while there is one.
class LinkPool::Peer final : public rpc::GatewayLinkHandler, public std::enable_shared_from_this<Peer> {
 public:
  Peer(LinkPool& pool, routing::Instance instance)
      : pool_(pool), instance_(std::move(instance)), timer_(pool.io_) {}

  void Open() {
    id_ = ++pool_.last_id_;
    link_ = pool_.open_link_(instance_.address, *this);
    pool_.open_.emplace_back(id_, this);
    pool_.links_up_.Set(static_cast<double>(pool_.open_.size()));
    link_->Add().mutable_hello()->set_instance(pool_.instance_);
  }

  void Close() {
    listed_ = false;
    timer_.cancel();
    if (link_ != nullptr) link_->Close();
  }

  void OnAction(session::v1::SessionManagerAction action) override {
    if (link_ == nullptr) return;
    if (action.has_hello()) {
      retry_ = kFirstRetry;
      telemetry::LogInfo("link.up", {{"peer", action.hello().instance()}, {"address", instance_.address}});
    }
    pool_.handler_.OnLinkAction(id_, std::move(action));
  }

  void OnFrameEnd() override { pool_.handler_.OnLinkFrameEnd(); }

  void OnClosed(const absl::Status& status) override {
    if (link_ == nullptr) return;
    // The link calls us: it goes when this call is over.
    asio::post(pool_.io_, [link = std::shared_ptr<rpc::GatewayLink>(std::move(link_))] {});
    link_ = nullptr;
    const LinkId id = std::exchange(id_, 0);
    std::erase_if(pool_.open_, [id](const auto& open) { return open.first == id; });
    pool_.links_up_.Set(static_cast<double>(pool_.open_.size()));
    pool_.links_lost_.Increment();
    telemetry::LogWarn(
        "link.down", {{"peer", instance_.id}, {"address", instance_.address}, {"reason", status.ToString()}});
    pool_.handler_.OnLinkDown(id);
    if (pool_.closing_) return;
    if (listed_) return Retry();
    asio::post(pool_.io_, [this, weak = weak_from_this()] {
      if (const auto self = weak.lock()) pool_.SetInstances(std::vector(pool_.instances_));
    });
  }

  void set_listed(bool listed) { listed_ = listed; }
  bool is_open() const { return link_ != nullptr; }
  rpc::GatewayLink* link() const { return link_.get(); }
  const routing::Instance& instance() const { return instance_; }

 private:
  void Retry() {
    const auto jitter = std::chrono::milliseconds(RandomU64() % 50);
    timer_.expires_after(retry_ + jitter);
    retry_ = std::min(retry_ * 2, kLastRetry);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || self == nullptr || !self->listed_ || self->link_ != nullptr) return;
      self->Open();
    });
  }

  LinkPool& pool_;
  const routing::Instance instance_;
  asio::steady_timer timer_;
  std::chrono::milliseconds retry_ = kFirstRetry;
  std::unique_ptr<rpc::GatewayLink> link_;
  LinkId id_ = 0;
  bool listed_ = true;
};

LinkPool::LinkPool(asio::io_context& io, Open open, std::string instance, Handler& handler,
                   telemetry::Metrics& metrics)
    : io_(io),
      open_link_(std::move(open)),
      instance_(std::move(instance)),
      handler_(handler),
      links_up_(metrics.Gauge("links_up", "Links to session-managers that are up")),
      links_lost_(
          metrics.Counter("links_lost_total", "Links to session-managers that ended or failed to open")) {}

LinkPool::~LinkPool() = default;

void LinkPool::SetInstances(const std::vector<routing::Instance>& instances) {
  if (closing_) return;
  instances_ = instances;
  for (auto it = peers_.begin(); it != peers_.end();) {
    Peer& peer = *it->second;
    const bool listed = std::find(instances.begin(), instances.end(), peer.instance()) != instances.end();
    peer.set_listed(listed);
    // A link that works is kept whatever the registry says: it may be the registry
    // that is wrong.
    it = !listed && !peer.is_open() ? peers_.erase(it) : std::next(it);
  }
  for (const auto& instance : instances) {
    const auto known = peers_.find(instance.id);
    if (known != peers_.end() && known->second->instance() == instance) {
      continue;
    }
    if (known != peers_.end()) {
      // The same name at another address: the old process is gone.
      known->second->Close();
      if (known->second->is_open()) continue;
      peers_.erase(known);
    }
    const auto peer = std::make_shared<Peer>(*this, instance);
    peers_.emplace(instance.id, peer);
    peer->Open();
  }
}

rpc::GatewayLink* LinkPool::Find(LinkId link) const {
  for (const auto& [id, peer] : open_) {
    if (id == link) return peer->link();
  }
  return nullptr;
}

void LinkPool::Close() {
  closing_ = true;
  for (const auto& [id, peer] : peers_) peer->Close();
}

}  // namespace rookery::gateway
