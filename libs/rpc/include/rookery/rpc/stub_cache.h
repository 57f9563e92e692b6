#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "rookery/rpc/server.h"
#include "rookery/rpc/trace.h"
#include "rookery/rpc/unary.h"
#include "rookery/runtime/task.h"

// Includes gRPC: as unary.h.
namespace rookery::rpc {

/// Calls the processes that serve `Proto`, say roster::v1::RosterService, each through a channel of its own
/// that stays. I/O thread only.
template <typename Proto>
class StubCache {
 public:
  using Stub = typename Proto::Stub;
  using Async = typename Proto::StubInterface::async_interface;
  template <typename Request, typename Response>
  using Method = void (Async::*)(grpc::ClientContext*, const Request*, Response*,
                                 std::function<void(grpc::Status)>);

  /// `options.service` is ignored: each call says who must answer.
  StubCache(asio::io_context& io, ClientOptions options) : io_(io), options_(std::move(options)) {}

  /// One call of a process of `service`: `Call(address, "roster", &Stubs::Async::GetRoster, …)`. The request
  /// must live until it ends. As rpc::Call. `trace_id` follows into the callee's log.
  template <typename Request, typename Response>
  Task<absl::StatusOr<Response>> Call(std::string address, std::string_view service,
                                      Method<Request, Response> method, const Request& request,
                                      std::chrono::milliseconds limit, std::uint64_t trace_id) {
    const std::shared_ptr<Stub> stub = For(std::string(service), address);
    auto begin = [&](grpc::ClientContext* context, Response* response, auto done) {
      SetTrace(*context, trace_id);
      (static_cast<Async*>(stub->async())->*method)(context, &request, response, std::move(done));
    };
    absl::StatusOr<Response> answer = co_await rpc::Call<Response>(io_, limit, begin);
    co_return answer;
  }

  std::chrono::milliseconds default_deadline() const { return options_.default_deadline; }

 private:
  // Addresses of processes that are gone are not worth remembering one by one.
  static constexpr std::size_t kMaxStubs = 64;

  std::shared_ptr<Stub> For(std::string service, const std::string& address) {
    auto& stub = stubs_[{service, address}];
    if (!stub) {
      ClientOptions options = options_;
      options.service = std::move(service);
      stub = Proto::NewStub(MakeChannel(options, address));
    }
    std::shared_ptr<Stub> chosen = stub;
    if (stubs_.size() > kMaxStubs)
      std::erase_if(stubs_, [&](const auto& entry) { return entry.second != chosen; });
    return chosen;
  }

  asio::io_context& io_;
  const ClientOptions options_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Stub>> stubs_;  // by service and address
};

}  // namespace rookery::rpc
