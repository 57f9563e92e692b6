#pragma once

#include <string>

#include "domain/message_shards.h"
#include "rookery/app/app.h"
#include "rookery/sharding/member.h"

namespace rookery::search {

/// Owns shards of the topic `messages`. It keeps no archive yet: it reads them.
class App final : public app::App {
 public:
  static constexpr app::AppDescription kDescription{"search", "Rookery's archive and search service"};
  using Config = sharding::MemberConfig;

  App(app::Process& process, const Config& config);

  Task<absl::Status> Start() override;
  Task<void> Stop() override;
  std::string NotReadyReason() const override;

 private:
  MessageShards shards_;
  sharding::Member member_;
};

}  // namespace rookery::search
