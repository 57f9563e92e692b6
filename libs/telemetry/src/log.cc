#include "rookery/telemetry/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>

#include "log_line.h"
#include "rookery/base/clock.h"
#include "rookery/base/random.h"
#include "rookery/base/sha256.h"
#include "siphash.h"

namespace rookery::telemetry {
namespace {

// A peer chooses some of the text that we log.
constexpr std::size_t kMaxText = 2048;

// spdlog's own sink for stdout flushes every line, a system call each.
class StdoutSink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::fwrite(message.payload.data(), 1, message.payload.size(), stdout);
    std::fputc('\n', stdout);
  }
  void flush_() override { std::fflush(stdout); }
};

struct Logger {
  std::string service;
  std::string instance;
  std::shared_ptr<spdlog::logger> sink;
};

std::atomic<int> least_level{static_cast<int>(Level::kInfo)};

// InitLog replaces it once, before there are other threads.
Logger& TheLogger() {
  static Logger* const logger = [] {
    auto* made = new Logger;
    made->sink = std::make_shared<spdlog::logger>("rookery", std::make_shared<StdoutSink>());
    made->sink->set_level(spdlog::level::trace);
    made->sink->flush_on(spdlog::level::warn);
    return made;
  }();
  return *logger;
}

constexpr std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string_view Hex(std::uint64_t value, std::array<char, 16>* out) {
  for (int i = 15; i >= 0; --i, value >>= 4)
    (*out)[static_cast<std::size_t>(i)] = "0123456789abcdef"[value & 15];
  return {out->data(), out->size()};
}

/// `digits` of them, with zeros in front.
void AppendDigits(std::string* out, unsigned value, std::size_t digits) {
  const std::size_t end = out->size() + digits;
  out->resize(end);
  for (std::size_t i = 1; i <= digits; ++i, value /= 10)
    (*out)[end - i] = static_cast<char>('0' + value % 10);
}

/// RFC 3339, in UTC. The C library's functions take a lock and look at the environment.
void AppendTime(std::string* out, std::int64_t unix_millis) {
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(unix_millis)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  const auto append = [out](auto value, std::size_t digits, char after) {
    AppendDigits(out, static_cast<unsigned>(value), digits);
    out->push_back(after);
  };
  append(static_cast<int>(date.year()), 4, '-');
  append(static_cast<unsigned>(date.month()), 2, '-');
  append(static_cast<unsigned>(date.day()), 2, 'T');
  append(clock.hours().count(), 2, ':');
  append(clock.minutes().count(), 2, ':');
  append(clock.seconds().count(), 2, '.');
  append(clock.subseconds().count(), 3, 'Z');
}

// The length of the well-formed UTF-8 sequence at the beginning of `text`, or 0
// (RFC 3629, section 4).
std::size_t Utf8Length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto is_tail = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return is_tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!is_tail(1) || !is_tail(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    if (first == 0xed && byte(1) > 0x9f) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!is_tail(1) || !is_tail(2) || !is_tail(3)) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

void AppendJsonText(std::string* out, std::string_view text, std::size_t limit) {
  out->push_back('"');
  const bool is_cut = text.size() > limit;
  const std::size_t end = is_cut ? limit : text.size();
  std::size_t i = 0;
  while (i < end) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
      ++i;
    } else if (c == '\n') {
      *out += "\\n";
      ++i;
    } else if (c < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      *out += escape;
      ++i;
    } else if (c < 0x80) {
      out->push_back(static_cast<char>(c));
      ++i;
    } else if (const std::size_t length = Utf8Length(text.substr(i)); length > 0) {
      if (i + length > end) break;
      out->append(text.substr(i, length));
      i += length;
    } else {
      *out += "\\ufffd";
      ++i;
    }
  }
  if (is_cut) *out += "\\u2026";
  out->push_back('"');
}

std::string FormatLine(std::int64_t unix_millis, Level level, std::string_view service,
                       std::string_view instance, std::string_view event,
                       std::initializer_list<Field> fields) {
  std::string line;
  line.reserve(192);
  line += "{\"ts\":\"";
  AppendTime(&line, unix_millis);
  line += "\",\"level\":\"";
  line += LevelName(level);
  line += "\",\"service\":";
  AppendJsonText(&line, service, kMaxText);
  line += ",\"instance\":";
  AppendJsonText(&line, instance, kMaxText);
  line += ",\"event\":";
  AppendJsonText(&line, event, kMaxText);
  for (const Field& field : fields) {
    line.push_back(',');
    AppendJsonText(&line, field.key, kMaxText);
    line.push_back(':');
    switch (field.kind) {
      case Field::Kind::kText:
        AppendJsonText(&line, field.text, kMaxText);
        break;
      case Field::Kind::kInt:
        line += std::to_string(field.number);
        break;
      case Field::Kind::kBool:
        line += field.number != 0 ? "true" : "false";
        break;
    }
  }
  line.push_back('}');
  return line;
}

bool IsLogged(Level level) { return static_cast<int>(level) >= least_level.load(std::memory_order_relaxed); }

void Log(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (!IsLogged(level)) return;
  const Logger& logger = TheLogger();
  const std::string line = FormatLine(UnixMillis(), level, logger.service, logger.instance, event, fields);
  logger.sink->log(ToSpdlog(level), spdlog::string_view_t(line));
}

void InitLog(std::string_view service, std::string_view instance, std::string_view level) {
  Logger& logger = TheLogger();
  logger.service = service;
  logger.instance = instance;
  Level least = Level::kInfo;
  for (const Level candidate : {Level::kDebug, Level::kInfo, Level::kWarn, Level::kError}) {
    if (LevelName(candidate) == level) least = candidate;
  }
  least_level.store(static_cast<int>(least), std::memory_order_relaxed);
  // spdlog's flusher thread looks after registered loggers only.
  spdlog::set_default_logger(logger.sink);
  spdlog::flush_every(std::chrono::seconds(1));
}

void FlushLog() { TheLogger().sink->flush(); }

bool HasSharedJidKey() {
  const char* const key = std::getenv("ROOKERY_LOG_JID_KEY");
  return key != nullptr && *key != '\0';
}

std::string HashedJid(std::string_view jid) {
  static const std::array<std::uint64_t, 2> key = [] {
    std::array<std::uint64_t, 2> made;
    if (!HasSharedJidKey()) {
      const std::string random = RandomBytes(sizeof made);
      std::memcpy(made.data(), random.data(), sizeof made);
    } else {
      const char* const shared = std::getenv("ROOKERY_LOG_JID_KEY");
      std::memcpy(made.data(), Sha256(shared).data(), sizeof made);
    }
    return made;
  }();
  return TraceId(SipHash(key, jid));
}

std::string TraceId(std::uint64_t id) {
  std::array<char, 16> digits;
  return std::string(Hex(id, &digits));
}

}  // namespace rookery::telemetry
