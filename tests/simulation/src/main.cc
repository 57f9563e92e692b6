// rookery-simulator: a cluster, its clients and its misfortunes, from one seed. README.md says more.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "faults.h"
#include "mutations.h"
#include "rookery/base/check.h"
#include "rookery/telemetry/log.h"
#include "simulation.h"
#include "story.h"
#include "virtual_kernel.h"

namespace rookery::simulation {
namespace {

constexpr const char* kUsage =
    R"(usage: rookery-simulator [--seed N | --seeds A..B | --for SECONDS [--seed FIRST]]
                         [--minutes M] [--users N] [--managers N] [--gateways N] [--rooms N] [--rosters N]
                         [--faults LIST] [--story] [--html FILE] [--trace FILE] [--log]
                         [--jobs N] [--list-faults]
                         [--mutation NAME] [--list-mutations]

Plays seeds; each decides everything that happens. Faults are a list of names with commas, or
`default`, `all`, `none`; `+name` and `-name` change the default. How many rooms there are is the seed's choice,
unless it is said; in every second seed there are none. Of rosters all are changed, unless it is said how many.
Jobs are seeds at a time (1).
Exit status: 0 when every promise was kept, 1 otherwise, 2 for wrong usage.
)";

std::set<std::string> DefaultFaults() {
  std::set<std::string> names;
  for (const FaultKind& kind : AllFaults())
    if (*kind.off_because == '\0') names.insert(kind.name);
  return names;
}

bool ParseFaults(const std::string& text, std::set<std::string>& faults) {
  if (!text.starts_with('+') && !text.starts_with('-')) faults.clear();
  for (std::string word : std::vector<std::string>(absl::StrSplit(text, ',', absl::SkipEmpty()))) {
    if (word == "none") {
      faults.clear();
      continue;
    }
    if (word == "default") {
      faults = DefaultFaults();
      continue;
    }
    if (word == "all") {
      for (const FaultKind& kind : AllFaults()) faults.insert(kind.name);
      continue;
    }
    const bool is_off = word[0] == '-';
    if (word[0] == '-' || word[0] == '+') {
      word = word.substr(1);
    }
    bool is_known = false;
    for (const FaultKind& kind : AllFaults()) is_known = is_known || word == kind.name;
    if (!is_known) {
      std::fprintf(stderr, "rookery-simulator: no fault is called %s\n", word.c_str());
      return false;
    }
    if (is_off) {
      faults.erase(word);
    } else {
      faults.insert(word);
    }
  }
  return true;
}

/// The orders for a child process. Each seed has a process of its own: hash tables mix addresses into their
/// order, and so a history depends on what was allocated before it. All children get arguments of the same
/// lengths, and whatever only concerns the telling comes by the environment.
struct Play {
  std::uint64_t seed = 1;
  std::uint64_t minutes = 10;
  std::uint64_t users = 12;
  std::uint64_t managers = 3;
  std::uint64_t gateways = 2;
  std::uint64_t rooms = 0;     // one more than that; 0: as the seed says
  std::uint64_t rosters = 0;   // one more than are changed; 0: all
  std::uint64_t faults = 0;    // bits, in the order of the table
  std::uint64_t mutation = 0;  // its place in the table, from 1
  std::uint64_t tells = 0;
};
constexpr int kFields = sizeof(Play) / sizeof(std::uint64_t);
constexpr const char* kChild = "--play";
constexpr const char* kHtmlVariable = "ROOKERY_SIMULATOR_HTML";
constexpr const char* kTraceVariable = "ROOKERY_SIMULATOR_TRACE";

int PlayInChild(char** arguments) {
  Play play;
  std::uint64_t fields[kFields];
  for (int i = 0; i < kFields; ++i) fields[i] = std::strtoull(arguments[i], nullptr, 10);
  std::memcpy(&play, fields, sizeof play);
  Options options;
  options.seed = play.seed;
  options.duration = std::chrono::minutes(play.minutes);
  options.users = static_cast<int>(play.users);
  options.session_managers = static_cast<int>(play.managers);
  options.gateways = static_cast<int>(play.gateways);
  options.rooms = static_cast<int>(play.rooms) - 1;
  options.changing = static_cast<int>(play.rosters) - 1;
  for (std::size_t i = 0; i < AllFaults().size(); ++i)
    if ((play.faults >> i & 1U) != 0) options.faults.insert(AllFaults()[i].name);
  if (play.mutation != 0) options.mutation = AllMutations()[play.mutation - 1].name;
  options.keep_trace = play.tells != 0;
  telemetry::InitLog("simulator", "simulator", "warn");

  Simulation simulation(options);
  const Result result = simulation.Run();
  telemetry::FlushLog();
  std::printf(
      "seed %llu: %zu violations, %llu messages, %llu acknowledged, %llu received, "
      "%llu said in rooms, %llu heard, %llu changes of rosters, %llu records, %llu faults, trace %016llx\n",
      static_cast<unsigned long long>(play.seed), result.violations.size(),
      static_cast<unsigned long long>(result.messages), static_cast<unsigned long long>(result.acknowledged),
      static_cast<unsigned long long>(result.received), static_cast<unsigned long long>(result.said),
      static_cast<unsigned long long>(result.heard), static_cast<unsigned long long>(result.changes),
      static_cast<unsigned long long>(result.records), static_cast<unsigned long long>(result.faults),
      static_cast<unsigned long long>(result.trace_hash));
  constexpr std::size_t kShown = 10;
  for (std::size_t i = 0; i < std::min(kShown, result.violations.size()); ++i) {
    const Violation& violation = result.violations[i];
    std::printf("  %10.3f s  %s: %s\n", static_cast<double>(violation.at_us) / 1e6, violation.rule.c_str(),
                violation.text.c_str());
  }
  if (play.tells == 1) std::fputs(TellStory(simulation, result).c_str(), stdout);
  const char* html = std::getenv(kHtmlVariable);
  if (html != nullptr && !WriteHtml(simulation, result, options, html))
    std::printf("  cannot write %s\n", html);
  const char* trace = std::getenv(kTraceVariable);
  if (trace != nullptr && !WriteTrace(simulation, trace)) std::printf("  cannot write %s\n", trace);
  std::fflush(stdout);
  // The rest needs no orderly end, and a dead child is cheaper than a tidy one.
  std::_Exit(result.violations.empty() ? 0 : 1);
}

struct Outcome {
  std::string output;
  bool is_good = false;
};

Outcome PlayInProcess(const Play& play, bool with_log) {
  Outcome outcome;
  int pipes[2];
  // The pipes are of no use to the children of other jobs.
  if (::pipe2(pipes, O_CLOEXEC) != 0) return outcome;
  char fields[kFields][24];
  std::uint64_t numbers[kFields];
  std::memcpy(numbers, &play, sizeof play);
  char program[] = "rookery-simulator";
  char child[] = "--play";
  char* arguments[kFields + 3] = {program, child};
  for (int i = 0; i < kFields; ++i) {
    std::snprintf(fields[i], sizeof fields[i], "%020llu", static_cast<unsigned long long>(numbers[i]));
    arguments[i + 2] = fields[i];
  }
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(pipes[1], STDOUT_FILENO);
    ::execv("/proc/self/exe", arguments);
    std::_Exit(127);
  }
  ::close(pipes[1]);
  std::FILE* output = ::fdopen(pipes[0], "r");
  char* line = nullptr;
  std::size_t capacity = 0;
  while (::getline(&line, &capacity, output) > 0) {
    const bool is_log = line[0] == '{';
    if (!is_log || with_log) outcome.output += line;
  }
  std::free(line);
  std::fclose(output);
  int status = 0;
  ::waitpid(pid, &status, 0);
  outcome.is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
    outcome.output += absl::StrCat("seed ", play.seed, ": the simulation crashed\n");
  return outcome;
}

int Main(int argc, char** argv) {
  Play play;
  std::set<std::string> faults = DefaultFaults();
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  double seconds = 0;
  std::uint64_t jobs = 1;
  bool tells = false;
  bool with_log = false;
  std::string html;
  std::string trace;
  const auto fail = [](const std::string& what) {
    std::fprintf(stderr, "rookery-simulator: %s\n%s", what.c_str(), kUsage);
    return 2;
  };
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (name == "--list-faults") {
      for (const FaultKind& kind : AllFaults())
        std::printf("%-20s %s%s%s\n", kind.name, kind.what, *kind.off_because != '\0' ? "; off: " : "",
                    kind.off_because);
      return 0;
    }
    if (name == "--list-mutations") {
      for (const Mutation& mutation : AllMutations()) std::printf("%-24s %s\n", mutation.name, mutation.what);
      return 0;
    }
    if (name == "--story" || name == "--log") {
      (name == "--story" ? tells : with_log) = true;
      continue;
    }
    if (i + 1 >= argc) return fail(name + " needs a value, or is not known");
    const std::string value = argv[++i];
    std::uint64_t number = 0;
    const bool is_number = absl::SimpleAtoi(value, &number);
    if (name == "--html" || name == "--trace") {
      (name == "--html" ? html : trace) = value;
    } else if (name == "--mutation") {
      for (std::size_t m = 0; m < AllMutations().size(); ++m)
        if (value == AllMutations()[m].name) play.mutation = m + 1;
      if (play.mutation == 0) return fail("no mutation is called " + value);
    } else if (name == "--faults") {
      if (!ParseFaults(value, faults)) return 2;
    } else if (name == "--seeds") {
      const std::vector<std::string> ends = absl::StrSplit(value, "..");
      if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &first) || !absl::SimpleAtoi(ends[1], &last))
        return fail("--seeds wants A..B");
    } else if (!is_number) {
      return fail(name + " wants a number, or is not known");
    } else if (name == "--seed") {
      first = last = number;
    } else if (name == "--for") {
      seconds = static_cast<double>(number);
    } else if (name == "--jobs") {
      jobs = number;
    } else if (name == "--minutes") {
      play.minutes = number;
    } else if (name == "--users") {
      play.users = number;
    } else if (name == "--managers") {
      play.managers = number;
    } else if (name == "--gateways") {
      play.gateways = number;
    } else if (name == "--rooms") {
      play.rooms = number + 1;
    } else if (name == "--rosters") {
      play.rosters = number + 1;
    } else {
      return fail(name + " is not known");
    }
  }
  for (std::size_t i = 0; i < AllFaults().size(); ++i)
    if (faults.contains(AllFaults()[i].name)) play.faults |= std::uint64_t{1} << i;
  play.tells = tells ? 1 : html.empty() && trace.empty() ? 0 : 2;
  if (!html.empty()) ::setenv(kHtmlVariable, html.c_str(), 1);
  if (!trace.empty()) ::setenv(kTraceVariable, trace.c_str(), 1);

  const auto begun = std::chrono::steady_clock::now();
  const auto elapsed = [begun] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  };
  const bool is_single = seconds == 0 && first == last;
  std::uint64_t played = 0;
  std::uint64_t failed = 0;
  std::mutex printing;
  std::atomic<std::uint64_t> next{first};
  // A job only waits for its child process.
  const auto work = [&] {
    for (Play mine = play;;) {
      mine.seed = next++;
      if (seconds > 0 ? elapsed() >= seconds : mine.seed > last) return;
      const Outcome outcome = PlayInProcess(mine, with_log);
      const std::lock_guard lock(printing);
      ++played;
      if (!outcome.is_good) ++failed;
      if (is_single || !outcome.is_good || with_log) std::fputs(outcome.output.c_str(), stdout);
      std::fflush(stdout);
    }
  };
  std::vector<std::thread> others;
  while (others.size() + 1 < jobs) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  std::printf("%llu seeds in %.1f s, %llu failed\n", static_cast<unsigned long long>(played), elapsed(),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace rookery::simulation

int main(int argc, char** argv) {
  rookery::simulation::FixAddresses(argv);
  if (argc == rookery::simulation::kFields + 2 && std::strcmp(argv[1], rookery::simulation::kChild) == 0)
    return rookery::simulation::PlayInChild(argv + 2);
  return rookery::simulation::Main(argc, argv);
}
