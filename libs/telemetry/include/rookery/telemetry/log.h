#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace rookery::telemetry {

enum class Level { kDebug, kInfo, kWarn, kError };

/// One field of a log line. Refers to its text: use it within the call only.
struct Field {
  std::string_view key;
  enum class Kind { kText, kInt, kBool } kind;
  std::string_view text;
  std::int64_t number = 0;

  Field(std::string_view k, std::string_view v) : key(k), kind(Kind::kText), text(v) {}
  Field(std::string_view k, const char* v) : key(k), kind(Kind::kText), text(v) {}
  Field(std::string_view k, const std::string& v) : key(k), kind(Kind::kText), text(v) {}
  /// Any other view of characters, such as absl's.
  template <typename T>
    requires requires(const T& v) {
      { v.data() } -> std::convertible_to<const char*>;
      { v.size() } -> std::convertible_to<std::size_t>;
    }
  Field(std::string_view k, const T& v) : key(k), kind(Kind::kText), text(v.data(), v.size()) {}
  template <std::integral T>
  Field(std::string_view k, T v)
      : key(k),
        kind(std::is_same_v<T, bool> ? Kind::kBool : Kind::kInt),
        number(static_cast<std::int64_t>(v)) {}
};

/// Writes `{"ts":…,"level":…,"service":…,"instance":…,"event":"session.started",…}` to
/// stdout, one line, if `level` is on. Never a message body, never a secret; an
/// address goes through HashedJid. Thread-safe.
void Log(Level level, std::string_view event, std::initializer_list<Field> fields = {});
bool IsLogged(Level level);

inline void LogDebug(std::string_view event, std::initializer_list<Field> fields = {}) {
  if (IsLogged(Level::kDebug)) Log(Level::kDebug, event, fields);
}
inline void LogInfo(std::string_view event, std::initializer_list<Field> fields = {}) {
  Log(Level::kInfo, event, fields);
}
inline void LogWarn(std::string_view event, std::initializer_list<Field> fields = {}) {
  Log(Level::kWarn, event, fields);
}
inline void LogError(std::string_view event, std::initializer_list<Field> fields = {}) {
  Log(Level::kError, event, fields);
}

/// Once, before the first line. `level`: debug, info, warn or error.
void InitLog(std::string_view service, std::string_view instance, std::string_view level);
/// Everything logged so far is in the kernel when it returns. Lines at warn and above
/// are flushed at once, the others within a second.
void FlushLog();

/// A keyed hash of the address: the same all over one cluster's logs when all its
/// processes have the same ROOKERY_LOG_JID_KEY in their environment (else each has a
/// random one), and of no use to a reader without it. 16 hex digits.
std::string HashedJid(std::string_view jid);
/// Whether that key is given.
bool HasSharedJidKey();
/// A trace id as 16 hex digits.
std::string TraceId(std::uint64_t id);

}  // namespace rookery::telemetry
