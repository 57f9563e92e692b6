#include "rookery/rpc/unary.h"

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "rookery/roster/v1/roster_service.grpc.pb.h"
#include "rookery/rpc/server.h"
#include "rookery/runtime/event.h"

namespace rookery::rpc {
namespace {

using roster::v1::GetRosterRequest;
using roster::v1::GetRosterResponse;
using roster::v1::RosterService;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Far beyond what Until() waits.
constexpr milliseconds kNeverDue = std::chrono::minutes(10);

/// Answers by the user's name; `held` only when `released` is set.
class FakeRoster final : public RosterService::CallbackService {
 public:
  explicit FakeRoster(asio::io_context& io) : released(io.get_executor()), io_(io) {}

  grpc::ServerUnaryReactor* GetRoster(grpc::CallbackServerContext* context, const GetRosterRequest* request,
                                      GetRosterResponse* response) override {
    return Serve(io_, context, request, response, [this](const GetRosterRequest& r) { return Handle(r); });
  }

  runtime::Event released;
  int handled = 0;
  std::thread::id thread;

 private:
  Task<absl::StatusOr<GetRosterResponse>> Handle(const GetRosterRequest& request) {
    ++handled;
    thread = std::this_thread::get_id();
    if (request.user() == "nobody") co_return absl::NotFoundError("no such user");
    if (request.user() == "held") co_await released.Wait();
    if (request.user() == "broken") throw std::runtime_error("inside");
    GetRosterResponse response;
    response.set_version(7);
    response.add_items()->set_jid("romeo@example.org");
    co_return response;
  }

  asio::io_context& io_;
};

class UnaryTest : public testing::Test {
 protected:
  UnaryTest() {
    auto server = Server::Start(ServerOptions{}, {&service_});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    stub_ = RosterService::NewStub(MakeChannel(ClientOptions{}, server_->bound_address()));
  }

  ~UnaryTest() override {
    service_.released.Set();
    bool stopped = false;
    std::thread shutdown([&] {
      server_->Shutdown(seconds(3));
      asio::post(io_, [&] { stopped = true; });
    });
    EXPECT_TRUE(Until([&] { return stopped; }));
    shutdown.join();
  }

  bool Until(const std::function<bool()>& done, milliseconds time = seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      io_.restart();
      io_.run_one_for(milliseconds(20));
    }
    return true;
  }

  Task<absl::StatusOr<GetRosterResponse>> Get(std::string user, milliseconds deadline) {
    GetRosterRequest request;
    request.set_user(user);
    auto start = [&](grpc::ClientContext* context, GetRosterResponse* response, auto done) {
      stub_->async()->GetRoster(context, &request, response, std::move(done));
    };
    absl::StatusOr<GetRosterResponse> response = co_await Call<GetRosterResponse>(io_, deadline, start);
    co_return response;
  }

  absl::StatusOr<GetRosterResponse> Ask(const std::string& user, milliseconds deadline = seconds(5)) {
    std::optional<absl::StatusOr<GetRosterResponse>> result;
    asio::co_spawn(io_, Get(user, deadline),
                   [&](std::exception_ptr, absl::StatusOr<GetRosterResponse> response) {
                     result = std::move(response);
                   });
    EXPECT_TRUE(Until([&] { return result.has_value(); }));
    return std::move(*result);
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  FakeRoster service_{io_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<RosterService::Stub> stub_;
};

TEST_F(UnaryTest, Answers) {
  const auto response = Ask("juliet");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->version(), 7u);
  EXPECT_EQ(response->items(0).jid(), "romeo@example.org");
  EXPECT_EQ(service_.thread, std::this_thread::get_id());
}

TEST_F(UnaryTest, ErrorsKeepTheirCodeAndText) {
  const auto response = Ask("nobody");
  EXPECT_EQ(response.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(response.status().message(), "no such user");
}

TEST_F(UnaryTest, ExceptionsInsideAreInternalAndTellNothing) {
  const auto response = Ask("broken");
  EXPECT_EQ(response.status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(response.status().message(), "internal error");
}

TEST_F(UnaryTest, DeadlineEndsTheCall) {
  EXPECT_EQ(Ask("held", milliseconds(100)).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(UnaryTest, CancellingTheCoroutineCancelsTheCall) {
  asio::cancellation_signal cancel;
  std::optional<absl::StatusCode> code;
  bool ended = false;
  auto run = [&]() -> Task<void> {
    const auto response = co_await Get("held", kNeverDue);
    code = response.status().code();
  };
  asio::co_spawn(io_, run(),
                 asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr) { ended = true; }));
  ASSERT_TRUE(Until([&] { return service_.handled == 1; }));
  cancel.emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(Until([&] { return ended; }));
}

TEST_F(UnaryTest, NobodyThereIsUnavailableAtOnce) {
  stub_ = RosterService::NewStub(MakeChannel(ClientOptions{}, "127.0.0.1:1"));
  EXPECT_EQ(Ask("juliet", kNeverDue).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(UnaryTest, AnswerAfterTheLoopIsGoneTouchesNothing) {
  auto io = std::make_unique<asio::io_context>(1);
  std::atomic<bool> answered = false;
  auto start = [&](grpc::ClientContext* context, GetRosterResponse* response, auto done) {
    static const GetRosterRequest request = [] {
      GetRosterRequest r;
      r.set_user("held");
      return r;
    }();
    stub_->async()->GetRoster(context, &request, response, [&answered, done](grpc::Status status) {
      done(std::move(status));
      answered = true;
    });
  };
  auto run = [&]() -> Task<void> {
    const auto response = co_await Call<GetRosterResponse>(*io, kNeverDue, start);
    ADD_FAILURE();
  };
  asio::co_spawn(*io, run(), [](std::exception_ptr) {});
  io->poll();
  ASSERT_TRUE(Until([&] { return service_.handled == 1; }));
  io.reset();
  service_.released.Set();
  EXPECT_TRUE(Until([&] { return answered.load(); }));
}

TEST(UnaryStatus, MapsBothWays) {
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  const absl::Status status = absl::ResourceExhaustedError("full");
  EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
}

}  // namespace
}  // namespace rookery::rpc
