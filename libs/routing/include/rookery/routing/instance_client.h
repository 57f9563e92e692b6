#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "rookery/routing/registry.h"
#include "rookery/runtime/task.h"

namespace rookery::routing {

/// Calls a service whose instances all do the same, whatever the transport: the instance that Choose gives
/// for a key, and once more another one (the same where there is no other) when the first is out of reach or
/// does not answer in time. The first may have made the change, so requests must be safe to repeat.
/// The service must be watched. I/O thread only.
class InstanceClient {
 public:
  InstanceClient(const Registry& registry, std::string service)
      : registry_(registry), service_(std::move(service)) {}

  /// `call(const std::string& address) -> Task<absl::StatusOr<Response>>` asks one instance, within a
  /// limit of its own. UNAVAILABLE: no instance is known.
  template <typename Response, typename Call>
  Task<absl::StatusOr<Response>> Ask(std::string key, Call call);

 private:
  static bool IsWorthAnotherInstance(const absl::Status& status);
  /// Where to call; nothing when no instance is known. `asked`: which has been called, or empty.
  std::optional<std::string> AddressFor(std::string_view key, std::string_view asked) const;

  const Registry& registry_;
  const std::string service_;
};

template <typename Response, typename Call>
Task<absl::StatusOr<Response>> InstanceClient::Ask(std::string key, Call call) {
  absl::StatusOr<Response> answer = absl::UnavailableError("no instance of " + service_ + " is known");
  std::string asked;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::optional<std::string> address = AddressFor(key, asked);
    if (!address) break;
    asked = *address;
    answer = co_await call(asked);
    if (!IsWorthAnotherInstance(answer.status())) break;
  }
  co_return answer;
}

}  // namespace rookery::routing
