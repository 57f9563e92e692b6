#pragma once

#include <memory>
#include <string>

#include "config.h"
#include "rookery/app/app.h"

namespace rookery::muc {

/// Owns shards of `rooms` and the rooms in them.
class App final : public app::App {
 public:
  using Config = muc::Config;
  static constexpr app::AppDescription kDescription{"muc", "Rookery's group chat service"};

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

}  // namespace rookery::muc
