#pragma once

#include <string>

#include "rookery/app/app.h"
#include "rookery/sharding/member.h"

namespace rookery::sharding {

/// The App of a service that is a Member and nothing more. A service derives from it to say which.
class MemberApp : public app::App {
 public:
  using Config = MemberConfig;

  Task<absl::Status> Start() override { return member_.Start(); }
  Task<void> Stop() override { return member_.Stop(); }
  std::string NotReadyReason() const override { return member_.NotReadyReason(); }

 protected:
  MemberApp(app::Process& process, const Config& config, MemberDescription description)
      : member_(process, config, std::move(description)) {}

 private:
  Member member_;
};

}  // namespace rookery::sharding
