#include "cluster.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eval.h"
#include "node.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"
#include "slots.h"

namespace rookery::redis {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kRefreshPeriod{10'000};
// Asked for by errors, at most so often.
constexpr std::chrono::milliseconds kRefreshPause{200};
constexpr std::chrono::milliseconds kFirstRetry{10};
constexpr std::chrono::milliseconds kLongestRetry{200};
constexpr std::size_t kMaxNodes = 1'000;

/// The client's state, kept alive by the commands that still wait when it is destroyed.
class Cluster : public std::enable_shared_from_this<Cluster> {
 public:
  Cluster(asio::io_context& io, Options options, telemetry::Metrics& metrics)
      : io_(io),
        options_(std::move(options)),
        metrics_(metrics),
        refresh_(io),
        tasks_(std::make_unique<runtime::TaskGroup>(io.get_executor())) {}

  void Start() {
    for (const std::string& address : options_.addresses) GetNode(address);
    tasks_->Spawn("redis slots", RefreshLoop(shared_from_this()));
  }

  void Stop() {
    is_stopped_ = true;
    for (const auto& [address, node] : nodes_) node->Stop();
    // Ended on the loop: Asio forwards a cancellation to a coroutine by reference, and
    // from outside the loop it may come after the coroutine's end.
    asio::post(io_, [tasks = std::move(tasks_)] {});
  }

  static Task<absl::StatusOr<Reply>> Command(std::shared_ptr<Cluster> self, std::uint32_t slot,
                                             std::vector<std::string> arguments) {
    if (self->waiting_ >= self->options_.max_waiting) {
      self->metrics_.failed.Increment();
      co_return absl::ResourceExhaustedError("too many Redis commands wait");
    }
    ++self->waiting_;
    const Leave leave{self->waiting_};
    absl::StatusOr<Reply> reply = co_await self->Route(slot, std::move(arguments));
    (reply.ok() ? self->metrics_.succeeded : self->metrics_.failed).Increment();
    if (IsAway(reply.status())) co_return absl::UnavailableError(reply.status().message());
    co_return reply;
  }

  bool is_connected() const {
    if (!is_known_) return false;
    return std::all_of(nodes_.begin(), nodes_.end(), [this](const auto& entry) {
      return !masters_.contains(entry.first) || entry.second->is_ready();
    });
  }

 private:
  struct Leave {
    std::size_t& waiting;
    ~Leave() { --waiting; }
  };

  // Sends until there is an answer that is not about where to send it, or the time is
  // over. What was sent and got no answer is not sent again: it may have run.
  Task<absl::StatusOr<Reply>> Route(std::uint32_t slot, std::vector<std::string> arguments) {
    const Clock::time_point deadline = Clock::now() + options_.timeout;
    runtime::Backoff pause({.first = kFirstRetry, .max = kLongestRetry});
    std::shared_ptr<Node> asked;  // where ASK sent us, once
    absl::Status last = absl::UnavailableError("the slots of the Redis Cluster are not known");
    while (Clock::now() < deadline && !is_stopped_) {
      const bool is_asking = asked != nullptr;
      std::shared_ptr<Node> node = is_asking ? asked : slots_[slot];
      if (node && node->is_ready()) {
        asked.reset();
        Node::Answer answer(io_.get_executor());
        node->Send(arguments, answer, is_asking);
        absl::StatusOr<Reply> reply = co_await answer.Get();
        if (IsError(reply.status(), "MOVED")) {
          metrics_.redirects.Increment();
          const Redirect redirect = ParseRedirect(MessageOf(reply.status()), node->host());
          if (redirect.slot != kSlots) {
            if (auto owner = GetNode(redirect.address)) {
              masters_.insert(redirect.address);
              slots_[redirect.slot] = std::move(owner);
            }
          }
          RequestRefresh();
          // At once the first times; a cluster that cannot agree is not asked in a tight loop.
          if (++moves_in_row_ < 5) continue;
        } else if (IsError(reply.status(), "ASK")) {
          metrics_.redirects.Increment();
          asked = GetNode(ParseRedirect(MessageOf(reply.status()), node->host()).address);
          if (asked && asked->is_ready()) continue;
        } else if (IsError(reply.status(), "CLUSTERDOWN") || IsError(reply.status(), "READONLY") ||
                   IsError(reply.status(), "MASTERDOWN")) {
          RequestRefresh();
        } else if (!IsError(reply.status(), "TRYAGAIN") && !IsError(reply.status(), "LOADING")) {
          moves_in_row_ = 0;
          if (!reply.ok() && !IsError(reply.status(), "NOSCRIPT")) RequestRefreshIfLost(reply.status());
          co_return reply;
        }
        last = absl::UnavailableError(reply.status().message());
      } else {
        if (node) last = absl::UnavailableError(absl::StrCat("no connection to ", node->address()));
        RequestRefresh();
      }
      co_await pause.Wait();
    }
    co_return last;
  }

  static std::string_view MessageOf(const absl::Status& status) {
    return {status.message().data(), status.message().size()};
  }

  std::shared_ptr<Node> GetNode(const std::string& address) {
    if (const auto found = nodes_.find(address); found != nodes_.end()) return found->second;
    std::string host;
    std::uint16_t port = 0;
    if (is_stopped_ || !SplitAddress(address, &host, &port) || nodes_.size() >= kMaxNodes) return nullptr;
    auto node = std::make_shared<Node>(io_, address, options_, metrics_);
    tasks_->Spawn("redis node", Node::Run(node));
    nodes_[address] = node;
    return node;
  }

  void RequestRefreshIfLost(const absl::Status& status) {
    if (status.code() == absl::StatusCode::kUnavailable ||
        status.code() == absl::StatusCode::kDeadlineExceeded) {
      RequestRefresh();
    }
  }

  void RequestRefresh() {
    is_refresh_wanted_ = true;
    refresh_.cancel();
  }

  static Task<void> RefreshLoop(std::shared_ptr<Cluster> self) {
    while (!self->is_stopped_) {
      self->is_refresh_wanted_ = false;
      const bool is_read = co_await self->Refresh();
      // Without a map nothing works: ask again soon.
      co_await runtime::Sleep(is_read ? kRefreshPause : kRefreshPause / 4);
      if (!is_read || self->is_refresh_wanted_) continue;
      self->refresh_.expires_after(kRefreshPeriod);
      co_await self->refresh_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  // Any node will do; they are asked in turn, so that one that was cut off from the
  // cluster is not believed for long.
  Task<bool> Refresh() {
    std::vector<std::shared_ptr<Node>> ready;
    for (const auto& [address, node] : nodes_) {
      if (node->is_ready()) ready.push_back(node);
    }
    for (std::size_t i = 0; i < ready.size(); ++i) {
      const std::shared_ptr<Node> node = ready[++turn_ % ready.size()];
      const std::vector<std::string> command{"CLUSTER", "SLOTS"};
      Node::Answer answer(io_.get_executor());
      node->Send(command, answer);
      const absl::StatusOr<Reply> reply = co_await answer.Get();
      if (reply.ok() && Apply(*reply, node->host())) co_return true;
    }
    co_return false;
  }

  // CLUSTER SLOTS: [[first, last, [host, port, id, …], replica…], …]
  bool Apply(const Reply& reply, const std::string& asked_host) {
    if (reply.array.empty()) return false;
    std::array<std::shared_ptr<Node>, kSlots> slots;
    std::set<std::string> masters;
    for (const Reply& range : reply.array) {
      if (range.array.size() < 3 || range.array[2].array.size() < 2) return false;
      const std::int64_t first = range.array[0].integer;
      const std::int64_t last = range.array[1].integer;
      const std::int64_t port = range.array[2].array[1].integer;
      if (first < 0 || last < first || last >= kSlots) return false;
      const std::string& named = range.array[2].array[0].text;
      const std::string& host = named.empty() || named == "?" ? asked_host : named;
      std::shared_ptr<Node> node = GetNode(absl::StrCat(host, ":", port));
      if (!node) return false;
      masters.insert(node->address());
      std::fill(slots.begin() + first, slots.begin() + last + 1, node);
    }
    slots_ = std::move(slots);
    masters_ = std::move(masters);
    if (!is_known_) telemetry::LogInfo("redis.cluster_known", {{"masters", masters_.size()}});
    is_known_ = true;
    Forget();
    return true;
  }

  // Nodes that left the cluster; the configured ones stay, to begin again from.
  void Forget() {
    for (auto entry = nodes_.begin(); entry != nodes_.end();) {
      const bool is_configured = std::find(options_.addresses.begin(), options_.addresses.end(),
                                           entry->first) != options_.addresses.end();
      if (is_configured || masters_.contains(entry->first) || entry->second->waiting() > 0) {
        ++entry;
      } else {
        entry->second->Stop();
        entry = nodes_.erase(entry);
      }
    }
  }

  asio::io_context& io_;
  const Options options_;
  const ClientMetrics metrics_;
  bool is_stopped_ = false;
  std::map<std::string, std::shared_ptr<Node>> nodes_;
  std::array<std::shared_ptr<Node>, kSlots> slots_;
  std::set<std::string> masters_;
  bool is_known_ = false;
  std::size_t waiting_ = 0;
  std::size_t turn_ = 0;
  int moves_in_row_ = 0;
  bool is_refresh_wanted_ = false;
  asio::steady_timer refresh_;
  std::unique_ptr<runtime::TaskGroup> tasks_;
};

class ClusterClient final : public EvalClient {
 public:
  ClusterClient(asio::io_context& io, Options options, telemetry::Metrics& metrics)
      : cluster_(std::make_shared<Cluster>(io, std::move(options), metrics)) {
    cluster_->Start();
  }
  ~ClusterClient() override { cluster_->Stop(); }

  Task<absl::StatusOr<Reply>> Command(std::string key, std::vector<std::string> arguments) override {
    return Cluster::Command(cluster_, SlotOf(key), std::move(arguments));
  }
  bool is_connected() const override { return cluster_->is_connected(); }

 private:
  std::shared_ptr<Cluster> cluster_;
};

}  // namespace

std::unique_ptr<Client> MakeClusterClient(asio::io_context& io, Options options,
                                          telemetry::Metrics& metrics) {
  return std::make_unique<ClusterClient>(io, std::move(options), metrics);
}

}  // namespace rookery::redis
