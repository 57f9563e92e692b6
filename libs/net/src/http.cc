#include "rookery/net/http.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/status.h"

namespace rookery::net {
namespace {

namespace http = boost::beast::http;

constexpr std::uint32_t kMaxHeader = 8 * 1024;
constexpr std::uint64_t kMaxBody = 64 * 1024;
// The body with the framing of chunks of a few bytes each.
constexpr std::size_t kMaxRawBody = 4 * kMaxBody;

std::string_view ReasonOf(int status) {
  const boost::beast::string_view text = http::obsolete_reason(static_cast<http::status>(status));
  return {text.data(), text.size()};
}

}  // namespace

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, AbslView(name))) return value;
  }
  return {};
}

struct HttpRequestParser::Impl {
  using Parser = http::request_parser<http::string_body>;

  std::string input;
  std::size_t start = 0;          // of what is not taken yet
  std::size_t searched = 0;       // before it there is no end of a header
  std::optional<Parser> message;  // once its header is complete
  std::size_t body_bytes = 0;     // with the framing of chunks
  std::size_t examined = 0;

  /// Gives bytes to the parser; how many it took.
  absl::StatusOr<std::size_t> Put(std::string_view bytes) {
    std::size_t used = 0;
    while (!message->is_done() && used < bytes.size()) {
      boost::system::error_code error;
      examined += bytes.size() - used;
      const std::size_t taken = message->put(asio::buffer(bytes.data() + used, bytes.size() - used), error);
      used += taken;
      if (error == http::error::need_more || (!error && taken == 0)) break;
      if (error) return absl::InvalidArgumentError(absl::StrCat("HTTP: ", error.message()));
    }
    return used;
  }

  /// False: the header has no end yet.
  absl::StatusOr<bool> ReadHeader() {
    static constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t from = std::max(start, searched - std::min(searched, kEnd.size() - 1));
    const std::size_t found = input.find(kEnd, from);
    const std::size_t end = found == std::string::npos ? input.size() : found + kEnd.size();
    examined += end - from;
    searched = end;
    if (end - start > kMaxHeader) return absl::InvalidArgumentError("HTTP: header too long");
    if (found == std::string::npos) return false;
    message.emplace();
    message->header_limit(kMaxHeader);
    message->body_limit(kMaxBody);
    message->eager(true);
    const std::string_view header = std::string_view(input).substr(start, end - start);
    ROOKERY_ASSIGN_OR_RETURN(const std::size_t used, Put(header));
    // An empty line before the request, say, makes the parser's end of the header another than ours.
    if (used != header.size() || !message->is_header_done())
      return absl::InvalidArgumentError("HTTP: no request");
    start = end;
    return true;
  }

  /// False: the body has no end yet.
  absl::StatusOr<bool> ReadBody() {
    ROOKERY_ASSIGN_OR_RETURN(const std::size_t used, Put(std::string_view(input).substr(start)));
    start += used;
    body_bytes += used;
    if (message->is_done()) return true;
    // The rest that the parser leaves is the beginning of a chunk's header.
    if (body_bytes > kMaxRawBody || input.size() - start > kMaxHeader) {
      return absl::InvalidArgumentError("HTTP: body too long");
    }
    return false;
  }

  void DropTaken() {
    if (start < input.size() / 2) return;
    input.erase(0, start);
    searched -= start;
    start = 0;
  }
};

HttpRequestParser::HttpRequestParser() : impl_(std::make_unique<Impl>()) {}
HttpRequestParser::~HttpRequestParser() = default;

void HttpRequestParser::Append(std::string_view data) { impl_->input.append(data); }

absl::StatusOr<std::optional<HttpRequest>> HttpRequestParser::Next() {
  Impl& p = *impl_;
  if (!p.message) {
    ROOKERY_ASSIGN_OR_RETURN(const bool has_header, p.ReadHeader());
    if (!has_header) return std::nullopt;
  }
  if (!p.message->is_done()) {
    ROOKERY_ASSIGN_OR_RETURN(const bool has_body, p.ReadBody());
    if (!has_body) {
      p.searched = p.start;
      p.DropTaken();
      return std::nullopt;
    }
  }
  http::request<http::string_body> message = p.message->release();
  p.message.reset();
  p.body_bytes = 0;
  p.searched = p.start;
  p.DropTaken();
  if (message.version() != 10 && message.version() != 11) {
    return absl::InvalidArgumentError("HTTP: unknown version");
  }
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

std::string HttpRequestParser::TakeRest() {
  std::string rest = impl_->input.substr(impl_->start);
  impl_ = std::make_unique<Impl>();
  return rest;
}

bool HttpRequestParser::empty() const { return !impl_->message && impl_->start == impl_->input.size(); }

std::size_t HttpRequestParser::ExaminedForTest() const { return impl_->examined; }

std::string FormatHttpResponse(const HttpResponse& response, bool keep_alive) {
  std::string out;
  out.reserve(response.body.size() + 256);
  absl::StrAppend(&out, "HTTP/1.1 ", response.status, " ", AbslView(ReasonOf(response.status)), "\r\n");
  if (!response.content_type.empty()) absl::StrAppend(&out, "Content-Type: ", response.content_type, "\r\n");
  for (const auto& [name, value] : response.headers) absl::StrAppend(&out, name, ": ", value, "\r\n");
  absl::StrAppend(&out, "Content-Length: ", response.body.size(),
                  "\r\nConnection: ", keep_alive ? "keep-alive" : "close", "\r\n\r\n", response.body);
  return out;
}

}  // namespace rookery::net
