#include "rookery/net/http.h"

#include "net_fixture.h"

namespace rookery::net {
namespace {

TEST(HttpRequestParser, TakesARequestPieceByPiece) {
  const std::string bytes =
      "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-Two:  spaced \r\n\r\nhello";
  HttpRequestParser parser;
  for (const char byte : bytes.substr(0, bytes.size() - 1)) {
    parser.Append({&byte, 1});
    const auto request = parser.Next();
    ASSERT_TRUE(request.ok()) << request.status();
    ASSERT_FALSE(request->has_value());
    EXPECT_FALSE(parser.empty());
  }
  parser.Append("oGET / ");
  const auto request = parser.Next();
  ASSERT_TRUE(request.ok() && request->has_value());
  EXPECT_EQ((*request)->method, "POST");
  EXPECT_EQ((*request)->target, "/a?b=c");
  EXPECT_EQ((*request)->version, 11);
  EXPECT_EQ((*request)->body, "hello");
  EXPECT_EQ((*request)->Header("x-two"), "spaced");
  EXPECT_EQ((*request)->Header("absent"), "");
  EXPECT_FALSE(parser.empty());
  parser.Append("HTTP/1.0\r\n\r\n");
  const auto next = parser.Next();
  ASSERT_TRUE(next.ok() && next->has_value());
  EXPECT_EQ((*next)->version, 10);
  EXPECT_TRUE(parser.empty());
}

TEST(HttpRequestParser, TakesChunksInPiecesOfAnySize) {
  const std::string one =
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  const std::string bytes = one + one;
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    HttpRequestParser parser;
    int requests = 0;
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      parser.Append(std::string_view(bytes).substr(at, size));
      for (;;) {
        const auto request = parser.Next();
        ASSERT_TRUE(request.ok()) << request.status() << " in pieces of " << size;
        if (!request->has_value()) break;
        EXPECT_EQ((*request)->body, "abcde");
        ++requests;
      }
    }
    EXPECT_EQ(requests, 2) << "in pieces of " << size;
    EXPECT_TRUE(parser.empty());
  }
}

TEST(HttpRequestParser, WorkGrowsWithTheBytesHoweverSmallThePieces) {
  const std::string header = "POST / HTTP/1.1\r\nA: " + std::string(8000, 'a') + "\r\n";
  const std::string body(60'000, 'b');
  std::string chunks;
  for (int i = 0; i < 10'000; ++i) chunks += "6\r\nchunks\r\n";
  for (const std::string& bytes : {header + "Content-Length: 60000\r\n\r\n" + body,
                                   header + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n"}) {
    HttpRequestParser parser;
    int requests = 0;
    for (const char byte : bytes) {
      parser.Append({&byte, 1});
      const auto request = parser.Next();
      ASSERT_TRUE(request.ok()) << request.status();
      requests += request->has_value() ? 1 : 0;
    }
    EXPECT_EQ(requests, 1);
    EXPECT_LT(parser.ExaminedForTest(), 6 * bytes.size());
  }
}

TEST(HttpRequestParser, RefusesWhatIsWrongOrTooLong) {
  for (const std::string& bad :
       {std::string("\x16\x03\x01\x02junk\r\n\r\n"), std::string("GET / HTTP/2.0\r\n\r\n"),
        std::string("GET /\r\n\r\n"), std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 27),
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "GET / HTTP/1.1\r\nA: " + std::string(9000, 'x') + "\r\n\r\n", "GET /" + std::string(9000, 'x'),
        std::string("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"),
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n" + std::string(65537, 'x')}) {
    HttpRequestParser parser;
    parser.Append(bad);
    EXPECT_EQ(parser.Next().status().code(), absl::StatusCode::kInvalidArgument) << bad.substr(0, 60);
  }
}

/// A request whose header has so many bytes, most of them in repetitions of `field`.
std::string RequestOf(std::size_t bytes, std::string_view field) {
  std::string request = "GET / HTTP/1.1\r\n";
  const std::string_view rest = "Z: z\r\n\r\n";
  while (request.size() + field.size() + rest.size() <= bytes) request.append(field);
  return request + "Z: " + std::string(bytes - request.size() - rest.size() + 1, 'z') + "\r\n\r\n";
}

TEST(HttpRequestParser, AHeaderHas8KiB_HoweverManyFieldsItHasAndHoweverItComes) {
  for (const std::string& field : {std::string("a: b\r\n"), "X: " + std::string(7'000, 'x') + "\r\n"}) {
    for (const std::size_t piece : {1u, 1'000u, 100'000u}) {
      for (const std::size_t bytes : {8'192u, 8'193u}) {
        const std::string request = RequestOf(bytes, field);
        ASSERT_EQ(request.size(), bytes);
        HttpRequestParser parser;
        absl::StatusOr<std::optional<HttpRequest>> parsed = std::nullopt;
        for (std::size_t at = 0; at < bytes && parsed.ok(); at += piece) {
          parser.Append(std::string_view(request).substr(at, piece));
          parsed = parser.Next();
        }
        if (bytes == 8'192u) {
          EXPECT_TRUE(parsed.ok() && parsed->has_value()) << parsed.status() << " in pieces of " << piece;
        } else {
          EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << "in pieces of " << piece;
        }
      }
    }
  }
}

TEST(HttpRequestParser, NoMoreIsKeptOfAHeaderWithoutEndThanOneMayHave) {
  for (const std::string& piece : {std::string("a: b\r\n"), std::string(1'000, 'x')}) {
    HttpRequestParser parser;
    parser.Append("GET / HTTP/1.1\r\nX: x\r\n");
    std::size_t kept = 0;
    for (; kept < 100'000 && parser.Next().ok(); kept += piece.size()) parser.Append(piece);
    EXPECT_GT(kept, 8'000u);
    EXPECT_LE(kept, 8'192 + piece.size());
  }
}

TEST(FormatHttpResponse, HasItsLength) {
  EXPECT_EQ(
      FormatHttpResponse(
          {.status = 404, .content_type = "text/plain", .headers = {{"A", "b"}}, .body = "gone"}, false),
      "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nA: b\r\nContent-Length: 4\r\nConnection: "
      "close\r\n\r\ngone");
}

class HttpServerTest : public NetTest {
 protected:
  HttpServerTest() {
    auto server = HttpServer::Create(io_, "127.0.0.1:0", [this](const HttpRequest& request) {
      ++requests_;
      return HttpResponse{.status = 200,
                          .headers = {},
                          .body = request.target == "/big" ? std::string(100'000, 'x') : request.target};
    });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
  }
  std::unique_ptr<HttpServer> server_;
  int requests_ = 0;
};

TEST_F(HttpServerTest, KeepsTheConnectionAndServesPipelinedRequests) {
  RawClient client(server_->bound_address());
  client.Send("GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\n\r\n");
  RunUntil([&] { return client.in.find("/two") != std::string::npos; }, [&] { client.Pump(); });
  EXPECT_NE(client.in.find("/one"), std::string::npos);
  EXPECT_FALSE(client.eof);
  client.Send("HEAD /three HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  client.in.clear();
  RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
  EXPECT_NE(client.in.find("Content-Length: 6\r\n"), std::string::npos);
  EXPECT_TRUE(client.in.ends_with("\r\n\r\n"));
}

TEST_F(HttpServerTest, OldVersionClosesAndBadRequestGets400) {
  RawClient old(server_->bound_address());
  old.Send("GET /x HTTP/1.0\r\n\r\n");
  RunUntil([&] { return old.eof; }, [&] { old.Pump(); });
  EXPECT_TRUE(old.in.ends_with("\r\n\r\n/x"));
  RawClient bad(server_->bound_address());
  bad.Send("nonsense\r\n\r\n");
  RunUntil([&] { return bad.eof; }, [&] { bad.Pump(); });
  EXPECT_TRUE(bad.in.starts_with("HTTP/1.1 400 "));
}

TEST_F(HttpServerTest, AClientThatOnlyAsksIsNotServedWithoutBound) {
  RawClient client(server_->bound_address(), 4096);
  client.reading = false;
  std::string requests;
  for (int i = 0; i < 1000; ++i) requests += "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
  client.Send(requests);
  for (int i = 0; i < 200; ++i) {
    io_.restart();
    io_.poll();
    client.Pump();
  }
  EXPECT_LT(requests_, 200);
  client.reading = true;
  RunUntil([&] { return requests_ == 1000; }, [&] { client.Pump(); });
}

TEST_F(HttpServerTest, DiesWithItsConnections) {
  RawClient client(server_->bound_address());
  client.Send("GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
  RunUntil([&] { return !client.in.empty(); }, [&] { client.Pump(); });
  server_.reset();
  RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
}

}  // namespace
}  // namespace rookery::net
