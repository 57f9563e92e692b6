#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "rookery/app/app.h"

namespace rookery::app {

void CommonConfig::Bind(config::Schema& schema) {
  schema.Bind("instance", &instance,
              "this process's name in the cluster, unique; by default the service's name and a random part");
  schema.BindChoice("log.level", &log_level, {"debug", "info", "warn", "error"},
                    "the least level that is logged");
  schema.Bind("admin.address", &admin_address,
              "where `/healthz`, `/readyz` and `/metrics` are served; port 0: any");
  schema.Bind("drain-timeout", &drain_timeout, "the longest that a drain after SIGTERM may take");
}

void CommonConfig::Validate(config::Problems& problems) const {
  // The name stands in Redis members and Kafka client ids.
  const bool is_plain = std::all_of(instance.begin(), instance.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  });
  if (!is_plain || instance.size() > 64) {
    problems.Add("instance", "must be at most 64 letters, digits, dots, dashes and underscores");
  }
  if (admin_address.find(':') == std::string::npos) {
    problems.Add("admin.address", absl::StrCat("must be host:port, not `", admin_address, "`"));
  }
}

}  // namespace rookery::app
