#pragma once

#include <grpcpp/security/auth_metadata_processor.h>

#include <string>
#include <vector>

namespace rookery::rpc {

/// Lets a call in by the name in its caller's certificate, which TLS has verified. PERMISSION_DENIED for
/// others. On gRPC's threads.
class CallerCheck final : public grpc::AuthMetadataProcessor {
 public:
  explicit CallerCheck(const std::vector<std::string>& services);

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata* consumed,
                       OutputMetadata* response) override;

 private:
  bool IsAllowed(const grpc::AuthContext& context) const;

  std::vector<std::string> names_;
};

}  // namespace rookery::rpc
