#pragma once

#include <string>
#include <vector>

#include "domain/settings.h"
#include "rookery/config/config.h"
#include "rookery/member/member.h"
#include "rookery/pg/pool.h"

namespace rookery::session_manager {

struct Config {
  Settings settings;
  std::int64_t scram_iterations = 10'000;
  std::int64_t max_link_bytes = std::int64_t{16} << 20;
  member::MemberConfig member;
  pg::Options pg;

  void Bind(config::Schema& schema);
  /// Prepares the domains' names besides.
  void Validate(config::Problems& problems);
  void CheckFiles(config::Problems& problems) const;
};

}  // namespace rookery::session_manager
