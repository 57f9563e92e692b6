#include "eval.h"

#include <openssl/evp.h>

#include <iterator>
#include <utility>

#include "rookery/base/check.h"

namespace rookery::redis {
namespace {

std::string Sha1Hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  ROOKERY_CHECK(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) == 1);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace

bool IsError(const absl::Status& status, std::string_view word) {
  if (status.code() != absl::StatusCode::kFailedPrecondition) return false;
  const std::string_view text(status.message().data(), status.message().size());
  return text.starts_with(word) && (text.size() == word.size() || text[word.size()] == ' ');
}

bool IsAway(const absl::Status& status) {
  return IsError(status, "LOADING") || IsError(status, "READONLY") || IsError(status, "MASTERDOWN") ||
         IsError(status, "CLUSTERDOWN") || IsError(status, "BUSY");
}

Task<absl::StatusOr<Reply>> EvalClient::Eval(const char* script, std::string key,
                                             std::vector<std::string> arguments) {
  std::string& digest = digests_[script];
  if (digest.empty()) digest = Sha1Hex(script);
  const bool is_read_only = std::string_view(script).starts_with("#!lua flags=no-writes\n");
  std::vector<std::string> command{is_read_only ? "EVALSHA_RO" : "EVALSHA", digest, "1", key};
  command.insert(command.end(), arguments.begin(), arguments.end());
  absl::StatusOr<Reply> reply = co_await Command(key, std::move(command));
  if (!IsError(reply.status(), "NOSCRIPT")) co_return reply;
  std::vector<std::string> whole{is_read_only ? "EVAL_RO" : "EVAL", script, "1", key};
  whole.insert(whole.end(), std::make_move_iterator(arguments.begin()),
               std::make_move_iterator(arguments.end()));
  absl::StatusOr<Reply> second = co_await Command(std::move(key), std::move(whole));
  co_return second;
}

}  // namespace rookery::redis
