#include "rookery/pg/pool.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "connection.h"

namespace rookery::pg {
namespace {

class LibpqPool final : public Pool {
 public:
  LibpqPool(asio::io_context& io, Options options, telemetry::Metrics& metrics)
      : io_(io),
        options_(std::move(options)),
        metrics_(metrics),
        reached_(std::make_shared<runtime::Event>(io.get_executor())),
        tasks_(std::make_unique<runtime::TaskGroup>(io.get_executor())) {
    for (std::int64_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(std::make_shared<Connection>(io_, options_, metrics_, reached_));
      tasks_->Spawn("pg connection", Connection::Run(connections_.back()));
    }
  }

  ~LibpqPool() override {
    for (const auto& connection : connections_) connection->Stop();
    // Ended on the loop: Asio forwards a cancellation to a coroutine by reference, and
    // from outside the loop it may come after the coroutine's end.
    asio::post(io_, [tasks = std::move(tasks_)] {});
  }

  Task<ResultOr> Execute(std::uint64_t lane, const char* sql, std::vector<Param> params) override {
    for (const Param& param : params) {
      // Text goes as a C string: a NUL would cut it short.
      if (!param.is_bytes && param.value && param.value->find('\0') != std::string::npos) {
        co_return absl::InvalidArgumentError("NUL in a text parameter");
      }
    }
    std::size_t waiting = 0;
    for (const auto& connection : connections_) waiting += connection->waiting();
    if (waiting >= options_.max_waiting) {
      metrics_.refused.Increment();
      co_return absl::UnavailableError("too many SQL statements wait");
    }
    Connection::Answer answer(io_.get_executor());
    connections_[lane % connections_.size()]->Send(sql, params, answer);
    params.clear();
    ResultOr result = co_await answer.Get();
    co_return result;
  }

  bool is_connected() const override {
    for (const auto& connection : connections_) {
      if (!connection->is_ready()) return false;
    }
    return true;
  }

  Task<bool> AwaitConnected(Deadline deadline) override {
    const std::shared_ptr<runtime::Event> reached = reached_;
    while (!is_connected()) {
      const bool is_in_time = co_await reached->Wait(deadline);
      if (!is_in_time) co_return is_connected();
    }
    co_return true;
  }

 private:
  asio::io_context& io_;
  const Options options_;
  PoolMetrics metrics_;
  const std::shared_ptr<runtime::Event> reached_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::unique_ptr<runtime::TaskGroup> tasks_;
};

}  // namespace

std::unique_ptr<Pool> Pool::Create(asio::io_context& io, Options options, telemetry::Metrics& metrics) {
  return std::make_unique<LibpqPool>(io, std::move(options), metrics);
}

}  // namespace rookery::pg
