#include "rookery/member/member_app.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <utility>

#include "disco_rpc.h"
#include "rookery/base/status.h"

namespace rookery::member {

MemberApp::MemberApp(app::Process& process, const Config& config, MemberDescription description,
                     std::unique_ptr<sharding::ShardService> shards, disco::v1::GetDiscoInfoResponse info)
    : process_(process),
      member_(process, config, std::move(description)),
      shards_(std::move(shards)),
      info_(std::move(info)) {}

MemberApp::~MemberApp() { member_.End(); }

Task<absl::Status> MemberApp::Start() {
  ROOKERY_CO_RETURN_IF_ERROR(co_await member_.Connect());
  disco_ = std::make_unique<DiscoDesk>(
      info_, [this](std::string_view address) { return member_.IsOwnerOf(address); });
  disco_rpc_ = MakeDiscoRpc(process_.io, *disco_, process_.metrics);
  co_return co_await member_.Join(*shards_, {disco_rpc_.get()});
}

Task<void> MemberApp::Stop() {
  co_await member_.Leave();
  co_await member_.Close();
}

}  // namespace rookery::member
