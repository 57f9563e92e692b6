#include "links.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <deque>
#include <optional>

#include "absl/strings/str_cat.h"
#include "message_id.h"

namespace rookery::simulation {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// libs/rpc/src/channel_options.h: a ping after 2 s, and 3 s for its answer.
constexpr milliseconds kKeepalive{5'000};
constexpr milliseconds kCheck{500};
constexpr milliseconds kConnectTimeout{2'000};

}  // namespace

// One direction of a stream, and the end that hears what comes out of it.
template <typename A>
struct Pipe {
  Process* from = nullptr;
  Process* to = nullptr;
  std::uint64_t from_life = 0;
  std::uint64_t to_life = 0;
  rpc::LinkHandler<A>* handler = nullptr;  // of the receiving end
  std::deque<A> outbox;
  std::size_t outbox_bytes = 0;
  bool is_flushing = false;
  SteadyTime last_arrival = SteadyTime::min();
  std::deque<std::vector<A>> held;  // by a cut
};

struct Links::Connection : std::enable_shared_from_this<Connection> {
  Connection(World& w, const Links& l) : world(w), links(l), hooks(l.hooks) {}

  template <typename A>
  Pipe<A>& pipe() {
    if constexpr (std::is_same_v<A, GatewayAction>) {
      return up;
    } else {
      return down;
    }
  }

  template <typename A>
  A& Add() {
    Pipe<A>& p = pipe<A>();
    if (!p.is_flushing && p.from->is_alive() && p.from->life() == p.from_life) {
      p.is_flushing = true;
      world.Post(*p.from, p.from_life, [self = shared_from_this()] { self->template Flush<A>(); });
    }
    return p.outbox.emplace_back();
  }

  template <typename A>
  void Flush() {
    Pipe<A>& p = pipe<A>();
    p.is_flushing = false;
    if (p.outbox.empty()) return;
    std::vector<A> frame(std::make_move_iterator(p.outbox.begin()), std::make_move_iterator(p.outbox.end()));
    p.outbox.clear();
    if (!is_open) return;
    if constexpr (std::is_same_v<A, GatewayAction>) {
      if (hooks.up) hooks.up(frame);
    } else {
      if (hooks.down) hooks.down(frame);
      for (const A& action : frame) NotePacket(action);
    }
    p.last_arrival = std::max(p.last_arrival + microseconds(1), world.now() + world.Latency());
    world.At(p.last_arrival, [self = shared_from_this(), f = std::move(frame)]() mutable {
      self->template Arrive<A>(std::move(f));
    });
  }

  void NotePacket(const SessionManagerAction& action) {
    if (action.has_packet() && links.on_packet) links.on_packet(action.packet().stanza());
    const std::uint64_t id = action.has_packet() ? ParseAnyId(action.packet().stanza().id()) : 0;
    if (id == 0) return;
    std::string text = absl::StrCat("#", id, " to ", up.from->name(), ", epoch ", action.epoch());
    for (const auto& target : action.packet().targets()) absl::StrAppend(&text, ", number ", target.seq());
    world.Note(up.to->name(), "packet", text);
  }

  template <typename A>
  void Arrive(std::vector<A> frame) {
    Pipe<A>& p = pipe<A>();
    if (!is_open) return;
    if (!world.Passes(*p.from, *p.to) || !p.held.empty()) {
      p.held.push_back(std::move(frame));
      return;
    }
    Deliver<A>(std::move(frame));
  }

  template <typename A>
  void Deliver(std::vector<A> frame) {
    Pipe<A>& p = pipe<A>();
    world.Post(*p.to, p.to_life, [self = shared_from_this(), f = std::move(frame)]() mutable {
      Pipe<A>& q = self->template pipe<A>();
      if constexpr (std::is_same_v<A, SessionManagerAction>)
        if (self->hooks.heard) self->hooks.heard(*q.to, f);
      for (A& action : f)
        if (q.handler != nullptr) q.handler->OnAction(std::move(action));
      if (q.handler != nullptr) q.handler->OnFrameEnd();
    });
  }

  template <typename A>
  void Release() {
    Pipe<A>& p = pipe<A>();
    while (is_open && !p.held.empty() && world.Passes(*p.from, *p.to)) {
      Deliver<A>(std::move(p.held.front()));
      p.held.pop_front();
    }
  }

  /// The end that hears A learns that the stream is over, after what has arrived already.
  template <typename A>
  void Tell(absl::Status status) {
    Pipe<A>& p = pipe<A>();
    world.Post(*p.to, p.to_life, [self = shared_from_this(), status = std::move(status)] {
      Pipe<A>& q = self->template pipe<A>();
      if (auto* handler = std::exchange(q.handler, nullptr)) handler->OnClosed(status);
    });
  }

  void Break(const absl::Status& status) {
    if (!is_open) return;
    is_open = false;
    Tell<GatewayAction>(status);
    Tell<SessionManagerAction>(status);
  }

  /// One end has closed its direction: the other one hears it when all before has arrived.
  template <typename A>
  void CloseFrom(absl::Status status) {
    Flush<A>();
    Pipe<A>& p = pipe<A>();
    p.last_arrival = std::max(p.last_arrival + microseconds(1), world.now() + world.Latency());
    world.At(p.last_arrival, [self = shared_from_this(), status = std::move(status)] {
      Pipe<A>& q = self->template pipe<A>();
      if (!self->is_open) return;
      if (self->world.Passes(*q.from, *q.to)) return self->Break(status);
      self->is_cancelled = true;  // the keepalive will say it
    });
  }

  World& world;
  const Links& links;
  const Hooks& hooks;
  Pipe<GatewayAction> up;           // heard by the session-manager
  Pipe<SessionManagerAction> down;  // heard by the gateway
  bool is_open = true;
  bool is_cancelled = false;
  std::optional<SteadyTime> silent_since;
};

template <typename Out>
class Links::End final : public rpc::Link<Out> {
 public:
  using In = std::conditional_t<std::is_same_v<Out, GatewayAction>, SessionManagerAction, GatewayAction>;

  explicit End(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~End() override {
    connection_->pipe<In>().handler = nullptr;
    if (connection_->is_open && connection_->pipe<Out>().from->is_alive())
      connection_->CloseFrom<Out>(absl::CancelledError("cancelled"));
  }

  Out& Add() override { return connection_->Add<Out>(); }
  std::size_t outbox_bytes() const override { return connection_->pipe<Out>().outbox.size() * 256; }
  /// The simulation's traffic never fills a link.
  bool is_congested() const override { return false; }
  void Close() override { connection_->CloseFrom<Out>(absl::OkStatus()); }

 private:
  const std::shared_ptr<Connection> connection_;
};

Links::Links(World& world) : world_(world) {
  world_.OnChange([this] { OnChange(); });
  world_.OnDeath([this](Process& process) { OnDeath(process); });
  world_.After(kCheck, [this] { Check(); });
}

void Links::Serve(Process& process, const std::string& address, Accept accept) {
  servers_[address] = {&process, process.life(), std::move(accept)};
}

std::unique_ptr<rpc::GatewayLink> Links::Open(Process& from, const std::string& address,
                                              rpc::GatewayLinkHandler& handler) {
  const auto connection = std::make_shared<Connection>(world_, *this);
  Pipe<SessionManagerAction>& down = connection->down;
  Pipe<GatewayAction>& up = connection->up;
  down.to = up.from = &from;
  down.to_life = up.from_life = from.life();
  down.handler = &handler;
  connections_.push_back(connection);

  const auto found = servers_.find(address);
  const bool is_there = found != servers_.end() && found->second.process->is_alive() &&
                        found->second.process->life() == found->second.life;
  if (found == servers_.end()) {
    // Nobody was ever there: the stream has no other end.
    up.to = down.from = &from;
    connection->is_open = false;
    connection->Tell<SessionManagerAction>(absl::UnavailableError("unknown address"));
    return std::make_unique<End<GatewayAction>>(connection);
  }
  const Server& server = found->second;
  up.to = down.from = server.process;
  up.to_life = down.from_life = server.life;
  if (!is_there || !world_.AreJoined(from, *server.process)) {
    connection->is_open = false;
    const bool is_refused = !is_there && world_.AreJoined(from, *server.process);
    world_.After(is_refused ? world_.Latency() : Duration(kConnectTimeout), [connection, is_refused] {
      connection->Tell<SessionManagerAction>(absl::UnavailableError(is_refused ? "refused" : "no answer"));
    });
    return std::make_unique<End<GatewayAction>>(connection);
  }
  up.last_arrival = world_.now() + world_.Latency();
  world_.At(up.last_arrival, [this, connection, address] {
    const auto it = servers_.find(address);
    Process& to = *connection->up.to;
    if (!to.is_alive() || to.life() != connection->up.to_life || it == servers_.end())
      return connection->Break(absl::UnavailableError("refused"));
    world_.Post(to, connection->up.to_life, [this, connection, address] {
      if (!connection->is_open) return;
      connection->up.handler =
          servers_[address].accept(std::make_unique<End<SessionManagerAction>>(connection));
    });
  });
  return std::make_unique<End<GatewayAction>>(connection);
}

void Links::OnDeath(Process& process) {
  for (const auto& connection : connections_) {
    const bool is_concerned =
        (connection->up.from == &process && connection->up.from_life == process.life()) ||
        (connection->up.to == &process && connection->up.to_life == process.life());
    if (!is_concerned || !connection->is_open) continue;
    // The dead end hears nothing and its handler goes now; the other end is told by its kernel.
    if (connection->up.from == &process) connection->down.handler = nullptr;
    if (connection->up.to == &process) connection->up.handler = nullptr;
    world_.After(world_.Latency(), [this, connection] {
      if (world_.AreJoined(*connection->up.from, *connection->up.to))
        connection->Break(absl::UnavailableError("reset by peer"));
    });
  }
}

void Links::OnChange() {
  for (const auto& connection : connections_) {
    connection->Release<GatewayAction>();
    connection->Release<SessionManagerAction>();
  }
}

void Links::Check() {
  for (const auto& connection : connections_) {
    if (!connection->is_open) continue;
    const Process& gateway = *connection->up.from;
    const Process& manager = *connection->up.to;
    const bool is_silent = !gateway.is_running() || !manager.is_running() ||
                           gateway.life() != connection->up.from_life ||
                           manager.life() != connection->up.to_life || !world_.AreJoined(gateway, manager) ||
                           connection->is_cancelled;
    if (!is_silent) {
      connection->silent_since.reset();
    } else if (!connection->silent_since) {
      connection->silent_since = world_.now();
    } else if (world_.now() - *connection->silent_since >= kKeepalive) {
      connection->Break(absl::UnavailableError("keepalive watchdog timeout"));
    }
  }
  std::erase_if(connections_, [](const auto& c) { return !c->is_open; });
  world_.After(kCheck, [this] { Check(); });
}

}  // namespace rookery::simulation
