#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "rookery/redis/client.h"

namespace rookery::redis {

/// An error reply that says that the node cannot serve now, as opposed to a wrong command.
bool IsAway(const absl::Status& status);

/// Whether an error reply begins with this word.
bool IsError(const absl::Status& status, std::string_view word);

/// Eval in terms of Command.
class EvalClient : public Client {
 public:
  Task<absl::StatusOr<Reply>> Eval(const char* script, std::string key,
                                   std::vector<std::string> arguments) final;

 private:
  std::unordered_map<const char*, std::string> digests_;  // by address: scripts live forever
};

}  // namespace rookery::redis
