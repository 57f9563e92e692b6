#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace rookery::contract {

/// Where a file departs from how protos are written here, one line each.
std::vector<std::string> StyleBreaches(const google::protobuf::FileDescriptor& file);

}  // namespace rookery::contract
