#include "admin.h"

#include <string_view>

namespace rookery::app {

net::HttpResponse AnswerAdmin(const net::HttpRequest& request, const std::string& not_ready_reason,
                              telemetry::Metrics& metrics) {
  net::HttpResponse response;
  const std::string_view target = request.target;
  const std::string_view path = target.substr(0, target.find('?'));
  if (path != "/healthz" && path != "/readyz" && path != "/metrics") {
    response.status = 404;
    response.body = "not found: /healthz, /readyz and /metrics are here\n";
  } else if (request.method != "GET" && request.method != "HEAD") {
    response.status = 405;
    response.headers.emplace_back("Allow", "GET, HEAD");
    response.body = "only GET and HEAD\n";
  } else if (path == "/metrics") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics.Text();
  } else if (path == "/readyz" && !not_ready_reason.empty()) {
    response.status = 503;
    response.body = not_ready_reason + "\n";
  } else {
    response.body = "ok\n";
  }
  return response;
}

}  // namespace rookery::app
