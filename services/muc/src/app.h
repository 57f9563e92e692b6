#pragma once

#include <string>

#include "domain/room_shards.h"
#include "rookery/app/app.h"
#include "rookery/sharding/member.h"

namespace rookery::muc {

/// Owns shards of the topic `rooms`. It has no rooms yet: it reads them.
class App final : public app::App {
 public:
  static constexpr app::AppDescription kDescription{"muc", "Rookery's group chat service"};
  using Config = sharding::MemberConfig;

  App(app::Process& process, const Config& config);

  Task<absl::Status> Start() override;
  Task<void> Stop() override;
  std::string NotReadyReason() const override;

 private:
  RoomShards shards_;
  sharding::Member member_;
};

}  // namespace rookery::muc
