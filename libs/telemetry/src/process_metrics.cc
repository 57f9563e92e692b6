#include "process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string_view>

namespace rookery::telemetry {
namespace {

std::int64_t OpenDescriptors() {
  // Since Linux 6.2 the directory's size is their number, so that 20,000 sockets
  // need not be listed.
  struct stat info{};
  if (::stat("/proc/self/fd", &info) == 0 && info.st_size > 0) return info.st_size;
  DIR* const directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  std::int64_t count = 0;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(directory);
  return count - 1;  // the directory itself
}

std::int64_t ResidentBytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  long long total = 0;
  long long resident = 0;
  const int fields = std::fscanf(file, "%lld %lld", &total, &resident);
  std::fclose(file);
  return fields == 2 ? resident * ::sysconf(_SC_PAGESIZE) : 0;
}

// Clock ticks between the machine's boot and this process's start: field 22 of stat (proc(5)), 0 if unknown.
double StartTicks() {
  std::FILE* const file = std::fopen("/proc/self/stat", "re");
  if (file == nullptr) return 0;
  char line[1024] = {};
  const std::size_t size = std::fread(line, 1, sizeof line - 1, file);
  std::fclose(file);
  // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
  const std::size_t name_end = std::string_view(line, size).rfind(')');
  if (name_end == std::string_view::npos) return 0;
  unsigned long long ticks = 0;
  const int fields = std::sscanf(
      line + name_end + 1,
      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks);
  return fields == 1 ? static_cast<double>(ticks) : 0;
}

}  // namespace

double ProcessStartSeconds() {
  static const double start = [] {
    timespec now{};
    timespec since_boot{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
    const auto seconds = [](const timespec& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
    };
    return seconds(now) - seconds(since_boot) + StartTicks() / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }();
  return start;
}

ProcessUsage ReadProcessUsage() {
  ProcessUsage usage;
  rusage self{};
  if (::getrusage(RUSAGE_SELF, &self) == 0) {
    usage.cpu_seconds = static_cast<double>(self.ru_utime.tv_sec + self.ru_stime.tv_sec) +
                        static_cast<double>(self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6;
  }
  usage.resident_bytes = ResidentBytes();
  usage.open_descriptors = OpenDescriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
    usage.max_descriptors = static_cast<std::int64_t>(limit.rlim_cur);
  return usage;
}

}  // namespace rookery::telemetry
