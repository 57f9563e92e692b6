// The adapter with real gRPC servers on loopback, one for each owner.
#include "adapters/grpc_service_disco.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <future>
#include <optional>

#include "rookery/rpc/unary.h"
#include "rookery/telemetry/log.h"
#include "rookery/testing/fake_registry.h"

namespace rookery::session_manager {
namespace {

constexpr std::uint32_t kShards = 8;
const std::string kJid = "conference.localhost";
const events::Home kHome = events::HomeWith(
    events::Service::kMuc, events::Topology({kShards, kShards, kShards, kShards}), "conference.localhost");

/// An instance of muc.
class Muc final : public disco::v1::DiscoService::Service {
 public:
  Muc() {
    auto started = rpc::Server::Start({}, {this});
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  ~Muc() override {
    thawed_.set_value();
    server_->Shutdown(std::chrono::milliseconds(0));
  }
  std::string address() const { return server_->bound_address(); }

  grpc::Status GetDiscoInfo(grpc::ServerContext* context, const disco::v1::GetDiscoInfoRequest* request,
                            disco::v1::GetDiscoInfoResponse* response) override {
    ++calls;
    const auto trace = context->client_metadata().find("rookery-trace-id");
    if (trace != context->client_metadata().end())
      trace_id = std::string(trace->second.data(), trace->second.size());
    if (is_frozen) thawed_.get_future().wait();
    if (!status.ok()) return status;
    response->add_features(request->jid());
    return grpc::Status::OK;
  }
  grpc::Status ListDiscoItems(grpc::ServerContext*, const disco::v1::ListDiscoItemsRequest*,
                              disco::v1::ListDiscoItemsResponse* response) override {
    response->add_items()->set_jid("item");
    return grpc::Status::OK;
  }

  // Changed while no call runs.
  grpc::Status status;
  bool is_frozen = false;
  std::string trace_id;
  int calls = 0;

 private:
  std::promise<void> thawed_;
  std::unique_ptr<rpc::Server> server_;
};

class GrpcServiceDiscoTest : public ::testing::Test {
 protected:
  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> result;
    asio::co_spawn(io_, std::move(task),
                   [&](std::exception_ptr, T value) { result.emplace(std::move(value)); });
    io_.restart();
    io_.run();
    return *std::move(result);
  }
  absl::Status Ask(std::uint64_t trace_id = 0) {
    disco::v1::GetDiscoInfoRequest request;
    request.set_jid(kJid);
    const auto info = Run(disco_.Info(kHome, std::move(request), trace_id));
    if (info.ok()) EXPECT_EQ(info->features(0), kJid);
    return info.status();
  }

  /// Redis: who owns the room's shard; another one is always somebody else's.
  void Publish(const Muc& owner) {
    registry_.owners = {{kHome.partition, 1, "muc-1", owner.address()}, kOther};
  }

  inline static const routing::OwnerEntry kOther{(kHome.partition + 1) % kShards, 1, "muc-9", "127.0.0.1:1"};
  asio::io_context io_;
  testing::FakeRegistry registry_;
  GrpcServiceDisco disco_{
      io_, registry_, {.tls = {}, .service = {}, .default_deadline = std::chrono::milliseconds(1'000)}};
};

TEST_F(GrpcServiceDiscoTest, AServiceIsThereWhileAProcessIsRegistered) {
  EXPECT_FALSE(disco_.IsThere(events::Service::kMuc));
  registry_.instances["muc"].push_back({"muc-1", "127.0.0.1:1"});
  EXPECT_TRUE(disco_.IsThere(events::Service::kMuc));
  EXPECT_FALSE(disco_.IsThere(events::Service::kSearch));
}

TEST_F(GrpcServiceDiscoTest, AsksTheOwnerAndRemembersIt) {
  Muc owner;
  Publish(owner);
  EXPECT_TRUE(Ask(0x1234).ok());
  EXPECT_EQ(owner.trace_id, telemetry::TraceId(0x1234));
  disco::v1::ListDiscoItemsRequest request;
  request.set_jid(kJid);
  const auto items = Run(disco_.Items(kHome, std::move(request), 0));
  ASSERT_TRUE(items.ok());
  EXPECT_EQ(items->items_size(), 1);
  EXPECT_EQ(registry_.reads, std::vector<std::string>{"muc"});
  // An owner that stays is found without Redis.
  registry_.is_away = true;
  EXPECT_TRUE(Ask().ok());
  EXPECT_EQ(registry_.reads, std::vector<std::string>{"muc"});
}

TEST_F(GrpcServiceDiscoTest, WhatTheOwnerSaysIsTheAnswer) {
  Muc owner;
  Publish(owner);
  owner.status = grpc::Status(grpc::StatusCode::NOT_FOUND, "no such node");
  EXPECT_EQ(Ask().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(owner.calls, 1);
}

TEST_F(GrpcServiceDiscoTest, AnotherOwnerIsFoundWhenTheOldOneIsGone) {
  Muc next;
  {
    Muc owner;
    Publish(owner);
    EXPECT_TRUE(Ask().ok());
  }
  EXPECT_EQ(Ask().code(), absl::StatusCode::kUnavailable) << "nobody has taken over yet";
  Publish(next);
  EXPECT_TRUE(Ask().ok());
}

TEST_F(GrpcServiceDiscoTest, AnotherOwnerIsFoundWhenTheOldOneSaysThatItIsNone) {
  Muc owner, next;
  Publish(owner);
  EXPECT_TRUE(Ask().ok());
  owner.status = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "not owned here");
  EXPECT_EQ(Ask().code(), absl::StatusCode::kUnavailable) << "Redis does not know the next one yet";
  EXPECT_EQ(owner.calls, 2) << "the same one is not asked again";
  Publish(next);
  EXPECT_TRUE(Ask().ok());
  EXPECT_EQ(next.calls, 1);
}

TEST_F(GrpcServiceDiscoTest, NobodyToAskIsUnavailable) {
  registry_.owners = {kOther};
  EXPECT_EQ(Ask().code(), absl::StatusCode::kUnavailable);
  registry_.is_away = true;
  EXPECT_EQ(Ask().code(), absl::StatusCode::kUnavailable);
}

TEST_F(GrpcServiceDiscoTest, AFrozenOwnerCostsNoMoreThanTheDeadline) {
  Muc owner;
  Publish(owner);
  owner.is_frozen = true;
  EXPECT_EQ(Ask().code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace rookery::session_manager
