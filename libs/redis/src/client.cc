#include "rookery/redis/client.h"

#include <boost/asio/post.hpp>
#include <csignal>
#include <utility>

#include "cluster.h"
#include "eval.h"
#include "node.h"

namespace rookery::redis {
namespace {

class SingleClient final : public EvalClient {
 public:
  SingleClient(asio::io_context& io, Options options, telemetry::Metrics& metrics)
      : io_(io),
        options_(std::move(options)),
        metrics_(metrics),
        tasks_(std::make_unique<runtime::TaskGroup>(io.get_executor())) {
    const std::string address = options_.addresses.empty() ? std::string() : options_.addresses.front();
    node_ = std::make_shared<Node>(io_, address, options_, metrics_);
    tasks_->Spawn("redis node", Node::Run(node_));
  }

  ~SingleClient() override {
    node_->Stop();
    // Ended on the loop: Asio forwards a cancellation to a coroutine by reference, and
    // from outside the loop it may come after the coroutine's end.
    asio::post(io_, [tasks = std::move(tasks_)] {});
  }

  Task<absl::StatusOr<Reply>> Command(std::string, std::vector<std::string> arguments) override {
    if (!node_->is_ready()) {
      metrics_.failed.Increment();
      co_return absl::UnavailableError("no connection to Redis");
    }
    if (node_->waiting() >= options_.max_waiting) {
      metrics_.failed.Increment();
      co_return absl::ResourceExhaustedError("too many Redis commands wait");
    }
    Node::Answer answer(io_.get_executor());
    node_->Send(arguments, answer);
    // This object may be gone when the answer comes.
    const ClientMetrics metrics = metrics_;
    absl::StatusOr<Reply> reply = co_await answer.Get();
    (reply.ok() ? metrics.succeeded : metrics.failed).Increment();
    if (IsAway(reply.status())) co_return absl::UnavailableError(reply.status().message());
    co_return reply;
  }

  bool is_connected() const override { return node_->is_ready(); }

 private:
  asio::io_context& io_;
  const Options options_;
  const ClientMetrics metrics_;
  std::shared_ptr<Node> node_;
  std::unique_ptr<runtime::TaskGroup> tasks_;
};

}  // namespace

std::unique_ptr<Client> Client::Create(asio::io_context& io, Options options, telemetry::Metrics& metrics) {
  std::signal(SIGPIPE, SIG_IGN);
  if (options.cluster) return MakeClusterClient(io, std::move(options), metrics);
  return std::make_unique<SingleClient>(io, std::move(options), metrics);
}

}  // namespace rookery::redis
