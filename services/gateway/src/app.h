#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "rookery/app/app.h"

namespace rookery::gateway {

/// The gateway: the only place that wires its parts.
class App final : public app::App {
 public:
  using Config = gateway::Config;
  static constexpr app::AppDescription kDescription{
      "gateway", "Client connections: sockets, TLS, SASL and stream management"};

  App(app::Process& process, const Config& config);
  ~App() override;

  Task<absl::Status> Start() override;
  Task<void> Stop() override;
  std::string NotReadyReason() const override;
  void Reload() override;

 private:
  struct Parts;

  app::Process process_;
  const Config config_;
  std::unique_ptr<Parts> parts_;
  bool draining_ = false;
};

}  // namespace rookery::gateway
