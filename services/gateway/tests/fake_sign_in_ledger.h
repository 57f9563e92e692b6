#pragma once

#include <map>
#include <set>
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
  void Succeeded(std::string_view user, std::string_view network) override {
    if (!is_away) known.emplace(user, network);
  }
  void IsKnown(std::string_view user, std::string_view network, std::function<void(bool)> done) override {
    ++asked;
    done(!is_away && known.contains({std::string(user), std::string(network)}));
  }

  bool is_away = false;
  int asked = 0;
  std::map<std::pair<Subject, std::string>, std::uint32_t> failures;
  std::set<std::pair<std::string, std::string>> known;
};

}  // namespace rookery::gateway
