#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace rookery::simulation {
namespace {

/// Returns what the simulator prints. Each seed has a process of its own, as when somebody replays it.
std::string Play(const std::string& arguments, int* status = nullptr) {
  const std::string command = std::string(ROOKERY_SIMULATOR) + " " + arguments + " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string output;
  char buffer[4096];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, got);
  const int ended = ::pclose(pipe);
  if (status != nullptr) *status = ended;
  return output;
}

/// The line about a seed, without how long it took.
std::string SeedLine(const std::string& output) { return output.substr(0, output.find('\n')); }

TEST(Simulator, ACalmClusterKeepsEveryPromise) {
  int status = -1;
  const std::string output = Play("--seed 1 --minutes 3 --rooms 2 --faults none", &status);
  EXPECT_EQ(status, 0) << output;
  EXPECT_EQ(output.find("acknowledged, 0 received"), std::string::npos) << output;
  EXPECT_EQ(output.find("in rooms, 0 heard"), std::string::npos) << output;
  EXPECT_EQ(output.find(" 0 changes of rosters"), std::string::npos) << output;
}

TEST(Simulator, OneSeedIsOneHistory) {
  const std::string first = SeedLine(Play("--seed 4 --minutes 3 --faults all"));
  EXPECT_NE(first.find("trace "), std::string::npos) << first;
  EXPECT_EQ(SeedLine(Play("--seed 4 --minutes 3 --faults all")), first);
  EXPECT_NE(SeedLine(Play("--seed 5 --minutes 3 --faults all")), first);
}

TEST(Simulator, NoticesThatNobodyIsToldOfTheEndOfASession) {
  int status = 0;
  const std::string output = Play("--seed 1 --minutes 3 --faults none --mutation drop-unavailable", &status);
  EXPECT_NE(status, 0);
  EXPECT_NE(output.find("no-ghosts"), std::string::npos) << output;
}

TEST(Simulator, NoticesThatSomethingSaidInARoomIsNotHeard) {
  int status = 0;
  const std::string output =
      Play("--seed 1 --minutes 3 --rooms 3 --faults none --mutation say-no-more", &status);
  EXPECT_NE(status, 0);
  EXPECT_NE(output.find("who-is-in-hears-all"), std::string::npos) << output;
}

TEST(Simulator, NoticesThatAClientIsNotToldOfAChangeOfItsRoster) {
  int status = 0;
  const std::string output = Play("--seed 1 --minutes 3 --faults none --mutation drop-push", &status);
  EXPECT_NE(status, 0);
  EXPECT_NE(output.find("views-are-rosters"), std::string::npos) << output;
}

TEST(Simulator, SaysWhatItDoesNotKnow) {
  int status = 0;
  EXPECT_NE(Play("--faults sunspots", &status).find("sunspots"), std::string::npos);
  EXPECT_NE(status, 0);
}

}  // namespace
}  // namespace rookery::simulation
