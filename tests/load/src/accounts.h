#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "scram.h"

namespace rookery::load {

struct Account {
  std::string user;
  std::string password;
  ScramKeys keys;
};

/// The benchmark's accounts, `load0`, `load1` and so on, with the keys that earlier
/// runs derived. The file has one line for each: user, salt, iterations, client key,
/// server key, in hexadecimal where binary.
class Accounts {
 public:
  /// A missing file is an empty cache; lines that do not parse are skipped.
  Accounts(std::string file, std::size_t count);
  std::size_t size() const { return accounts_.size(); }
  Account& operator[](std::size_t index) { return accounts_[index]; }
  /// How many have keys, that is, were seeded.
  std::size_t seeded() const;
  /// Writes the file anew, atomically.
  absl::Status Save() const;

 private:
  std::string file_;
  std::vector<Account> accounts_;
};

/// How many accounts the file knows.
std::size_t SeededIn(const std::string& file);

}  // namespace rookery::load
