#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "rookery/base/deadline.h"
#include "rookery/events/homes.h"
#include "rookery/routing/registry.h"
#include "rookery/runtime/task.h"

namespace rookery::routing {

/// Calls the owner of a shard, whatever the transport. The registry says who that is, and is asked only
/// when what is known does not do:
///
///   1. The owner that is known from earlier is called, if there is one.
///   2. Where there is none, or it is out of reach (UNAVAILABLE) or says that it is not the owner
///      (FAILED_PRECONDITION), the owners are read again, and another one is called, once.
///   3. Nothing else is tried again: it is the owner's answer. A deadline that has passed is one too.
///
/// So a request may reach two owners, of which the first may have done it. I/O thread only.
class OwnerClient {
 public:
  explicit OwnerClient(Registry& registry) : registry_(registry) {}

  /// `call(const std::string& address, std::chrono::milliseconds limit) -> Task<absl::StatusOr<Response>>`
  /// asks one process. Its answer, or UNAVAILABLE: nobody owns the shard just now, or nobody that can be
  /// reached; DEADLINE_EXCEEDED.
  template <typename Response, typename Call>
  Task<absl::StatusOr<Response>> Ask(events::Home home, Deadline deadline, Call call);

 private:
  using Addresses = std::map<std::uint32_t, std::string>;  // by shard

  static bool IsWorthAnotherOwner(const absl::Status& status);
  /// Returns the error for the caller where no owner was left to ask.
  static absl::Status Unanswered(const absl::Status& last);
  Task<absl::Status> ReadOwners(events::Service service);
  /// Empty while unknown.
  std::string OwnerOf(const events::Home& home) const;

  Registry& registry_;
  std::map<events::Service, Addresses> owners_;
};

template <typename Response, typename Call>
Task<absl::StatusOr<Response>> OwnerClient::Ask(events::Home home, Deadline deadline, Call call) {
  absl::Status last = absl::UnavailableError("nobody owns the shard");
  std::string asked;
  for (const bool read_again : {false, true}) {
    if (read_again) {
      const absl::Status read = co_await ReadOwners(home.service);
      // Redis is away: the answer so far says as much as there is to say.
      if (!read.ok()) break;
    }
    const std::string address = OwnerOf(home);
    if (address.empty() || address == asked) continue;
    asked = address;
    if (deadline.IsExpired()) co_return absl::DeadlineExceededError("the service does not answer");
    absl::StatusOr<Response> answer = co_await call(address, deadline.Remaining());
    if (!IsWorthAnotherOwner(answer.status())) co_return answer;
    last = answer.status();
  }
  co_return Unanswered(last);
}

}  // namespace rookery::routing
