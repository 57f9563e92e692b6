#include "rookery/net/http.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "text.h"

namespace rookery::net {
namespace {

namespace http = boost::beast::http;

constexpr std::uint32_t kMaxHeader = 8 * 1024;
constexpr std::uint64_t kMaxBody = 64 * 1024;
// The body with the framing of chunks of a few bytes each.
constexpr std::size_t kMaxRaw = kMaxHeader + 4 * kMaxBody;

std::string_view ReasonOf(int status) {
  const boost::beast::string_view text = http::obsolete_reason(static_cast<http::status>(status));
  return {text.data(), text.size()};
}

}  // namespace

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, Av(name))) return value;
  }
  return {};
}

absl::StatusOr<std::optional<HttpRequest>> ParseHttpRequest(std::string_view data, std::size_t* consumed) {
  *consumed = 0;
  http::request_parser<http::string_body> parser;
  parser.header_limit(kMaxHeader);
  parser.body_limit(kMaxBody);
  parser.eager(true);
  std::size_t used = 0;
  while (!parser.is_done()) {
    boost::system::error_code error;
    const std::size_t n = parser.put(asio::buffer(data.data() + used, data.size() - used), error);
    used += n;
    if (error == http::error::need_more || (!error && n == 0)) {
      if (data.size() > kMaxRaw) return absl::InvalidArgumentError("HTTP: request too long");
      return std::nullopt;
    }
    if (error) return absl::InvalidArgumentError(absl::StrCat("HTTP: ", error.message()));
  }
  *consumed = used;
  http::request<http::string_body> message = parser.release();
  if (message.version() != 10 && message.version() != 11)
    return absl::InvalidArgumentError("HTTP: unknown version");
  HttpRequest request;
  request.version = static_cast<int>(message.version());
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  request.body = std::move(message.body());
  return request;
}

std::string FormatHttpResponse(const HttpResponse& response, bool keep_alive) {
  std::string out;
  out.reserve(response.body.size() + 256);
  absl::StrAppend(&out, "HTTP/1.1 ", response.status, " ", Av(ReasonOf(response.status)), "\r\n");
  if (!response.content_type.empty()) absl::StrAppend(&out, "Content-Type: ", response.content_type, "\r\n");
  for (const auto& [name, value] : response.headers) absl::StrAppend(&out, name, ": ", value, "\r\n");
  absl::StrAppend(&out, "Content-Length: ", response.body.size(),
                  "\r\nConnection: ", keep_alive ? "keep-alive" : "close", "\r\n\r\n", response.body);
  return out;
}

}  // namespace rookery::net
