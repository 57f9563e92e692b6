#pragma once

#include <string>

#include "rookery/app/app.h"
#include "rookery/sharding/member.h"

namespace rookery::search {

/// Owns shards of the topic `messages`. It keeps no archive yet: it reads and counts.
class App final : public app::App {
 public:
  static constexpr app::AppDescription kDescription{"search", "Rookery's archive and search service"};
  using Config = sharding::MemberConfig;

  App(app::Process& process, const Config& config);

  Task<absl::Status> Start() override;
  Task<void> Stop() override;
  std::string NotReadyReason() const override;

 private:
  prometheus::Counter& bytes_read_;
  sharding::Member member_;
};

}  // namespace rookery::search
