#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "config.h"
#include "rookery/app/app.h"

namespace rookery::session_manager {

/// The session-manager: the only place that puts its parts together.
class App final : public app::App {
 public:
  using Config = session_manager::Config;
  static constexpr app::AppDescription kDescription{
      "session-manager", "accounts, sessions, routing and presence of the shards that Kafka gives to it"};

  App(app::Process& process, const Config& config);
  ~App() override;

  Task<absl::Status> Start() override;
  Task<void> Stop() override;
  std::string NotReadyReason() const override;

 private:
  struct Parts;
  app::Process& process_;
  Config config_;
  member::Member member_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace rookery::session_manager
