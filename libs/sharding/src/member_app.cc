#include "rookery/sharding/member_app.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <utility>

#include "disco_rpc.h"
#include "rookery/base/status.h"

namespace rookery::sharding {

MemberApp::MemberApp(app::Process& process, const Config& config, MemberDescription description,
                     std::unique_ptr<ShardService> shards, disco::v1::GetDiscoInfoResponse info)
    : process_(process),
      topic_(description.owner.topic),
      member_(process, config, std::move(description)),
      shards_(std::move(shards)),
      info_(std::move(info)) {}

MemberApp::~MemberApp() { member_.End(); }

Task<absl::Status> MemberApp::Start() {
  ROOKERY_CO_RETURN_IF_ERROR(co_await member_.Connect());
  disco_ = std::make_unique<DiscoDesk>(member_.log().topology().partitions(topic_), info_,
                                       [this](std::uint32_t shard) {
                                         const Shard* const found = member_.owner().Find(shard);
                                         return found != nullptr && found->live();
                                       });
  disco_rpc_ = MakeDiscoRpc(process_.io, *disco_, process_.metrics);
  co_return co_await member_.Join(*shards_, {disco_rpc_.get()});
}

Task<void> MemberApp::Stop() {
  co_await member_.Leave();
  co_await member_.Close();
}

}  // namespace rookery::sharding
