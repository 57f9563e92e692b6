#include "accounts.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace rookery::load {
namespace {

constexpr char kPrefix[] = "load";

bool ParseLine(const std::string& line, std::size_t* index, ScramKeys* keys) {
  std::istringstream words(line);
  std::string user, salt, client_key, server_key;
  if (!(words >> user >> salt >> keys->iterations >> client_key >> server_key)) return false;
  if (!user.starts_with(kPrefix) || !absl::SimpleAtoi(user.substr(sizeof kPrefix - 1), index)) return false;
  keys->salt = absl::HexStringToBytes(salt);
  keys->client_key = absl::HexStringToBytes(client_key);
  keys->server_key = absl::HexStringToBytes(server_key);
  return !keys->salt.empty() && keys->client_key.size() == 32 && keys->server_key.size() == 32;
}

}  // namespace

Accounts::Accounts(std::string file, std::size_t count) : file_(std::move(file)) {
  accounts_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    accounts_.push_back({absl::StrCat(kPrefix, i), absl::StrCat("password-of-", kPrefix, i), {}});
  }
  std::ifstream in(file_);
  std::string line;
  while (std::getline(in, line)) {
    std::size_t index = 0;
    ScramKeys keys;
    if (ParseLine(line, &index, &keys) && index < count) accounts_[index].keys = keys;
  }
}

std::size_t Accounts::seeded() const {
  return static_cast<std::size_t>(std::count_if(accounts_.begin(), accounts_.end(),
                                                [](const Account& a) { return a.keys.iterations != 0; }));
}

absl::Status Accounts::Save() const {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(file_).parent_path(), ignored);
  const std::string fresh = file_ + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    ::chmod(fresh.c_str(), 0600);
    for (const Account& account : accounts_) {
      if (account.keys.iterations == 0) continue;
      out << account.user << ' ' << absl::BytesToHexString(account.keys.salt) << ' '
          << account.keys.iterations << ' ' << absl::BytesToHexString(account.keys.client_key) << ' '
          << absl::BytesToHexString(account.keys.server_key) << '\n';
    }
    out.flush();
    if (!out) return absl::UnavailableError(absl::StrCat("cannot write ", fresh));
  }
  std::filesystem::rename(fresh, file_, ignored);
  return ignored ? absl::UnavailableError(absl::StrCat("cannot write ", file_)) : absl::OkStatus();
}

std::size_t SeededIn(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::size_t most = 0;
  while (std::getline(in, line)) {
    std::size_t index = 0;
    ScramKeys keys;
    if (ParseLine(line, &index, &keys)) most = std::max(most, index + 1);
  }
  return most;
}

}  // namespace rookery::load
