#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace rookery::contract {

/// Every file below protos/, sorted by name.
std::vector<const google::protobuf::FileDescriptor*> Files();

/// Every message that is sent or stored as a whole: the records of the log, what RPCs ask and
/// answer, the state that gateways keep for session-managers. Sorted by name.
std::vector<const google::protobuf::Descriptor*> Roots();

/// Where the files of this directory are: tests/contract of the source tree.
std::string Directory();

}  // namespace rookery::contract
