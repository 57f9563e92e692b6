// A gateway process: the real SessionLinks, LinkPool, windows and shard table. In place of XML streams
// (client_stream.cc) it has Stream, which makes the same calls of the Cluster, but reads at once whatever
// comes.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "adapters/session_links.h"
#include "environment.h"
#include "ports/cluster.h"
#include "protocols/xmpp/sm_id.h"
#include "rookery/base/deadline.h"
#include "rookery/routing/registry.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using namespace gateway;  // NOLINT: this file is that service's part

class SimulatedGateway;

class Stream final : public SessionClient, public std::enable_shared_from_this<Stream> {
 public:
  Stream(SimulatedGateway& gateway, std::uint64_t connection) : gateway_(gateway), connection_(connection) {}

  void Receive(ToServer frame);
  void Shutdown() { CloseWithError("system-shutdown", EndReason::kConnectionLost); }
  void EndSession(EndReason reason);
  bool is_closed() const { return is_closed_; }

  void OnPacket(const xmpp::Stanza& stanza, std::string_view to) override;
  void OnConfirmed() override {}
  void OnBatchEnd() override;
  void OnSessionEnded(std::string_view condition, std::string_view text) override;
  void OnUncongested() override {}
  bool has_closed() const override { return false; }

 private:
  Cluster& cluster();
  void Send(ToClient::Kind kind, std::string text = {}, std::uint32_t h = 0, bool has_h = false);
  void CloseWithError(std::string_view condition, EndReason reason);
  void Close(std::string_view condition);
  void OnResumed(const Cluster::Resumption& resumption, const std::string& sm_id, std::uint64_t base);
  void SendAck();
  void RequestAck();
  void OnDrained();

  SimulatedGateway& gateway_;
  const std::uint64_t connection_;
  Cluster::RequestId request_ = 0;
  ClientSession* session_ = nullptr;
  std::uint64_t inbound_base_ = 0;
  std::uint64_t ack_owed_ = 0;
  bool is_ack_requested_ = false;
  bool is_drain_posted_ = false;
  bool is_closed_ = false;
};

class SimulatedGateway final : public GatewayProcess {
 public:
  SimulatedGateway(Environment& environment, std::string name, SendToClient send)
      : GatewayProcess(environment.world, std::move(name)),
        environment_(environment),
        send_(std::move(send)) {}

  void Receive(std::uint64_t connection, ToServer frame) override {
    Parts& p = *parts_;
    auto it = p.streams.find(connection);
    if (it == p.streams.end()) {
      const bool is_first = frame.kind == ToServer::Kind::kStart || frame.kind == ToServer::Kind::kResume;
      if (!is_first || p.is_draining) return;
      it = p.streams.emplace(connection, std::make_shared<Stream>(*this, connection)).first;
    }
    // It may be retired within the call.
    const std::shared_ptr<Stream> stream = it->second;
    stream->Receive(std::move(frame));
  }
  std::size_t sessions() const override { return parts_ == nullptr ? 0 : parts_->links.session_count(); }
  std::size_t streams() const override { return parts_ == nullptr ? 0 : parts_->streams.size(); }

  Cluster& cluster() { return parts_->links; }
  const Environment& environment() const { return environment_; }
  void Send(std::uint64_t connection, ToClient frame) { send_(connection, std::move(frame)); }
  void Retire(std::uint64_t connection) {
    const auto it = parts_->streams.find(connection);
    if (it == parts_->streams.end()) return;
    asio::post(io(), [gone = std::move(it->second)] {});
    parts_->streams.erase(it);
  }

 private:
  struct Parts {
    Parts(Environment& environment, SimulatedGateway& process)
        : redis(MakeRedisClient(environment.world, process, environment.redis, environment.redis_data)),
          registry(routing::Registry::Create(process.io(), *redis)),
          links(
              process.io(), Clock::System(),
              [&environment, &process](const std::string& address, rpc::GatewayLinkHandler& handler) {
                return environment.links.Open(process, address, handler);
              },
              SessionLinksOptions{},
              {process.name(), [this] { return registry->incarnation(); },
               [&process](const absl::Status&) { process.EndSoon(); }},
              metrics) {}

    telemetry::Metrics metrics{"gateway"};
    std::unique_ptr<redis::Client> redis;
    std::unique_ptr<routing::Registry> registry;
    SessionLinks links;
    std::map<std::uint64_t, std::shared_ptr<Stream>> streams;
    bool is_draining = false;
  };

  void Boot() override {
    parts_ = std::make_unique<Parts>(environment_, *this);
    Parts& p = *parts_;
    p.registry->Watch("session-manager", [&p](const std::vector<routing::Instance>& instances) {
      p.links.SetInstances(instances);
    });
    p.registry->Announce("gateway", {name(), ""}, [this](const absl::Status&) { EndSoon(); });
  }
  Task<void> Drain() override {
    Parts& p = *parts_;
    p.is_draining = true;
    std::vector<std::shared_ptr<Stream>> all;
    for (const auto& [connection, stream] : p.streams) all.push_back(stream);
    for (const auto& stream : all) stream->Shutdown();
    const Deadline deadline = Deadline::After(seconds(10));
    while (p.links.session_count() > 0 && !deadline.IsExpired()) co_await runtime::Sleep(milliseconds(100));
    co_await p.registry->Withdraw();
    p.links.Close();
    co_await runtime::Sleep(milliseconds(100));
  }
  void Unmake() override {
    io().restart();
    io().poll();
    parts_->streams.clear();
    parts_.reset();
  }

  Environment& environment_;
  const SendToClient send_;
  std::unique_ptr<Parts> parts_;
};

Cluster& Stream::cluster() { return gateway_.cluster(); }

void Stream::Send(ToClient::Kind kind, std::string text, std::uint32_t h, bool has_h) {
  ToClient frame;
  frame.kind = kind;
  frame.text = std::move(text);
  frame.h = h;
  frame.has_h = has_h;
  gateway_.Send(connection_, std::move(frame));
}

void Stream::Receive(ToServer frame) {
  if (is_closed_) return;
  switch (frame.kind) {
    case ToServer::Kind::kStart:
      request_ = cluster().Start(Identity(frame.user), frame.resource, *this,
                                 [this](ClientSession* session, const ActionFailure& refusal) {
                                   request_ = 0;
                                   if (session == nullptr) {
                                     Send(ToClient::Kind::kRefused, refusal.condition);
                                     return;
                                   }
                                   session_ = session;
                                   ToClient started;
                                   started.kind = ToClient::Kind::kStarted;
                                   started.text = session->full_jid;
                                   started.session = std::string(session->id.bytes());
                                   gateway_.Send(connection_, std::move(started));
                                 });
      return;
    case ToServer::Kind::kResume: {
      const auto id = SmId::Parse(frame.sm_id);
      if (!id) return CloseWithError("bad-format", EndReason::kClosed);
      request_ = cluster().Resume(
          id->session, Identity(frame.user), frame.h, *this,
          [this, sm_id = frame.sm_id, base = id->inbound_base](const Cluster::Resumption& resumption) {
            request_ = 0;
            OnResumed(resumption, sm_id, base);
          });
      return;
    }
    case ToServer::Kind::kBroken:
      OnDrained();
      EndSession(EndReason::kConnectionLost);
      return Close({});
    case ToServer::Kind::kClose:
      OnDrained();
      EndSession(EndReason::kClosed);
      return Close({});
    default:
      break;
  }
  if (session_ == nullptr) return;
  OutboundWindow& outbound = session_->outbound;
  switch (frame.kind) {
    case ToServer::Kind::kEnable:
      if (outbound.stream_management()) return;
      outbound.EnableStreamManagement(true);
      inbound_base_ = session_->inbound.received();
      cluster().StreamManagementEnabled(*session_);
      return Send(ToClient::Kind::kEnabled, SmId{session_->id, inbound_base_}.ToText());
    case ToServer::Kind::kStanza:
      frame.stanza.set_from(session_->full_jid);
      return cluster().SendStanza(*session_, std::move(frame.stanza), std::nullopt);
    case ToServer::Kind::kRequestAck:
      return SendAck();
    case ToServer::Kind::kAck:
      is_ack_requested_ = false;
      switch (outbound.Acknowledge(frame.h)) {
        case OutboundWindow::Ack::kTooHigh:
          return CloseWithError("undefined-condition", EndReason::kClosed);
        case OutboundWindow::Ack::kAdvanced:
          cluster().Delivered(*session_);
          break;
        case OutboundWindow::Ack::kUnchanged:
          return;
      }
      if (!outbound.unacked().empty()) RequestAck();
      return;
    default:
      return;
  }
}

void Stream::OnResumed(const Cluster::Resumption& resumption, const std::string& sm_id, std::uint64_t base) {
  const auto wire_h = [base](std::uint64_t count) {
    return static_cast<std::uint32_t>(count - std::min(count, base));
  };
  if (resumption.session != nullptr) {
    session_ = resumption.session;
    inbound_base_ = std::min(base, session_->inbound.received());
    return Send(ToClient::Kind::kResumed, sm_id, wire_h(session_->inbound.confirmed()), true);
  }
  if (resumption.handled_too_high) return CloseWithError("undefined-condition", EndReason::kClosed);
  if (resumption.refusal.temporary) return CloseWithError("resource-constraint", EndReason::kClosed);
  Send(ToClient::Kind::kNotResumed, resumption.refusal.condition, wire_h(resumption.ended_count),
       resumption.has_ended_count);
}

void Stream::SendAck() {
  const InboundWindow& inbound = session_->inbound;
  const bool is_too_early = gateway_.environment().mutation == "acknowledge-on-receipt";
  const std::uint64_t confirmed = is_too_early ? inbound.received() : inbound.confirmed();
  ack_owed_ = confirmed < inbound.received() ? inbound.received() : 0;
  Send(ToClient::Kind::kAck, {},
       static_cast<std::uint32_t>(std::max(confirmed, inbound_base_) - inbound_base_), true);
}

void Stream::RequestAck() {
  is_ack_requested_ = true;
  Send(ToClient::Kind::kRequestAck);
}

void Stream::OnPacket(const xmpp::Stanza& stanza, std::string_view to) {
  if (is_closed_) return;
  ToClient frame;
  frame.kind = ToClient::Kind::kStanza;
  frame.stanza = stanza;
  if (!to.empty()) frame.stanza.set_to(std::string(to));
  gateway_.Send(connection_, std::move(frame));
  // The kernel takes it soon after.
  if (session_->outbound.stream_management() || std::exchange(is_drain_posted_, true)) return;
  asio::post(gateway_.io(), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self != nullptr && !self->is_closed_) self->OnDrained();
  });
}

void Stream::OnDrained() {
  is_drain_posted_ = false;
  if (session_ != nullptr && session_->outbound.Drained()) cluster().Delivered(*session_);
}

void Stream::OnBatchEnd() {
  if (session_ == nullptr) return;
  if (ack_owed_ != 0 && session_->inbound.confirmed() >= ack_owed_) SendAck();
  if (session_->outbound.stream_management() && !is_ack_requested_ && !session_->outbound.unacked().empty())
    RequestAck();
}

void Stream::OnSessionEnded(std::string_view condition, std::string_view) {
  if (is_closed_) return;
  session_ = nullptr;
  if (condition.empty()) return Close({});
  CloseWithError(condition, EndReason::kClosed);
}

void Stream::CloseWithError(std::string_view condition, EndReason reason) {
  if (is_closed_) return;
  EndSession(reason);
  Close(condition);
}

void Stream::EndSession(EndReason reason) {
  if (request_ != 0) cluster().Cancel(std::exchange(request_, 0));
  if (session_ == nullptr) return;
  cluster().End(*std::exchange(session_, nullptr), reason);
}

void Stream::Close(std::string_view condition) {
  is_closed_ = true;
  Send(ToClient::Kind::kClosed, std::string(condition));
  gateway_.Retire(connection_);
}

}  // namespace

std::unique_ptr<GatewayProcess> MakeGateway(Environment& environment, std::string name, SendToClient send) {
  return std::make_unique<SimulatedGateway>(environment, std::move(name), std::move(send));
}

}  // namespace rookery::simulation
