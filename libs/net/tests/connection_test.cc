#include "rookery/net/connection.h"

#include <sys/socket.h>

#include <algorithm>

#include "net_fixture.h"
#include "rookery/net/client.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::net {
namespace {

using std::chrono::milliseconds;

class ConnectionTest : public NetTest {
 protected:
  ConnectionTest() {
    auto listener =
        Listener::Create(io_, {.address = "127.0.0.1:0", .tls = nullptr},
                         [this](std::unique_ptr<Connection> c) { accepted_.push_back(std::move(c)); });
    EXPECT_TRUE(listener.ok()) << listener.status();
    listener_ = std::move(*listener);
  }

  /// The server's end of the next client.
  std::unique_ptr<Connection> Accept() {
    RunUntil([this] { return !accepted_.empty(); });
    auto connection = std::move(accepted_.front());
    accepted_.erase(accepted_.begin());
    return connection;
  }
  std::string address() const { return listener_->bound_address(); }

  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Connection>> accepted_;
};

TEST_F(ConnectionTest, CarriesBytesBothWays) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  EXPECT_EQ(connection->peer_address(), "127.0.0.1");
  EXPECT_FALSE(connection->is_tls());
  EXPECT_EQ(connection->TlsExporter(), "");
  EXPECT_EQ(connection->TlsServerEndPoint(), "");
  client.Send("hello");
  RunUntil([&] { return server.data == "hello"; }, [&] { client.Pump(); });
  connection->Write("world");
  RunUntil([&] { return client.in == "world"; }, [&] { client.Pump(); });
  EXPECT_EQ(server.drained, 1);
  EXPECT_EQ(connection->queued_bytes(), 0u);
}

TEST_F(ConnectionTest, WritesOfOneTurnGoOutTogether) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  for (int i = 0; i < 100; ++i) connection->Write("0123456789");
  EXPECT_EQ(connection->queued_bytes(), 1000u);
  RunUntil([&] { return server.drained == 1; });
  client.Pump();
  EXPECT_EQ(client.in.size(), 1000u);
  EXPECT_EQ(client.reads, 1);
}

TEST_F(ConnectionTest, SlowReaderGrowsTheQueueAndDrainsLater) {
  RawClient client(address(), 4096);
  client.reading = false;
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  const std::string chunk(1024 * 1024, 'x');
  for (int i = 0; i < 16; ++i) connection->Write(chunk);
  for (int i = 0; i < 20; ++i) {
    io_.restart();
    io_.poll();
  }
  EXPECT_GT(connection->queued_bytes(), 0u);
  EXPECT_EQ(server.drained, 0);
  client.reading = true;
  RunUntil([&] { return client.in.size() == 16 * chunk.size(); }, [&] { client.Pump(); });
  RunUntil([&] { return server.drained == 1; });
  EXPECT_EQ(connection->queued_bytes(), 0u);
}

TEST_F(ConnectionTest, AbortInsideOnDataStopsEverything) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  server.on_data = [&](std::string_view) { connection->Abort(); };
  connection->Start(&server);
  client.Send(std::string(300'000, 'x'));
  RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
  EXPECT_EQ(server.reads, 1);
  EXPECT_FALSE(server.closed.has_value());
  EXPECT_EQ(listener_->open_connections(), 0u);
  connection->Write("nothing");
  connection->CloseAfterFlush();
  connection->ResumeReading();
}

TEST_F(ConnectionTest, MayBeDestroyedInEachCallback) {
  for (const std::string where : {"data", "drained", "closed"}) {
    SCOPED_TRACE(where);
    RawClient client(address());
    auto connection = Accept();
    auto server = std::make_unique<Recorder>();
    bool gone = false;
    const auto destroy = [&] {
      // The handler dies too, as a session does that owns its connection.
      connection.reset();
      gone = true;
    };
    if (where == "data") server->on_data = [&](std::string_view) { destroy(); };
    if (where == "drained") server->on_drained = destroy;
    if (where == "closed") server->on_closed = destroy;
    connection->Start(server.get());
    connection->Write("x");
    client.Send("y");
    if (where == "closed") client.Pump(), client.ShutdownWrite();
    RunUntil([&] { return gone; }, [&] { client.Pump(); });
    server.reset();
    RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
    EXPECT_EQ(listener_->open_connections(), 0u);
  }
}

TEST_F(ConnectionTest, ADestroyedConnectionInTheFlushQueueIsHarmless) {
  RawClient first(address()), second(address());
  auto a = Accept();
  auto b = Accept();
  Recorder server_a, server_b;
  server_a.on_drained = [&] { b.reset(); };
  a->Start(&server_a);
  b->Start(&server_b);
  a->Write("a");
  b->Write("b");
  RunUntil([&] { return server_a.drained == 1; });
  EXPECT_EQ(server_b.drained, 0);
}

TEST_F(ConnectionTest, OrderlyCloseOfThePeerIsOk) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  client.Send("bye");
  client.Pump();
  client.Close();
  RunUntil([&] { return server.closed.has_value(); });
  EXPECT_EQ(server.data, "bye");
  EXPECT_TRUE(server.closed->ok());
  EXPECT_EQ(listener_->open_connections(), 0u);
}

TEST_F(ConnectionTest, AnswerWrittenBeforeAHalfCloseIsSeenStillGoesOut) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  server.on_data = [&](std::string_view) { connection->Write("answer"); };
  connection->Start(&server);
  client.Send("question");
  client.Pump();
  client.ShutdownWrite();
  RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
  EXPECT_EQ(client.in, "answer");
  EXPECT_TRUE(server.closed->ok());
}

TEST_F(ConnectionTest, ResetIsUnavailable) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  client.Reset();
  RunUntil([&] { return server.closed.has_value(); });
  EXPECT_EQ(server.closed->code(), absl::StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, CloseAfterFlushLosesNoByteThoughThePeerKeepsSending) {
  RawClient client(address());
  client.reading = false;
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  const std::string farewell(3 * 1024 * 1024, 'x');
  client.Send(std::string(100'000, 'y'));
  connection->Write(farewell);
  connection->CloseAfterFlush(milliseconds(5000));
  connection->Write("after the close");
  client.Pump();
  client.reading = true;
  RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
  EXPECT_EQ(client.in.size(), farewell.size());
  EXPECT_EQ(client.error, "");
  client.Close();
  RunUntil([&] { return server.closed.has_value(); });
  EXPECT_TRUE(server.closed->ok());
  EXPECT_EQ(server.data, "");
}

TEST_F(ConnectionTest, CloseAfterFlushIsBounded) {
  RawClient client(address(), 4096);
  client.reading = false;
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  connection->Write(std::string(16 * 1024 * 1024, 'x'));
  connection->CloseAfterFlush(milliseconds(30));
  RunUntil([&] { return server.closed.has_value(); });
  EXPECT_EQ(server.closed->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(listener_->open_connections(), 0u);
}

TEST_F(ConnectionTest, APeerThatNeverClosesIsLeftAfterTheLinger) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  connection->Start(&server);
  connection->Write("x");
  connection->CloseAfterFlush(milliseconds(30));
  RunUntil([&] { return server.closed.has_value(); });
  EXPECT_TRUE(server.closed->ok());
  client.Pump();
  EXPECT_EQ(client.in, "x");
  EXPECT_TRUE(client.eof);
}

TEST_F(ConnectionTest, PausedReadingHoldsBackAndLosesNothing) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  server.on_data = [&](std::string_view) { connection->PauseReading(); };
  connection->Start(&server);
  const std::string sent(500'000, 'x');
  client.Send(sent);
  RunUntil([&] { return server.reads == 1; }, [&] { client.Pump(); });
  for (int i = 0; i < 20; ++i) {
    io_.restart();
    io_.poll();
    client.Pump();
  }
  EXPECT_EQ(server.reads, 1);
  server.on_data = nullptr;
  connection->ResumeReading();
  RunUntil([&] { return server.data.size() == sent.size(); }, [&] { client.Pump(); });
}

TEST_F(ConnectionTest, PausedBeforeStartReadsNothing) {
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  connection->PauseReading();
  connection->Start(&server);
  client.Send("x");
  client.Pump();
  for (int i = 0; i < 20; ++i) {
    io_.restart();
    io_.poll();
  }
  EXPECT_EQ(server.reads, 0);
  connection->ResumeReading();
  RunUntil([&] { return server.data == "x"; });
}

TEST_F(ConnectionTest, ReadRateIsKept) {
  testing::VirtualTime time;
  RawClient client(address());
  auto connection = Accept();
  Recorder server;
  connection->SetReadRate(200'000);
  connection->Start(&server);
  client.Send(std::string(300'000, 'x'));
  // A burst of one second's bytes, then what the time that passes allows.
  RunUntil([&] { return server.data.size() >= 200'000; }, [&] { client.Pump(); });
  const auto settle = [&] {
    for (int i = 0; i < 20; ++i) {
      time.Settle(io_);
      client.Pump();
    }
  };
  settle();
  EXPECT_EQ(server.data.size(), 200'000u);
  time.JumpTo(time.Now() + milliseconds(250));
  RunUntil([&] { return server.data.size() >= 250'000; }, [&] { client.Pump(); });
  settle();
  EXPECT_EQ(server.data.size(), 250'000u);
  time.JumpTo(time.Now() + milliseconds(250));
  RunUntil([&] { return server.data.size() == 300'000; }, [&] { client.Pump(); });
  connection->SetReadRate(0);
  // The pause that has begun lasts for a twentieth of a second at most.
  time.JumpTo(time.Now() + milliseconds(50));
  client.Send(std::string(1'000'000, 'x'));
  RunUntil([&] { return server.data.size() == 1'300'000; }, [&] { client.Pump(); });
}

TEST_F(ConnectionTest, OneBusyPeerDoesNotKeepTheLoop) {
  RawClient busy(address()), quiet(address());
  auto a = Accept();
  auto b = Accept();
  Recorder server_a, server_b;
  int before_quiet = 0;
  server_b.on_data = [&](std::string_view) { before_quiet = server_a.reads; };
  // Turns the flood without end that a fast peer makes: each read brings its like.
  server_a.on_data = [&](std::string_view) { busy.Pump(); };
  busy.Send(std::string(8 * 1024 * 1024, 'x'));
  quiet.Send("y");
  busy.Pump();
  quiet.Pump();
  a->Start(&server_a);
  b->Start(&server_b);
  RunUntil([&] { return server_b.reads == 1; });
  EXPECT_LE(before_quiet, 8);
}

TEST_F(ConnectionTest, ConnectTcpReachesTheListener) {
  std::unique_ptr<Connection> client;
  ConnectTcp(io_, address(), milliseconds(5000), [&](absl::StatusOr<std::unique_ptr<Connection>> connection) {
    ASSERT_TRUE(connection.ok()) << connection.status();
    client = std::move(*connection);
  });
  EXPECT_EQ(client, nullptr);
  auto connection = Accept();
  Recorder at_server, at_client;
  connection->Start(&at_server);
  RunUntil([&] { return client != nullptr; });
  client->Start(&at_client);
  client->Write("ping");
  RunUntil([&] { return at_server.data == "ping"; });
}

TEST_F(ConnectionTest, ConnectTcpTellsWhatIsWrong) {
  std::vector<absl::Status> results;
  const auto note = [&](absl::StatusOr<std::unique_ptr<Connection>> connection) {
    results.push_back(connection.status());
  };
  ConnectTcp(io_, "no port", milliseconds(5000), note);
  RunUntil([&] { return results.size() == 1; });
  EXPECT_EQ(results[0].code(), absl::StatusCode::kInvalidArgument);
  const std::string gone = address();
  listener_.reset();
  ConnectTcp(io_, gone, milliseconds(5000), note);
  RunUntil([&] { return results.size() == 2; });
  EXPECT_EQ(results[1].code(), absl::StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, LoopMayEndWithConnectionsOpen) {
  RawClient client(address());
  auto io = std::make_unique<asio::io_context>(1);
  std::unique_ptr<Connection> connection;
  auto listener = Listener::Create(*io, {.address = "127.0.0.1:0", .tls = nullptr},
                                   [&](std::unique_ptr<Connection> c) { connection = std::move(c); });
  ASSERT_TRUE(listener.ok());
  RawClient other((*listener)->bound_address());
  while (connection == nullptr) io->run_one();
  Recorder server;
  connection->Start(&server);
  connection->Write("never sent");
  connection.reset();
  listener->reset();
  io.reset();
}

}  // namespace
}  // namespace rookery::net
