#include "child_process.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace rookery::rpc {

ChildProcess::ChildProcess(const std::string& argument) {
  int out[2];
  if (pipe(out) != 0) std::abort();
  // Not fork: gRPC's threads run already.
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  std::vector<std::string> words = {"/proc/self/exe", argument};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ) != 0) std::abort();
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  std::FILE* lines = fdopen(out[0], "r");
  char line[256];
  while (address_.empty() && std::fgets(line, sizeof line, lines) != nullptr) {
    const std::string text(line);
    if (text.starts_with("address=")) address_ = text.substr(8, text.find('\n') - 8);
  }
  std::fclose(lines);
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void ChildProcess::Signal(int signal) { kill(pid_, signal); }

}  // namespace rookery::rpc
