// The adapter with real gRPC servers on loopback, one for each instance of the roster service.
#include "adapters/grpc_roster.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <optional>

#include "rookery/testing/fake_registry.h"

namespace rookery::session_manager {
namespace {

/// An instance of roster.
class RosterInstance final : public roster::v1::RosterService::Service {
 public:
  RosterInstance() {
    auto started = rpc::Server::Start({}, {this});
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  ~RosterInstance() override {
    thawed_.set_value();
    server_->Shutdown(std::chrono::milliseconds(0));
  }
  std::string address() const { return server_->bound_address(); }

  grpc::Status GetUserSettings(grpc::ServerContext*, const roster::v1::GetUserSettingsRequest*,
                               roster::v1::GetUserSettingsResponse* response) override {
    ++calls;
    if (is_frozen) until_thawed_.wait();
    response->mutable_settings()->add_blocked("eve@localhost");
    return grpc::Status::OK;
  }

  std::atomic<int> calls = 0;
  std::atomic<bool> is_frozen = false;

 private:
  std::promise<void> thawed_;
  std::shared_future<void> until_thawed_ = thawed_.get_future().share();
  std::unique_ptr<rpc::Server> server_;
};

TEST(GrpcRosterTest, OneOfTwoInstancesIsFrozen_EverybodysSettingsAreKnownAMomentLater) {
  constexpr std::chrono::seconds kDeadline{20};
  asio::io_context io;
  testing::FakeRegistry registry;
  RosterInstance frozen, well;
  registry.instances["roster"] = {{"roster-1", frozen.address()}, {"roster-2", well.address()}};
  frozen.is_frozen = true;
  GrpcRoster roster(io, registry, {.tls = {}, .service = {}, .default_deadline = kDeadline});
  for (int i = 0; i < 4 || frozen.calls == 0; ++i) {
    ASSERT_LT(i, 64) << "some users are the frozen one's";
    roster::v1::GetUserSettingsRequest request;
    request.set_user("u" + std::to_string(i) + "@localhost");
    std::optional<absl::StatusOr<roster::v1::GetUserSettingsResponse>> answer;
    const auto asked = std::chrono::steady_clock::now();
    asio::co_spawn(io, roster.GetUserSettings(std::move(request), 0),
                   [&](std::exception_ptr, auto value) { answer.emplace(std::move(value)); });
    io.restart();
    io.run();
    ASSERT_TRUE(answer && answer->ok());
    EXPECT_EQ((*answer)->settings().blocked_size(), 1);
    // How long is in the tests of InstanceClient, where time is the test's.
    EXPECT_LT(std::chrono::steady_clock::now() - asked, kDeadline / 2);
  }
}

}  // namespace
}  // namespace rookery::session_manager
