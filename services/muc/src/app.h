#pragma once

#include "rookery/sharding/member_app.h"

namespace rookery::muc {

/// Owns shards of the topic `rooms`. It has no rooms yet: it reads them.
class App final : public sharding::MemberApp {
 public:
  static constexpr app::AppDescription kDescription{"muc", "Rookery's group chat service"};

  App(app::Process& process, const Config& config);
};

}  // namespace rookery::muc
