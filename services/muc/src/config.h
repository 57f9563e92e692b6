#pragma once

#include <cstdint>
#include <string>

#include "domain/settings.h"
#include "rookery/config/config.h"
#include "rookery/member/member.h"
#include "rookery/pg/pool.h"

namespace rookery::muc {

struct Config {
  Settings settings;
  /// `rooms.creation` as it is written: everybody, members or administrators.
  std::string creation = "everybody";
  member::MemberConfig member;
  pg::Options pg;

  void Bind(config::Schema& schema);
  /// Prepares addresses and reads `creation` besides.
  void Validate(config::Problems& problems);
  void CheckFiles(config::Problems& problems) const;
};

}  // namespace rookery::muc
