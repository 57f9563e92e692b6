#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace rookery::gateway {

/// The common memory of all gateways of who signed in, and who failed to. I/O thread only.
class SignInLedger {
 public:
  /// Whose failures are counted: an account's, wherever they came from; a network's, whatever account it
  /// tried; an account's from one network (the name is both, with a NUL between them).
  enum class Subject : std::uint8_t { kAccount, kNetwork, kAccountInNetwork };

  virtual ~SignInLedger() = default;
  /// Counts one more failure. `counted` is called later, with how many there are and for how long they are
  /// remembered, or not at all where the ledger is away.
  using OnCounted = std::function<void(std::uint32_t failures, std::chrono::milliseconds left)>;
  virtual void Failed(Subject subject, std::string_view name, std::chrono::milliseconds window,
                      OnCounted counted) = 0;
  /// Counts a try before it is known whether it fails: `done` is called, perhaps at once, with how many
  /// there are by now, this one included; with nothing where the ledger is away.
  using OnTaken = std::function<void(std::optional<std::uint32_t> tries)>;
  virtual void Take(Subject subject, std::string_view name, std::chrono::milliseconds window,
                    OnTaken done) = 0;
  /// Gives back a try that was taken and was no failure.
  virtual void GiveBack(Subject subject, std::string_view name) = 0;

  /// The account of that name and generation has signed in from `network`: that is remembered for a month at
  /// least.
  virtual void Succeeded(std::string_view user, std::uint64_t generation, std::string_view network) = 0;
  /// Which account of that name has, as far as this gateway remembers without asking anybody.
  virtual std::optional<std::uint64_t> Remembered(std::string_view user, std::string_view network) = 0;
  /// `done` is called, perhaps at once: which account of that name has; nothing if none has, or the ledger is
  /// away.
  using OnFound = std::function<void(std::optional<std::uint64_t> generation)>;
  virtual void Find(std::string_view user, std::string_view network, OnFound done) = 0;
};

}  // namespace rookery::gateway
