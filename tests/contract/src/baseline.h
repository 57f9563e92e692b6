#pragma once

#include <google/protobuf/descriptor.pb.h>

#include <string>
#include <vector>

namespace rookery::contract {

/// Returns the protos as they are today.
google::protobuf::FileDescriptorSet Today();

/// Reads them as they were when tests/contract/update was run last. Throws std::runtime_error.
google::protobuf::FileDescriptorSet ReadBaseline(const std::string& path);
void WriteBaseline(const std::string& path, const google::protobuf::FileDescriptorSet& files);
std::string BaselinePath();

/// Returns what `now` has changed or taken away of `before`, one line each. Additions are no breach.
std::vector<std::string> Breaches(const google::protobuf::FileDescriptorSet& before,
                                  const google::protobuf::FileDescriptorSet& now);

}  // namespace rookery::contract
