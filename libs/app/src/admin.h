#pragma once

#include "rookery/net/http.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::app {

/// Answers for the admin port; to HEAD as to GET, since the server leaves the body out. `not_ready_reason` is
/// empty when ready.
net::HttpResponse AnswerAdmin(const net::HttpRequest& request, const std::string& not_ready_reason,
                              telemetry::Metrics& metrics);

}  // namespace rookery::app
