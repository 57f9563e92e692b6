#include "rookery/rpc/session_link.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "channel_options.h"
#include "rookery/rpc/io_port.h"
#include "rookery/rpc/unary.h"
#include "rookery/session/v1/session_link_service.grpc.pb.h"

// A stream is one object, on the I/O thread but for gRPC's reactions. A reaction
// touches the two atomics and the inbound frame that is its turn, and posts. The
// last post, after OnDone, frees the object; gRPC calls OnDone only when every other
// reaction has returned, and posts keep their order, so no post comes later.
namespace rookery::rpc {
namespace {

using session::v1::GatewayAction;
using session::v1::LinkRequest;
using session::v1::LinkResponse;
using session::v1::SessionManagerAction;

using SteadyClock = std::chrono::steady_clock;

constexpr int kFrameActions = 256;
constexpr std::size_t kFrameBytes = 256 << 10;
// Kept for reuse; more than this only a burst needs.
constexpr std::size_t kSpareFrames = 4;
constexpr std::chrono::milliseconds kRateWindow{20};

template <typename OutAction, typename OutMessage, typename InAction, typename InMessage>
struct Side {
  using Out = OutAction;
  using OutFrame = OutMessage;
  using In = InAction;
  using InFrame = InMessage;
};
using GatewaySide = Side<GatewayAction, LinkRequest, SessionManagerAction, LinkResponse>;
using SessionManagerSide = Side<SessionManagerAction, LinkResponse, GatewayAction, LinkRequest>;

// The part that both ends share: the outbox, the inbound frames, who hears what.
template <typename S>
class Stream : public std::enable_shared_from_this<Stream<S>> {
 public:
  using Out = typename S::Out;
  using OutFrame = typename S::OutFrame;
  using In = typename S::In;
  using InFrame = typename S::InFrame;

  Stream(asio::io_context& io, const LinkLimits& limits)
      : io_(io), port_(IoPort::Of(io)), limits_(limits), work_(io.get_executor()), gather_(io), stuck_(io) {}
  virtual ~Stream() = default;

  Out& Add() {
    MeasureLast();
    if (outbox_.empty() || outbox_.back().frame->actions_size() >= kFrameActions ||
        outbox_.back().bytes >= kFrameBytes) {
      outbox_.push_back(Frame{TakeSpare(), 0});
      // A full frame waits for nothing.
      if (outbox_.size() > 1) FlushSoon();
    }
    last_unmeasured_ = true;
    ++recent_;
    if (!flush_soon_ && !flush_later_) ScheduleFlush();
    return *outbox_.back().frame->add_actions();
  }

  std::size_t outbox_bytes() {
    MeasureLast();
    return outbox_bytes_;
  }

  bool is_congested() {
    if (outbox_bytes() >= limits_.max_outbox_bytes) is_congested_ = true;
    return is_congested_;
  }

  void Close() {
    closing_ = true;
    FlushSoon();
  }

  // The owner of the link is gone: nobody hears, nothing is sent.
  void Abandon() {
    handler_ = nullptr;
    abandoned_ = true;
    DropOutbox();
    if (!done_) IssueCancel();
  }

  bool abandoned() const { return abandoned_; }

 protected:
  virtual void IssueRead(InFrame* frame) = 0;
  virtual void IssueWrite(const OutFrame* frame) = 0;
  // Everything is written and no write is in flight: end our direction.
  virtual void IssueEnd() = 0;
  virtual void IssueCancel() = 0;
  // No frame follows: the peer ended its direction, or the stream broke.
  virtual void OnInboundEnd() = 0;

  // ---- I/O thread ----

  void Begin(LinkHandler<In>* handler) {
    handler_ = handler;
    IssueRead(&inbound_[0]);
  }

  // A frame costs some 40 us of CPU whatever is in it, so the busier the link, the longer
  // frames gather; an idle one waits for nothing.
  void ScheduleFlush() {
    const auto now = SteadyClock::now();
    if (const auto passed = now - window_start_; passed >= kRateWindow) {
      rate_ = static_cast<double>(recent_) / std::chrono::duration<double>(passed).count();
      recent_ = 0;
      window_start_ = now;
    }
    const auto due = last_flush_ + GatherTime();
    if (due <= now) {
      FlushSoon();
      return;
    }
    if (ended_) return;
    flush_later_ = true;
    gather_.expires_at(due);
    gather_.async_wait([self = this->shared_from_this()](const boost::system::error_code&) {
      self->flush_later_ = false;
      self->Flush();
    });
  }

  std::chrono::milliseconds GatherTime() const {
    if (rate_ < 300) return std::chrono::milliseconds(0);
    return std::chrono::milliseconds(rate_ < 5'000 ? 3 : 4);
  }

  // At the end of this turn of the loop, so that what is sent within it goes together.
  void FlushSoon() {
    if (flush_soon_ || ended_) return;
    flush_soon_ = true;
    asio::post(io_, [self = this->shared_from_this()] {
      self->flush_soon_ = false;
      self->Flush();
    });
  }

  void Flush() {
    if (ended_) return;
    if (outbox_.empty() && !closing_) return;
    // Whoever finds the write in flight is called again when it is done.
    if (write_state_.load(std::memory_order_acquire) != kIdle &&
        write_state_.exchange(kWanted, std::memory_order_acq_rel) != kIdle) {
      return;
    }
    if (broken_.load(std::memory_order_acquire)) DropOutbox();
    RecycleWritten();
    if (outbox_.empty()) {
      write_state_.store(kIdle, std::memory_order_release);
      if (closing_) {
        ended_ = true;
        IssueEnd();
      }
      return;
    }
    MeasureLast();
    last_flush_ = SteadyClock::now();
    writing_ = std::move(outbox_.front());
    outbox_.pop_front();
    outbox_bytes_ -= writing_.bytes;
    write_state_.store(outbox_.empty() && !closing_ ? kWriting : kWanted, std::memory_order_release);
    WatchWrite();
    IssueWrite(writing_.frame.get());
    if (is_congested_ && outbox_bytes_ <= limits_.max_outbox_bytes / 2) {
      is_congested_ = false;
      if (handler_ != nullptr) handler_->OnUncongested();
    }
  }

  // The peer's kernel and gRPC's threads there may be well while its I/O thread takes no frame.
  // One timer watches all writes: re-armed when it is due, not for each of them.
  void WatchWrite() {
    write_begun_ = SteadyClock::now();
    if (!is_watching_) AwaitStuck(write_begun_ + limits_.stuck_after);
  }

  void AwaitStuck(SteadyClock::time_point due) {
    is_watching_ = true;
    stuck_.expires_at(due);
    stuck_.async_wait([self = this->shared_from_this()](const boost::system::error_code& error) {
      self->is_watching_ = false;
      if (error || self->done_ || self->write_state_.load(std::memory_order_acquire) == kIdle) return;
      const auto at = self->write_begun_ + self->limits_.stuck_after;
      if (SteadyClock::now() < at) return self->AwaitStuck(at);
      self->is_stuck_ = true;
      self->IssueCancel();
    });
  }

  void HandleFrame(std::size_t index) {
    InFrame& frame = inbound_[index];
    for (auto& action : *frame.mutable_actions()) {
      if (handler_ == nullptr) break;
      handler_->OnAction(std::move(action));
    }
    if (handler_ != nullptr) handler_->OnFrameEnd();
    frame.Clear();
    // Both were full: the reaction left it to us to read on.
    const bool stalled = filled_.fetch_sub(1, std::memory_order_acq_rel) == static_cast<int>(inbound_.size());
    if (stalled && !finished_) IssueNextRead();
  }

  void HandleDone(const absl::Status& status) {
    ended_ = true;
    done_ = true;
    gather_.cancel();
    stuck_.cancel();
    work_.reset();
    if (LinkHandler<In>* handler = std::exchange(handler_, nullptr))
      handler->OnClosed(is_stuck_ ? absl::UnavailableError("the peer takes nothing any more") : status);
  }

  // ---- gRPC's threads ----

  void ReadDone(bool ok) {
    if (!ok) {
      port_->Post([this] { OnInboundEnd(); });
      return;
    }
    const std::size_t index = reading_;
    // Posted before it is counted: frames are handled in the order of their reads.
    port_->Post([this, index] { HandleFrame(index); });
    if (filled_.fetch_add(1, std::memory_order_acq_rel) + 1 < static_cast<int>(inbound_.size()))
      IssueNextRead();
  }

  void WriteDone(bool ok) {
    if (!ok) broken_.store(true, std::memory_order_release);
    if (write_state_.exchange(kIdle, std::memory_order_acq_rel) == kWanted) {
      port_->Post([self = this->shared_from_this()] { self->Flush(); });
    }
  }

  asio::io_context& io_;
  const std::shared_ptr<IoPort> port_;
  const LinkLimits limits_;
  LinkHandler<In>* handler_ = nullptr;
  bool closing_ = false;
  bool ended_ = false;     // IssueEnd was called, or the stream is over: no write follows
  bool finished_ = false;  // no read may be started any more
  bool done_ = false;
  bool abandoned_ = false;

 private:
  struct Frame {
    std::unique_ptr<OutFrame> frame;
    std::size_t bytes = 0;
  };
  enum WriteState : int { kIdle, kWriting, kWanted };

  // Only the one who may start the next read gets here, one at a time.
  void IssueNextRead() {
    reading_ = (reading_ + 1) % inbound_.size();
    IssueRead(&inbound_[reading_]);
  }

  void DropOutbox() {
    outbox_.clear();
    outbox_bytes_ = 0;
    last_unmeasured_ = false;
  }

  void MeasureLast() {
    if (!std::exchange(last_unmeasured_, false)) return;
    Frame& frame = outbox_.back();
    // Two bytes and more of framing are neglected.
    const std::size_t bytes = frame.frame->actions(frame.frame->actions_size() - 1).ByteSizeLong();
    frame.bytes += bytes;
    outbox_bytes_ += bytes;
  }

  void RecycleWritten() {
    if (writing_.frame == nullptr) return;
    if (spares_.size() < kSpareFrames) {
      writing_.frame->Clear();
      spares_.push_back(std::move(writing_.frame));
    }
    writing_.frame.reset();
  }

  std::unique_ptr<OutFrame> TakeSpare() {
    if (spares_.empty()) return std::make_unique<OutFrame>();
    std::unique_ptr<OutFrame> frame = std::move(spares_.back());
    spares_.pop_back();
    return frame;
  }

  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::deque<Frame> outbox_;
  std::size_t outbox_bytes_ = 0;
  bool last_unmeasured_ = false;
  bool flush_soon_ = false;
  bool flush_later_ = false;
  asio::steady_timer gather_;
  asio::steady_timer stuck_;
  SteadyClock::time_point write_begun_{};
  bool is_watching_ = false;
  bool is_stuck_ = false;
  bool is_congested_ = false;
  SteadyClock::time_point last_flush_{};
  SteadyClock::time_point window_start_ = SteadyClock::now();
  std::size_t recent_ = 0;
  double rate_ = 0;
  Frame writing_;
  std::vector<std::unique_ptr<OutFrame>> spares_;
  std::atomic<int> write_state_{kIdle};
  std::atomic<bool> broken_{false};

  // One is being read while the other is handled.
  std::array<InFrame, 2> inbound_;
  std::size_t reading_ = 0;
  std::atomic<int> filled_{0};
};

template <typename S>
class LinkEnd final : public Link<typename S::Out> {
 public:
  using Out = typename S::Out;

  explicit LinkEnd(std::shared_ptr<Stream<S>> stream) : stream_(std::move(stream)) {}
  ~LinkEnd() override { stream_->Abandon(); }

  Out& Add() override { return stream_->Add(); }
  std::size_t outbox_bytes() const override { return stream_->outbox_bytes(); }
  bool is_congested() const override { return stream_->is_congested(); }
  void Close() override { stream_->Close(); }

 private:
  const std::shared_ptr<Stream<S>> stream_;
};

class ClientStream final : public Stream<GatewaySide>,
                           public grpc::ClientBidiReactor<LinkRequest, LinkResponse> {
 public:
  ClientStream(asio::io_context& io, const ClientOptions& options, const std::string& address,
               const LinkLimits& limits)
      // The caller decides when to try again, so no wait is inherited from an earlier attempt.
      : Stream(io, limits),
        stub_(session::v1::SessionLinkService::NewStub(NewChannel(options, address, true))) {}

  void Start(GatewayLinkHandler& handler) {
    self_ = shared_from_this();
    stub_->async()->Link(&context_, this);
    // We start reads and writes from outside of reactions; gRPC waits for us before OnDone.
    AddHold();
    Begin(&handler);
    StartCall();
  }

 private:
  void IssueRead(LinkResponse* frame) override { StartRead(frame); }
  void IssueWrite(const LinkRequest* frame) override { StartWrite(frame); }
  void IssueEnd() override { StartWritesDone(); }
  void IssueCancel() override { context_.TryCancel(); }
  void OnInboundEnd() override {
    ended_ = true;
    RemoveHold();
  }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override { WriteDone(ok); }
  void OnDone(const grpc::Status& status) override {
    port_->Post([this, status] {
      const std::shared_ptr<Stream> self = std::move(self_);
      HandleDone(FromGrpc(status));
    });
  }

  const std::unique_ptr<session::v1::SessionLinkService::Stub> stub_;
  grpc::ClientContext context_;
  std::shared_ptr<Stream> self_;
};

class ServerStream final : public Stream<SessionManagerSide>,
                           public grpc::ServerBidiReactor<LinkRequest, LinkResponse> {
 public:
  ServerStream(asio::io_context& io, grpc::CallbackServerContext* context, const LinkLimits& limits)
      : Stream(io, limits), context_(context) {}

  // gRPC's thread. False: nobody will run it.
  bool Accept(const OnLink& on_link) {
    self_ = shared_from_this();
    const bool posted = port_->Post([this, &on_link] {
      SessionManagerLinkHandler* handler =
          on_link(std::make_unique<LinkEnd<SessionManagerSide>>(shared_from_this()));
      if (abandoned_ || handler == nullptr) {
        IssueCancel();
        Close();
      } else {
        Begin(handler);
      }
    });
    if (!posted) self_.reset();
    return posted;
  }

 private:
  void IssueRead(LinkRequest* frame) override { StartRead(frame); }
  void IssueWrite(const LinkResponse* frame) override { StartWrite(frame); }
  void IssueEnd() override {
    finished_ = true;
    Finish(grpc::Status::OK);
  }
  void IssueCancel() override {
    // The context may be gone once the stream is finished.
    if (!finished_) context_->TryCancel();
  }
  // The gateway said that it ends, or is gone: what is queued goes out, or fails.
  void OnInboundEnd() override { Close(); }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override { WriteDone(ok); }
  void OnDone() override {
    const bool cancelled = context_->IsCancelled();
    port_->Post([this, cancelled] {
      const std::shared_ptr<Stream> self = std::move(self_);
      HandleDone(cancelled ? absl::UnavailableError("the link broke") : absl::OkStatus());
    });
  }

  grpc::CallbackServerContext* const context_;
  std::shared_ptr<Stream> self_;
};

class RefusedStream final : public grpc::ServerBidiReactor<LinkRequest, LinkResponse> {
 public:
  RefusedStream() { Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the process ends")); }

 private:
  void OnDone() override { delete this; }
};

class LinkService final : public session::v1::SessionLinkService::CallbackService {
 public:
  LinkService(asio::io_context& io, OnLink on_link, const LinkLimits& limits)
      : io_(io), on_link_(std::move(on_link)), limits_(limits) {}

  grpc::ServerBidiReactor<LinkRequest, LinkResponse>* Link(grpc::CallbackServerContext* context) override {
    auto stream = std::make_shared<ServerStream>(io_, context, limits_);
    if (!stream->Accept(on_link_)) return new RefusedStream;
    return stream.get();
  }

 private:
  asio::io_context& io_;
  const OnLink on_link_;
  const LinkLimits limits_;
};

}  // namespace

std::unique_ptr<GatewayLink> OpenLink(asio::io_context& io, const ClientOptions& options,
                                      const std::string& address, GatewayLinkHandler& handler,
                                      const LinkLimits& limits) {
  auto stream = std::make_shared<ClientStream>(io, options, address, limits);
  stream->Start(handler);
  return std::make_unique<LinkEnd<GatewaySide>>(std::move(stream));
}

std::unique_ptr<grpc::Service> MakeLinkService(asio::io_context& io, OnLink on_link,
                                               const LinkLimits& limits) {
  return std::make_unique<LinkService>(io, std::move(on_link), limits);
}

}  // namespace rookery::rpc
