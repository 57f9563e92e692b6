#pragma once

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "rookery/base/deadline.h"
#include "rookery/routing/registry.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::routing {

/// Calls a service whose instances all do the same, whatever the transport: the instance that Choose gives
/// for a key, and once more another one (the same where there is no other) when the first is out of reach or
/// does not answer in time. The first may have made the change, so requests must be safe to repeat.
/// The service must be watched. I/O thread only.
class InstanceClient {
 public:
  /// AskEither waits for the first instance alone for so long: longer than a healthy instance needs, and
  /// short for whoever waits.
  static constexpr std::chrono::milliseconds kAloneFor{300};

  InstanceClient(const Registry& registry, std::string service)
      : registry_(registry), service_(std::move(service)) {}

  /// `call(const std::string& address) -> Task<absl::StatusOr<Response>>` asks one instance, within a
  /// limit of its own. UNAVAILABLE: no instance is known.
  template <typename Response, typename Call>
  Task<absl::StatusOr<Response>> Ask(std::string key, Call call);

  /// As Ask, for a question that is asked often and changes nothing: when the first instance is silent, it
  /// is not given up, but another one is asked too, and whichever answers first counts. So one that is frozen
  /// costs kAloneFor. Cancelling cancels both calls.
  template <typename Response, typename Call>
  Task<absl::StatusOr<Response>> AskEither(std::string key, Call call);

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

template <typename Response, typename Call>
Task<absl::StatusOr<Response>> InstanceClient::AskEither(std::string key, Call call) {
  using asio::experimental::awaitable_operators::operator||;
  std::optional<absl::StatusOr<Response>> answer;
  const std::optional<std::string> first = AddressFor(key, {});
  if (!first) co_return absl::UnavailableError("no instance of " + service_ + " is known");
  runtime::Event first_failed(co_await asio::this_coro::executor);
  runtime::Event never(co_await asio::this_coro::executor);
  const auto ask_first = [&]() -> Task<void> {
    absl::StatusOr<Response> said = co_await call(*first);
    if (IsWorthAnotherInstance(said.status())) {
      first_failed.Set();
      co_await never.Wait();  // what the other one says is the answer
    }
    answer = std::move(said);
  };
  const auto ask_second = [&]() -> Task<void> {
    (void)co_await first_failed.Wait(Deadline::After(kAloneFor));
    std::optional<std::string> second = AddressFor(key, *first);
    if (!second || *second == *first) co_await first_failed.Wait();
    absl::StatusOr<Response> said = co_await call(second.value_or(*first));
    // The first may still do better.
    if (IsWorthAnotherInstance(said.status())) co_await first_failed.Wait();
    answer = std::move(said);
  };
  try {
    co_await (ask_first() || ask_second());
  } catch (const asio::multiple_exceptions& both) {
    // Cancelled: what waits for us knows that by its own name.
    std::rethrow_exception(both.first_exception());
  }
  co_return *std::move(answer);
}

}  // namespace rookery::routing
