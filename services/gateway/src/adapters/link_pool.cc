#include "adapters/link_pool.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "rookery/base/backoff_delays.h"
#include "rookery/runtime/timer.h"
#include "rookery/telemetry/log.h"

namespace rookery::gateway {
namespace {

// More than any cluster has: whoever says so is no session-manager of ours.
constexpr int kMaxKnown = 10'000;

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
    auto& hello = *link_->Add().mutable_hello();
    hello.set_instance(pool_.self_.instance);
    const Incarnation incarnation = pool_.self_.incarnation();
    hello.mutable_incarnation()->set_started_at_ms(incarnation.started_at_ms);
    hello.mutable_incarnation()->set_random(incarnation.random);
  }

  void Close() {
    listed_ = false;
    timer_.cancel();
    if (link_ != nullptr) link_->Close();
  }

  /// Another process has the instance's name: nothing more is heard from this one.
  void Abandon() {
    listed_ = false;
    timer_.cancel();
    if (link_ == nullptr) return;
    telemetry::LogInfo("link.replaced", {{"peer", instance_.id}, {"address", instance_.address}});
    Down();
  }

  void OnAction(session::v1::SessionManagerAction action) override {
    if (link_ == nullptr) return;
    if (action.has_hello()) {
      retry_.Reset();
      is_up_ = true;
      telemetry::LogInfo("link.up", {{"peer", action.hello().instance()}, {"address", instance_.address}});
    }
    if (action.has_gateway_replaced()) {
      return pool_.self_.on_replaced(absl::AbortedError(
          "a newer gateway has the name `" + pool_.self_.instance + "`: each needs its own `instance`"));
    }
    if (action.has_session_managers_known()) return Learn(action.session_managers_known());
    pool_.handler_.OnLinkAction(id_, std::move(action));
  }

  void OnFrameEnd() override { pool_.handler_.OnLinkFrameEnd(); }

  void OnUncongested() override {
    if (link_ != nullptr) pool_.handler_.OnLinkUncongested(id_);
  }

  void OnClosed(const absl::Status& status) override {
    if (link_ == nullptr) return;
    // Once for each loss: not again for each attempt to reach it.
    if (is_up_ && status.ok()) {
      telemetry::LogInfo("link.closed", {{"peer", instance_.id}, {"address", instance_.address}});
    } else if (is_up_ || retry_.failures() == 0) {
      telemetry::LogWarn(
          is_up_ ? "link.down" : "link.unreachable",
          {{"peer", instance_.id}, {"address", instance_.address}, {"reason", status.ToString()}});
    }
    Down();
    if (pool_.closing_) return;
    if (listed_) Retry();
    // Those that only this one has told of are listed no more.
    pool_.UpdateLater();
  }

  void set_listed(bool listed) { listed_ = listed; }
  bool is_open() const { return link_ != nullptr; }
  rpc::GatewayLink* link() const { return link_.get(); }
  const routing::Instance& instance() const { return instance_; }
  const std::vector<routing::Instance>& known() const { return known_; }

  /// False: `listed` is another process.
  bool Recognize(const routing::Instance& listed) {
    if (listed.address != instance_.address) {
      // Stale news, if it is of an older process.
      return listed.incarnation.is_known() && listed.incarnation < instance_.incarnation;
    }
    // A link that was opened again may lead to the newer process already.
    if (!is_first_link_ && !is_told_) return true;
    if (listed.incarnation > instance_.incarnation && instance_.incarnation.is_known()) return false;
    instance_.incarnation = std::max(instance_.incarnation, listed.incarnation);
    return true;
  }

 private:
  void Down() {
    // The link may be calling us: it goes when this call is over, and we not before it.
    asio::post(pool_.io_,
               [self = shared_from_this(), link = std::shared_ptr<rpc::GatewayLink>(std::move(link_))] {});
    link_ = nullptr;
    is_up_ = is_told_ = is_first_link_ = false;
    known_.clear();
    const LinkId id = std::exchange(id_, 0);
    std::erase_if(pool_.open_, [id](const auto& open) { return open.first == id; });
    pool_.links_up_.Set(static_cast<double>(pool_.open_.size()));
    pool_.links_lost_.Increment();
    pool_.handler_.OnLinkDown(id);
  }

  void Learn(const session::v1::SessionManagersKnown& told) {
    if (told.session_managers_size() > kMaxKnown) return;
    known_.clear();
    for (const auto& one : told.session_managers()) {
      if (one.instance().empty() || one.address().empty()) continue;
      if (one.instance() == instance_.id && one.address() == instance_.address) {
        // No two processes have one address, so it speaks of itself.
        instance_.incarnation = {one.incarnation().started_at_ms(), one.incarnation().random()};
        is_told_ = true;
      }
      known_.push_back(
          {one.instance(), one.address(), {one.incarnation().started_at_ms(), one.incarnation().random()}});
    }
    pool_.UpdateLater();
  }

  void Retry() {
    timer_.expires_after(retry_.Next());
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || self == nullptr || !self->listed_ || self->link_ != nullptr) return;
      self->Open();
    });
  }

  LinkPool& pool_;
  routing::Instance instance_;
  runtime::Timer timer_;
  BackoffDelays retry_{kBackendRetries};
  std::unique_ptr<rpc::GatewayLink> link_;
  LinkId id_ = 0;
  std::vector<routing::Instance> known_;  // as it told last
  bool is_up_ = false;                    // it has said hello
  bool is_told_ = false;                  // and which incarnation it is
  bool is_first_link_ = true;             // none was lost
  bool listed_ = true;
};

LinkPool::LinkPool(asio::io_context& io, Open open, GatewayIdentity self, Handler& handler,
                   telemetry::Metrics& metrics)
    : io_(io),
      open_link_(std::move(open)),
      self_(std::move(self)),
      handler_(handler),
      links_up_(metrics.Gauge("links_up", "Links to session-managers that are up")),
      links_lost_(
          metrics.Counter("links_lost_total", "Links to session-managers that ended or failed to open")) {}

LinkPool::~LinkPool() = default;

void LinkPool::SetInstances(const std::vector<routing::Instance>& instances) {
  registered_ = instances;
  Update();
}

std::map<std::string, routing::Instance> LinkPool::Listed() const {
  std::map<std::string, routing::Instance> listed;
  const auto add = [&](const routing::Instance& instance) {
    const auto [known, is_new] = listed.emplace(instance.id, instance);
    if (!is_new && known->second.incarnation < instance.incarnation) known->second = instance;
  };
  for (const auto& instance : registered_) add(instance);
  for (const auto& [id, peer] : open_) {
    for (const auto& instance : peer->known()) add(instance);
  }
  return listed;
}

void LinkPool::UpdateLater() {
  // Not from within a call of a link.
  asio::post(io_, lifetime_.While([this] { Update(); }));
}

void LinkPool::Update() {
  if (closing_) return;
  const std::map<std::string, routing::Instance> listed = Listed();
  for (auto it = peers_.begin(); it != peers_.end();) {
    Peer& peer = *it->second;
    const auto found = listed.find(it->first);
    if (found != listed.end() && peer.Recognize(found->second)) {
      peer.set_listed(true);
      ++it;
    } else if (found != listed.end()) {
      peer.Abandon();
      it = peers_.erase(it);
    } else {
      // A link that works is kept whatever anybody says: it may be the registry that is wrong.
      peer.set_listed(false);
      it = peer.is_open() ? std::next(it) : peers_.erase(it);
    }
  }
  for (const auto& [id, instance] : listed) {
    if (peers_.contains(id)) continue;
    const auto peer = std::make_shared<Peer>(*this, instance);
    peers_.emplace(id, peer);
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
