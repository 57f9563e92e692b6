// Runs a real process (test_service.cc) and watches it from outside.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace rookery::app {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr std::chrono::seconds kPatience{20};

class Child {
 public:
  Child(std::vector<std::string> arguments,
        const std::vector<std::pair<std::string, std::string>>& environment) {
    int out[2];
    int err[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) std::abort();
    arguments.insert(arguments.begin(), TEST_SERVICE);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::dup2(err[1], STDERR_FILENO);
      for (const auto& [name, value] : environment) {
        ::setenv(("ROOKERY_TEST_SERVICE__" + name).c_str(), value.c_str(), 1);
      }
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
  }
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_);
    ::close(err_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Reads stdout until `text` is there.
  bool WaitFor(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (output.find(text) == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline || !ReadSome()) return false;
    }
    return true;
  }
  void Signal(int number) const { ::kill(pid_, number); }
  /// The exit status, or minus the number of the signal that ended it. Reads all output.
  int Wait() {
    while (ReadSome()) {
    }
    char buffer[4096];
    for (ssize_t got; (got = ::read(err_, buffer, sizeof buffer)) > 0;) {
      errors.append(buffer, static_cast<std::size_t>(got));
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string Get(const std::string& target, const std::string& method = "GET") {
    const std::string key = "\"event\":\"admin.listening\",\"address\":\"";
    const std::size_t start = output.find(key);
    if (start == std::string::npos) return "no address logged";
    const std::size_t colon = output.find(':', start + key.size());
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(output.c_str() + colon + 1)));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::string answer;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      const std::string request =
          method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
      if (::write(fd, request.data(), request.size()) > 0) {
        char buffer[4096];
        for (ssize_t got; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
          answer.append(buffer, static_cast<std::size_t>(got));
        }
      }
    }
    ::close(fd);
    return answer;
  }

  std::string output;
  std::string errors;

 private:
  bool ReadSome() {
    pollfd waiting{out_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0)
      return false;
    char buffer[4096];
    const ssize_t got = ::read(out_, buffer, sizeof buffer);
    if (got <= 0) return false;
    output.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
};

TEST(CommandLine, HelpVersionAndReference) {
  Child help({"--help"}, {});
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.output, AllOf(HasSubstr("A service for tests"), HasSubstr("--check-config"),
                                 HasSubstr("drain-timeout (20s)"), HasSubstr("How starting goes")));
  Child version({"--version"}, {});
  EXPECT_EQ(version.Wait(), 0);
  EXPECT_THAT(version.output, HasSubstr("rookery-test-service "));
  Child reference({"--config-reference"}, {});
  EXPECT_EQ(reference.Wait(), 0);
  EXPECT_THAT(reference.output, HasSubstr("ROOKERY_TEST_SERVICE__ADMIN__ADDRESS"));
  Child wrong({"--no-such-option"}, {});
  EXPECT_EQ(wrong.Wait(), 2);
}

TEST(CommandLine, WrongConfigurationIsStatus78AndALineForEachMistake) {
  Child unknown({"--check-config"},
                {{"NUMBR", "2"}, {"NUMBER", "3"}, {"START", "later"}, {"READY", "/nonexistent"}});
  EXPECT_EQ(unknown.Wait(), 78);
  const std::string start = "rookery-test-service: wrong configuration: ROOKERY_TEST_SERVICE__";
  EXPECT_THAT(
      unknown.errors,
      AllOf(HasSubstr(start + "NUMBR: unknown variable (did you mean `ROOKERY_TEST_SERVICE__NUMBER`?)\n"),
            HasSubstr(start + "START: `start` must be one of ok, fail, throw, hang, end\n"),
            HasSubstr(start + "NUMBER: `number` must be even\n"),
            HasSubstr(start + "READY: `ready` is no file\n")));
  Child invalid({}, {{"NUMBER", "3"}});
  EXPECT_EQ(invalid.Wait(), 78);
  EXPECT_EQ(invalid.errors, start + "NUMBER: `number` must be even\n");
  Child instance({}, {{"INSTANCE", "a b"}});
  EXPECT_EQ(instance.Wait(), 78);
  Child missing({"--config", "/nonexistent.yaml"}, {});
  EXPECT_EQ(missing.Wait(), 78);
  EXPECT_THAT(missing.errors, HasSubstr("/nonexistent.yaml"));
}

TEST(CommandLine, SeveralFilesOfWhichTheLaterWins) {
  char base[] = "/tmp/rookery-app-test-XXXXXX";
  char over[] = "/tmp/rookery-app-test-XXXXXX";
  const auto write = [](char* name, const std::string& text) {
    const int fd = ::mkstemp(name);
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(fd);
  };
  write(base, "number: 4\nready: no\n");
  write(over, "number: 6\n");
  Child both({"--config", base, "--config", over, "--print-config"}, {});
  EXPECT_EQ(both.Wait(), 0) << both.errors;
  EXPECT_THAT(both.output, AllOf(HasSubstr("number: 6"), HasSubstr("ready: no")));
  ::setenv("ROOKERY_CONFIG", base, 1);
  Child environment({"--print-config"}, {});
  EXPECT_EQ(environment.Wait(), 0) << environment.errors;
  EXPECT_THAT(environment.output, HasSubstr("number: 4"));
  ::unsetenv("ROOKERY_CONFIG");
  ::unlink(base);
  ::unlink(over);
}

TEST(CommandLine, AnAddressIsTurnedIntoItsHashUnderTheSharedKey) {
  Child without({"--hash-jid", "ann@localhost"}, {});
  EXPECT_EQ(without.Wait(), 1);
  EXPECT_THAT(without.errors, HasSubstr("ROOKERY_LOG_JID_KEY is not set"));
  ::setenv("ROOKERY_LOG_JID_KEY", "a key for tests", 1);
  Child with({"--hash-jid", "ann@localhost/phone"}, {});
  EXPECT_EQ(with.Wait(), 0);
  EXPECT_EQ(with.output, "5bce24ab86d31d75\n");
  ::unsetenv("ROOKERY_LOG_JID_KEY");
}

TEST(CommandLine, CheckAndPrint) {
  Child check({"--check-config"}, {});
  EXPECT_EQ(check.Wait(), 0);
  Child print({"--print-config"}, {{"PASSWORD", "hidden"}, {"NUMBER", "4"}});
  EXPECT_EQ(print.Wait(), 0);
  EXPECT_THAT(print.output, AllOf(HasSubstr("number: 4"), HasSubstr("***"), Not(HasSubstr("hidden"))));
}

TEST(Life, StartsServesAndDrains) {
  Child child({}, {{"INSTANCE", "test-1"}});
  ASSERT_TRUE(child.WaitFor("app.started"));
  EXPECT_THAT(child.output, HasSubstr("\"instance\":\"test-1\""));
  EXPECT_THAT(child.Get("/healthz"), HasSubstr("200"));
  EXPECT_THAT(child.Get("/readyz"), HasSubstr("200"));
  EXPECT_THAT(child.Get("/metrics"),
              AllOf(HasSubstr("rookery_test_service_build_info"),
                    HasSubstr("rookery_test_service_io_loop_lag_seconds"), HasSubstr("process_open_fds")));
  EXPECT_THAT(child.Get("/else"), HasSubstr("404"));
  EXPECT_THAT(child.Get("/metrics", "DELETE"), HasSubstr("405"));
  EXPECT_THAT(child.Get("/healthz", "HEAD"),
              AllOf(HasSubstr("200"), HasSubstr("Content-Length: 3"), EndsWith("\r\n\r\n")));
  child.Signal(SIGHUP);
  EXPECT_TRUE(child.WaitFor("test.reloaded"));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_THAT(child.output, AllOf(HasSubstr("test.stopped"), HasSubstr("app.stopped")));
  EXPECT_EQ(child.errors, "");
}

TEST(Life, TheAdminPortIsLoopbacks_UnlessSaidOtherwise) {
  const auto listening = [](const std::string& host) {
    return HasSubstr("\"event\":\"admin.listening\",\"address\":\"" + host + ":");
  };
  Child child({}, {});
  ASSERT_TRUE(child.WaitFor("app.started"));
  EXPECT_THAT(child.output, listening("127.0.0.1"));
  Child open({}, {{"ADMIN__ADDRESS", "0.0.0.0:0"}});
  ASSERT_TRUE(open.WaitFor("app.started"));
  EXPECT_THAT(open.output, listening("0.0.0.0"));
  EXPECT_THAT(open.Get("/healthz"), HasSubstr("200"));
}

TEST(Life, SaysWhyItIsNotReady) {
  Child child({}, {{"READY", "waiting for rain"}});
  ASSERT_TRUE(child.WaitFor("app.started"));
  EXPECT_THAT(child.Get("/readyz"), AllOf(HasSubstr("503"), HasSubstr("waiting for rain")));
  child.Signal(SIGINT);
  EXPECT_EQ(child.Wait(), 0);
}

TEST(Life, IsNotReadyWhileItStartsAndEndsWhenTold) {
  Child child({}, {{"START", "hang"}});
  ASSERT_TRUE(child.WaitFor("app.starting"));
  EXPECT_THAT(child.Get("/readyz"), AllOf(HasSubstr("503"), HasSubstr("starting")));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
}

TEST(Life, AFailedStartIsOneLineAndStatus1) {
  Child fail({}, {{"START", "fail"}});
  EXPECT_EQ(fail.Wait(), 1);
  EXPECT_EQ(fail.errors, "rookery-test-service: cannot start: the backend is away\n");
  Child thrown({}, {{"START", "throw"}});
  EXPECT_EQ(thrown.Wait(), 1);
  EXPECT_THAT(thrown.errors, HasSubstr("thrown by Start"));
  Child address({}, {{"ADMIN__ADDRESS", "192.0.2.1:1"}});  // TEST-NET: not an address of this machine
  EXPECT_EQ(address.Wait(), 1);
  EXPECT_THAT(address.errors, HasSubstr("admin.address"));
}

TEST(Life, ADrainIsBounded) {
  Child child({}, {{"STOP", "hang"}, {"DRAIN_TIMEOUT", "50ms"}});
  ASSERT_TRUE(child.WaitFor("app.started"));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_THAT(child.output, HasSubstr("app.drain_timed_out"));
}

TEST(Life, IsNotReadyWhileItDrainsAndASecondSignalEndsIt) {
  Child child({}, {{"STOP", "hang"}, {"LOG__LEVEL", "debug"}});
  ASSERT_TRUE(child.WaitFor("app.started"));
  child.Signal(SIGTERM);
  ASSERT_TRUE(child.WaitFor("test.stopping"));
  EXPECT_THAT(child.Get("/readyz"), AllOf(HasSubstr("503"), HasSubstr("draining")));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), -SIGTERM);
}

TEST(Life, AServiceThatMustNotGoOnEndsAtOnceWithOneLine) {
  Child child({}, {{"START", "end"}});
  EXPECT_EQ(child.Wait(), 1);
  EXPECT_THAT(child.output, HasSubstr("app.failed"));
  EXPECT_EQ(child.errors, "rookery-test-service: cannot go on: another one has the name\n");
  EXPECT_THAT(child.output, Not(HasSubstr("test.stopping")));
}

TEST(Life, AnExceptionInStopStillEndsTheProcess) {
  Child child({}, {{"STOP", "throw"}});
  ASSERT_TRUE(child.WaitFor("app.started"));
  child.Signal(SIGTERM);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_THAT(child.output, HasSubstr("app.stop_failed"));
}

}  // namespace
}  // namespace rookery::app
