#pragma once

#include <memory>

#include "config.h"
#include "rookery/app/app.h"

namespace rookery::roster {

/// The roster service: the only place that puts its parts together.
class App final : public app::App {
 public:
  using Config = roster::Config;
  static constexpr app::AppDescription kDescription{"roster", "rosters and presence subscriptions"};

  App(app::Process& process, const Config& config);
  ~App() override;

  Task<absl::Status> Start() override;
  Task<void> Stop() override;
  std::string NotReadyReason() const override;

 private:
  struct Parts;
  app::Process& process_;
  Config config_;
  bool started_ = false;
  std::unique_ptr<Parts> parts_;
};

}  // namespace rookery::roster
