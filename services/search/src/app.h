#pragma once

#include "rookery/member/member_app.h"

namespace rookery::search {

/// Owns shards of the topic `messages`. It keeps no archive yet: it reads them.
class App final : public member::MemberApp {
 public:
  static constexpr app::AppDescription kDescription{"search", "Rookery's archive and search service"};

  App(app::Process& process, const Config& config);
};

}  // namespace rookery::search
