#include "rookery/testing/child_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "rookery/base/check.h"

namespace rookery::testing {

TemporaryDirectory::TemporaryDirectory(const std::string& prefix) {
  const char* base = std::getenv("TMPDIR");
  std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/" + prefix + "XXXXXX";
  ROOKERY_CHECK(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

ChildProcess::ChildProcess(std::vector<std::string> command, std::string log_file, std::string user) {
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const passwd* account = !user.empty() && geteuid() == 0 ? getpwnam(user.c_str()) : nullptr;
  ROOKERY_CHECK(user.empty() || geteuid() != 0 || account != nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  ROOKERY_CHECK(pid_ >= 0);
  if (pid_ > 0) return;
  const int log = open(log_file.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
  dup2(open("/dev/null", O_RDONLY), 0);
  dup2(log, 1);
  dup2(log, 2);
  if (account != nullptr && (initgroups(user.c_str(), account->pw_gid) != 0 || setgid(account->pw_gid) != 0 ||
                             setuid(account->pw_uid) != 0)) {
    _exit(126);
  }
  // After setuid, which forgets it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

ChildProcess::~ChildProcess() {
  if (!IsRunning()) return;
  Signal(SIGKILL);
  Wait();
}

bool ChildProcess::IsRunning() {
  if (pid_ < 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == 0) return true;
  status_ = status;
  pid_ = -1;
  return false;
}

void ChildProcess::Signal(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

int ChildProcess::Wait() {
  if (pid_ > 0) {
    while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

std::uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ROOKERY_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  ROOKERY_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

}  // namespace rookery::testing
