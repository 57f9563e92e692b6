#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rookery::session_manager {

/// The capabilities that a client has proved to have (XEP-0115); shared by all sessions that announce it.
struct ClientCaps {
  std::string hash;
  std::string ver;
  /// Sorted.
  std::vector<std::string> features;
  std::size_t bytes = 0;
};

}  // namespace rookery::session_manager
