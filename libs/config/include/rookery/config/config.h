#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace rookery::config {

/// Binds a service's options to the fields of a struct, fills them from defaults,
/// then a YAML file, then the environment, and says what is wrong in one line.
///
/// The path `redis.addresses` is `redis: {addresses: …}` in the file and
/// `ROOKERY_<SERVICE>__REDIS__ADDRESSES` in the environment (dashes become
/// underscores; lists are separated by commas). A secret is taken from the
/// environment or, with `_FILE` added to the name, from a file, never from the
/// YAML. Keys that nothing binds are errors. Used at start, on one thread.
class Schema {
 public:
  /// `service`: "gateway", "session-manager", …
  explicit Schema(std::string service);
  ~Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  /// Each binds a path to a field; the field's value before Load is the default.
  /// `help` is one line and is shown by --help.
  void Bind(std::string_view path, std::string* field, std::string_view help);
  void Bind(std::string_view path, bool* field, std::string_view help);
  void Bind(std::string_view path, std::int64_t* field, std::string_view help, std::int64_t min,
            std::int64_t max);
  void Bind(std::string_view path, std::vector<std::string>* field, std::string_view help);
  /// Written `250ms`, `5s`, `10m`, `1h`.
  void Bind(std::string_view path, std::chrono::milliseconds* field, std::string_view help);
  void BindSecret(std::string_view path, std::string* field, std::string_view help);
  /// A text that must be one of `allowed`.
  void BindChoice(std::string_view path, std::string* field, std::vector<std::string> allowed,
                  std::string_view help);

  /// Reads `file` (empty: none) and the environment into the bound fields.
  /// INVALID_ARGUMENT or NOT_FOUND with one line that names the key.
  absl::Status Load(const std::string& file, const std::map<std::string, std::string>& environment);

  /// The settings in force as YAML, secrets as `***`.
  std::string Print() const;
  /// A reference of every key: path, default, environment name, help; a Markdown table.
  std::string Reference() const;
  /// One line for each key, for --help.
  std::string Help() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rookery::config
