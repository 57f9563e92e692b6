#pragma once

#include <memory>

#include "rookery/app/app.h"
#include "rookery/disco/v1/disco_service.pb.h"
#include "rookery/member/disco_desk.h"
#include "rookery/member/member.h"

namespace rookery::member {

/// The App of a service that has nothing but its shards yet: it reads them, and says what it is
/// (XEP-0030). A service derives from it to say which.
class MemberApp : public app::App {
 public:
  using Config = MemberConfig;
  ~MemberApp() override;

  Task<absl::Status> Start() override;
  Task<void> Stop() override;
  std::string NotReadyReason() const override { return member_.NotReadyReason(); }

 protected:
  MemberApp(app::Process& process, const Config& config, MemberDescription description,
            std::unique_ptr<sharding::ShardService> shards, disco::v1::GetDiscoInfoResponse info);

 private:
  app::Process& process_;
  Member member_;
  std::unique_ptr<sharding::ShardService> shards_;
  const disco::v1::GetDiscoInfoResponse info_;
  std::unique_ptr<DiscoDesk> disco_;
  std::unique_ptr<grpc::Service> disco_rpc_;
};

}  // namespace rookery::member
