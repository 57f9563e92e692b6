#include "node.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rookery/base/random.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"
#include "slots.h"
#include "socket.h"

namespace rookery::redis {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kFirstBackoff{50};
constexpr std::chrono::milliseconds kLongestBackoff{1'000};

absl::StatusOr<Reply> Convert(const redisReply& reply) {
  Reply converted;
  switch (reply.type) {
    case REDIS_REPLY_ERROR:
      return absl::FailedPreconditionError(std::string(reply.str, reply.len));
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_STRING:
      converted.type = Reply::Type::kText;
      converted.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_INTEGER:
      converted.type = Reply::Type::kInteger;
      converted.integer = reply.integer;
      break;
    case REDIS_REPLY_ARRAY:
      converted.type = Reply::Type::kArray;
      converted.array.reserve(reply.elements);
      for (std::size_t i = 0; i < reply.elements; ++i) {
        absl::StatusOr<Reply> element = Convert(*reply.element[i]);
        if (!element.ok()) return element;
        converted.array.push_back(*std::move(element));
      }
      break;
    default:
      break;
  }
  return converted;
}

}  // namespace

ClientMetrics::ClientMetrics(telemetry::Metrics& metrics)
    : succeeded(metrics.Counter("redis_commands_total", "Redis commands answered", {{"result", "ok"}})),
      failed(metrics.Counter("redis_commands_total", "Redis commands answered", {{"result", "error"}})),
      redirects(metrics.Counter("redis_redirects_total", "MOVED and ASK answers of a Redis Cluster")),
      connects(metrics.Counter("redis_connects_total", "Connections made to Redis")),
      losses(metrics.Counter("redis_connection_losses_total", "Connections to Redis that broke")),
      connected(metrics.Gauge("redis_connections", "Connections to Redis that are up")),
      seconds(metrics.Histogram("redis_command_seconds", "From sending a Redis command to its reply",
                                {0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 2})) {}

// hiredis's callbacks find the node through the context.
struct HiredisCallbacks {
  static Node* NodeOf(const redisAsyncContext* context) {
    return static_cast<Socket*>(context->data)->node();
  }
  static void OnConnect(const redisAsyncContext* context, int status) {
    if (Node* node = NodeOf(context)) node->OnConnect(status == REDIS_OK);
  }
  static void OnReply(redisAsyncContext* context, void* reply, void*) {
    if (Node* node = NodeOf(context)) node->OnReply(static_cast<const redisReply*>(reply));
  }
};

Node::Node(asio::io_context& io, std::string address, const Options& options, const ClientMetrics& metrics)
    : io_(io),
      address_(std::move(address)),
      user_(options.user),
      password_(options.password),
      time_limit_(options.timeout),
      metrics_(metrics),
      changed_(io),
      timeout_(io) {
  if (!SplitAddress(address_, &host_, &port_)) reason_ = "not a host:port";
}

Node::~Node() { Stop(); }

Task<void> Node::Run(std::shared_ptr<Node> self) {
  runtime::Backoff backoff({.first = kFirstBackoff, .max = kLongestBackoff});
  std::string last_reason;
  while (!self->is_stopped_) {
    std::string reason = co_await self->Connect();
    if (self->is_stopped_) co_return;
    if (reason.empty()) {
      backoff.Reset();
      last_reason.clear();
      telemetry::LogInfo("redis.connected", {{"node", self->address_}});
      while (self->socket_) {
        self->changed_.expires_at(Clock::time_point::max());
        co_await self->changed_.async_wait(kAwait);
      }
      if (self->is_stopped_) co_return;
      telemetry::LogWarn("redis.connection_lost", {{"node", self->address_}, {"reason", self->reason_}});
    } else if (reason != last_reason) {
      // Once a reason, not once a try.
      telemetry::LogWarn("redis.connect_failed", {{"node", self->address_}, {"reason", reason}});
      last_reason = std::move(reason);
    }
    co_await backoff.Wait();
  }
}

void Node::Stop() {
  is_stopped_ = true;
  Break("stopped");
  changed_.cancel();
}

Task<std::string> Node::Connect() {
  if (port_ == 0) co_return "not a host:port";
  // hiredis would block on a name.
  std::string ip = host_;
  boost::system::error_code not_an_address;
  asio::ip::make_address(host_, not_an_address);
  if (not_an_address) {
    asio::ip::tcp::resolver resolver(io_);
    const auto [error, found] = co_await resolver.async_resolve(host_, "", kAwait);
    if (error || found.empty()) co_return absl::StrCat("resolving: ", error.message());
    // Any of them: a name with several addresses is tried anew, at random, on failure.
    auto chosen = found.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(RandomU64() % found.size()));
    ip = chosen->endpoint().address().to_string();
  }
  if (is_stopped_) co_return "stopped";
  redisAsyncContext* context = redisAsyncConnect(ip.c_str(), port_);
  if (context == nullptr) co_return "no memory";
  if (context->err != 0) {
    const std::string reason = context->errstr;
    redisAsyncFree(context);
    co_return reason;
  }
  reason_.clear();
  socket_ = Socket::Attach(io_, context, *this);
  if (!socket_) {
    redisAsyncFree(context);
    co_return "the descriptor cannot be watched";
  }
  redisAsyncSetConnectCallback(context, HiredisCallbacks::OnConnect);
  changed_.expires_after(time_limit_);
  while (socket_ && !is_ready_) {
    const auto [error] = co_await changed_.async_wait(kAwait);
    if (!error) Break("connecting took too long");
  }
  if (is_ready_) co_return "";
  co_return reason_.empty() ? "closed" : reason_;
}

void Node::OnConnect(bool is_connected) {
  // Otherwise the context frees itself and OnClosed follows.
  if (!is_connected) return;
  socket_->SetConnected();
  if (password_.empty()) return BecomeReady();
  std::vector<std::string> command{"AUTH"};
  if (!user_.empty()) command.push_back(user_);
  command.push_back(password_);
  Append(Kind::kAuth, command, nullptr);
}

void Node::BecomeReady() {
  is_ready_ = true;
  metrics_.connects.Increment();
  metrics_.connected.Increment();
  changed_.cancel();
}

void Node::Send(const std::vector<std::string>& arguments, Answer answer, bool asking) {
  if (!is_ready_) return answer.Set(absl::UnavailableError("no connection to Redis"));
  if (asking) Append(Kind::kAsking, {"ASKING"}, nullptr);
  Append(Kind::kCommand, arguments, std::make_unique<Answer>(std::move(answer)));
}

void Node::Append(Kind kind, const std::vector<std::string>& arguments, std::unique_ptr<Answer> answer) {
  std::vector<const char*> values;
  std::vector<std::size_t> sizes;
  values.reserve(arguments.size());
  sizes.reserve(arguments.size());
  for (const std::string& argument : arguments) {
    values.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  commands_.push_back({kind, Clock::now(), std::move(answer)});
  const int appended = redisAsyncCommandArgv(socket_->context(), HiredisCallbacks::OnReply, nullptr,
                                             static_cast<int>(values.size()), values.data(), sizes.data());
  if (appended != REDIS_OK) {
    // Being closed, or no memory. Posted: this may be within a callback of hiredis.
    asio::post(io_, [self = shared_from_this(), socket = socket_] {
      if (self->socket_ == socket) self->Break("hiredis takes no command");
    });
    return;
  }
  ArmTimeout();
}

void Node::OnReply(const redisReply* reply) {
  // Null: the connection is going, OnClosed follows.
  if (reply == nullptr || commands_.empty()) return;
  Waiting waiting = std::move(commands_.front());
  commands_.pop_front();
  if (waiting.kind == Kind::kAsking) return;
  absl::StatusOr<Reply> converted = Convert(*reply);
  if (waiting.kind == Kind::kAuth) {
    if (converted.ok()) return BecomeReady();
    asio::post(io_, [self = shared_from_this(), socket = socket_,
                     reason = std::string(converted.status().message())] {
      if (self->socket_ == socket) self->Break(reason);
    });
    return;
  }
  metrics_.seconds.Observe(std::chrono::duration<double>(Clock::now() - waiting.given).count());
  waiting.answer->Set(std::move(converted));
}

void Node::OnClosed(const std::string& reason) {
  socket_.reset();
  reason_ = reason;
  FailAll(reason, false);
}

void Node::Break(const std::string& reason, bool is_overdue) {
  if (!socket_) return;
  const std::shared_ptr<Socket> socket = std::exchange(socket_, nullptr);
  socket->Close();
  reason_ = reason;
  FailAll(reason, is_overdue);
}

void Node::FailAll(const std::string& reason, bool is_overdue) {
  if (is_ready_) {
    metrics_.connected.Decrement();
    if (!is_stopped_) metrics_.losses.Increment();
  }
  is_ready_ = false;
  std::deque<Waiting> lost;
  lost.swap(commands_);
  for (Waiting& waiting : lost) {
    if (!waiting.answer) continue;
    waiting.answer->Set(is_overdue ? absl::DeadlineExceededError(reason) : absl::UnavailableError(reason));
    is_overdue = false;  // those behind it were not late themselves
  }
  timeout_.cancel();
  changed_.cancel();
}

void Node::ArmTimeout() {
  if (is_timeout_armed_ || commands_.empty()) return;
  is_timeout_armed_ = true;
  timeout_.expires_at(commands_.front().given + time_limit_);
  timeout_.async_wait([weak = weak_from_this()](const boost::system::error_code&) {
    if (const auto self = weak.lock()) {
      self->is_timeout_armed_ = false;
      self->OnTimeout();
    }
  });
}

void Node::OnTimeout() {
  // All have the same limit, so the oldest is due first; it may be long answered.
  if (commands_.empty()) return;
  if (Clock::now() < commands_.front().given + time_limit_) return ArmTimeout();
  Break("a reply took too long", true);
}

}  // namespace rookery::redis
