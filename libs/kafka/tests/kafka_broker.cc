#include "kafka_broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "rookery/kafka/producer.h"

namespace rookery::kafka {
namespace {

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "kafka broker: %s\n", why.c_str());
  std::exit(1);
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Fail("no free port");
  }
  close(fd);
  return ntohs(address.sin_port);
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

KafkaBroker& KafkaBroker::Shared() {
  static KafkaBroker broker;
  return broker;
}

KafkaBroker::KafkaBroker() {
  const char* libs = std::getenv("ROOKERY_KAFKA_LIBS");
  libs_ = libs != nullptr ? libs : ROOKERY_KAFKA_LIBS_DEFAULT;
  if (!std::filesystem::is_directory(libs_)) Fail("no jars in " + libs_ + " (set ROOKERY_KAFKA_LIBS)");
  std::string pattern = (std::filesystem::temp_directory_path() / "rookery-kafka-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) Fail("no temporary directory");
  directory_ = pattern;

  const std::string port = std::to_string(FreePort());
  const std::string controller = std::to_string(FreePort());
  address_ = "127.0.0.1:" + port;
  std::ofstream(directory_ + "/server.properties")
      << "process.roles=broker,controller\n"
      << "node.id=1\n"
      << "controller.quorum.voters=1@127.0.0.1:" << controller << "\n"
      << "listeners=PLAINTEXT://" << address_ << ",CONTROLLER://127.0.0.1:" << controller << "\n"
      << "advertised.listeners=PLAINTEXT://" << address_ << "\n"
      << "controller.listener.names=CONTROLLER\n"
      << "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
      << "log.dirs=" << directory_ << "/data\n"
      << "auto.create.topics.enable=false\n"
      << "offsets.topic.replication.factor=1\n"
      << "offsets.topic.num.partitions=2\n"
      << "transaction.state.log.replication.factor=1\n"
      << "transaction.state.log.min.isr=1\n"
      << "group.initial.rebalance.delay.ms=0\n"
      << "num.network.threads=2\n"
      << "num.io.threads=2\n";
  int status = 0;
  const pid_t format = Spawn(
      "kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c " + directory_ + "/server.properties",
      "format.log");
  if (waitpid(format, &status, 0) != format || status != 0)
    Fail("format: " + ReadFile(directory_ + "/format.log"));
  Launch();
  AwaitReady();
}

KafkaBroker::~KafkaBroker() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void KafkaBroker::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void KafkaBroker::Launch() { pid_ = Spawn("kafka.Kafka " + directory_ + "/server.properties", "server.log"); }

void KafkaBroker::AwaitReady() const {
  Options options;
  options.brokers = {address_};
  options.topic_prefix = "fixture.";
  // No broker to speak to is no news while it starts.
  options.properties = {"log_level=0"};
  const auto topics = EnsureTopics(options, {{"ready", 1, {}}}, std::chrono::seconds(60));
  if (!topics.ok()) {
    Fail(topics.status().ToString() + "\n" + ReadFile(directory_ + "/server.log"));
  }
}

pid_t KafkaBroker::Spawn(const std::string& arguments, const char* log) const {
  std::vector<std::string> words = {"java", "-Xms256m",  "-Xmx384m", "-XX:MaxGCPauseMillis=20",
                                    "-cp",  libs_ + "/*"};
  std::istringstream rest(arguments);
  for (std::string word; rest >> word;) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string path = directory_ + "/" + log;
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) Fail("fork");
  if (pid == 0) {
    // Not even a crashed test leaves a broker behind.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int out = open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execvp("java", argv.data());
    _exit(127);
  }
  return pid;
}

}  // namespace rookery::kafka
