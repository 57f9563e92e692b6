#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rookery::config {

class Schema;

/// The mistakes in a configuration: all of them, not only the first. Each is a line that says where it was
/// made (file and line, or the variable's name), which key is concerned, and what is expected.
class Problems {
 public:
  /// `schema` says where values came from; without it lines begin with the key.
  explicit Problems(const Schema* schema = nullptr) : schema_(schema) {}

  /// `key` is wrong, or is missing: "must be even", "is needed by …". Once a key has been told of, nothing
  /// more is told of it: what follows from one mistake is not another.
  void Add(std::string_view key, std::string_view what);
  /// A mistake that no known key has, such as an unknown one: a whole line.
  void AddLine(std::string line) { lines_.push_back(std::move(line)); }

  bool empty() const { return lines_.empty(); }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  const Schema* schema_;
  std::set<std::string, std::less<>> keys_;
  std::vector<std::string> lines_;
};

/// Binds a service's options to the fields of a struct and fills them from defaults, then YAML files, then
/// the environment.
///
/// The path `redis.addresses` is `redis: {addresses: …}` in a file and `ROOKERY_<SERVICE>__REDIS__ADDRESSES`
/// in the environment (dashes become underscores; lists are separated by commas). A secret is taken from the
/// environment or, with `_FILE` added to the name, from a file, never from the YAML. Keys that nothing binds
/// are errors. Used at start, on one thread.
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

  /// Reads the files, each over those before it, and the environment into the bound fields. A field whose
  /// value is wrong keeps what it had. The schema must outlive the answer.
  Problems Load(const std::vector<std::string>& files, const std::map<std::string, std::string>& environment);

  /// Where the value in force was given: `file:line`, or the variable's name; empty: the default.
  std::string Origin(std::string_view path) const;

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
