#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/net/connection.h"

namespace rookery::net {

struct HttpRequest {
  std::string method;
  std::string target;  // path and query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  int version = 11;  // 10: HTTP/1.0
  /// Case-insensitive; empty when absent.
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

/// The requests of one connection, out of bytes that come in pieces of any size: work grows with the bytes,
/// however small the pieces. Holds what was given and is not yet part of a request: at most a request and
/// the piece given last.
class HttpRequestParser {
 public:
  HttpRequestParser();
  ~HttpRequestParser();

  void Append(std::string_view data);
  /// The next request; nullopt: more is needed. INVALID_ARGUMENT: malformed or over a limit (8 KiB of header,
  /// 64 KiB of body); nothing can be made of what follows.
  absl::StatusOr<std::optional<HttpRequest>> Next();
  /// Takes out what follows the request given last: after an upgrade it is no HTTP.
  std::string TakeRest();
  /// Whether nothing of a further request is here.
  bool empty() const;
  /// Bytes looked at so far, each as often as it was.
  std::size_t ExaminedForTest() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string FormatHttpResponse(const HttpResponse& response, bool keep_alive);

/// A plain HTTP/1.1 server for the admin port. `handle` runs on the I/O thread.
class HttpServer {
 public:
  using Handle = std::function<HttpResponse(const HttpRequest&)>;
  static absl::StatusOr<std::unique_ptr<HttpServer>> Create(asio::io_context& io, const std::string& address,
                                                            Handle handle);
  virtual ~HttpServer() = default;
  virtual std::string bound_address() const = 0;
};

}  // namespace rookery::net
