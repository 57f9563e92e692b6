#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "ports/sign_in_ledger.h"

namespace rookery::gateway {

/// A ledger that gateways of a test may share.
class FakeSignInLedger final : public SignInLedger {
 public:
  void Failed(Subject subject, std::string_view name, std::chrono::milliseconds window,
              OnCounted counted) override {
    if (is_away) return;
    counted(++failures[{subject, std::string(name)}], window);
  }
  void Take(Subject subject, std::string_view name, std::chrono::milliseconds, OnTaken done) override {
    if (is_away) return done(std::nullopt);
    ++taken;
    const std::uint32_t tries = ++failures[{subject, std::string(name)}];
    if (!is_slow) return done(tries);
    waiting.push_back([done = std::move(done), tries] { done(tries); });
  }
  /// Answers the first of those who wait for Take.
  void AnswerOne() {
    const auto answer = std::move(waiting.front());
    waiting.pop_front();
    answer();
  }
  void GiveBack(Subject subject, std::string_view name) override {
    if (is_away) return;
    const auto found = failures.find({subject, std::string(name)});
    if (found != failures.end() && --found->second == 0) failures.erase(found);
  }
  void Succeeded(std::string_view user, std::uint64_t generation, std::string_view network) override {
    if (!is_away) known[{std::string(user), std::string(network)}] = generation;
  }
  std::optional<std::uint64_t> Remembered(std::string_view user, std::string_view network) override {
    const auto found = known.find({std::string(user), std::string(network)});
    return !remembers || found == known.end() ? std::nullopt : std::optional(found->second);
  }
  void Find(std::string_view user, std::string_view network, OnFound done) override {
    ++asked;
    const auto found = known.find({std::string(user), std::string(network)});
    done(is_away || found == known.end() ? std::nullopt : std::optional(found->second));
  }

  bool is_away = false;
  bool is_slow = false;    // Take is answered by AnswerOne
  bool remembers = false;  // what is known is known to each gateway without asking
  std::deque<std::function<void()>> waiting;
  int asked = 0;
  int taken = 0;
  std::map<std::pair<Subject, std::string>, std::uint32_t> failures;
  /// By user and network.
  std::map<std::pair<std::string, std::string>, std::uint64_t> known;
};

}  // namespace rookery::gateway
